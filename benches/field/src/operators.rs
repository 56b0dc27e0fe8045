//! Reads in one process: an open file of vfs-core against a reader of OpenDAL's, by its blocking API.

use crate::{Failure, MIB, Place, ROUNDS, expect, text};
use opendal::blocking::{Operator, Reader};
use opendal::services::{Fs, Http, S3 as Store};
use std::io::Read;
use std::path::Path;
use std::sync::LazyLock;
use tokio::runtime::Runtime;
use vfs_core::{OpenFile, OpenFlags, OpenOptions};
use zvfs_benches::{cost_of, heading, offsets, pair_of_processes};
use zvfs_engines::S3;
use zvfs_http_servers::pattern;

/// What the blocking API runs on.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    // The transport without TLS, as all of OpenDAL's services find it.
    opendal_http_transport_reqwest::install_default();
    expect(tokio::runtime::Builder::new_multi_thread().enable_all().build())
});

pub fn fs(root: &Path) -> Result<Operator, Failure> {
    blocking(opendal::Operator::new(Fs::default().root(&text(root))))
}

pub fn http(endpoint: &str) -> Result<Operator, Failure> {
    blocking(opendal::Operator::new(Http::default().endpoint(endpoint)))
}

pub fn s3(server: &S3) -> Result<Operator, Failure> {
    let store = Store::default()
        .endpoint(&server.endpoint())
        .bucket(S3::BUCKET)
        .region("us-east-1")
        .access_key_id(S3::ACCESS_KEY)
        .secret_access_key(S3::SECRET_KEY)
        .disable_config_load();
    blocking(opendal::Operator::new(store))
}

fn blocking(operator: opendal::Result<opendal::Operator>) -> Result<Operator, Failure> {
    let _entered = RUNTIME.enter();
    Ok(Operator::new(operator?)?)
}

/// In order, the open included; and of an open file in no order.
pub fn reads(place: &Place, operator: Operator, path: &str) -> Result<(), Failure> {
    let registry = place.host.registry()?;
    let open = |flags| expect(registry.open(&place.descriptor, &OpenOptions::new(OpenFlags::READ | flags)));
    let size = place.size;
    heading(&format!("{}, reads in one process, each", place.title), "vfs-core", "OpenDAL");
    let ours = || cost_of(|| drain(open(OpenFlags::SEQUENTIAL), size));
    let peer = || {
        cost_of(|| {
            let reader = expect(operator.reader(path));
            drain(expect(reader.into_std_read(0..size)), size);
        })
    };
    pair_of_processes("1 MiB in order", size / MIB, ROUNDS, ours, peer);
    let (file, reader) = (open(OpenFlags::RANDOM), operator.reader(path)?);
    for (row, piece, count) in
        [("1 MiB in no order", MIB, size / MIB), ("4 KiB in no order", 4096, place.pieces)]
    {
        let offsets = offsets(count, size, piece);
        let ours = || cost_of(|| at_each(&offsets, piece, |buf, offset| fill(&file, buf, offset)));
        let peer =
            || cost_of(|| at_each(&offsets, piece, |buf, offset| fill_by_opendal(&reader, buf, offset)));
        pair_of_processes(row, count, ROUNDS, ours, peer);
    }
    Ok(())
}

fn drain(mut file: impl Read, size: u64) {
    let (mut buf, mut all) = (vec![0; MIB as usize], 0);
    loop {
        match expect(file.read(&mut buf)) {
            0 => break,
            count => all += count as u64,
        }
    }
    assert_eq!(all, size, "bytes to the end");
}

fn at_each(offsets: &[u64], piece: u64, read: impl Fn(&mut Vec<u8>, u64)) {
    let mut buf = vec![0; piece as usize];
    for offset in offsets {
        read(&mut buf, *offset);
    }
    // The last one stands for all: comparing each would be part of what is measured.
    let last = offsets.last().copied().unwrap_or(0);
    assert!(buf == pattern::bytes(last..last + piece), "wrong bytes at {last}");
}

fn fill(file: &OpenFile, buf: &mut [u8], offset: u64) {
    let mut done = 0;
    while done < buf.len() {
        let count = expect(file.read_at(&mut buf[done..], offset + done as u64));
        assert!(count > 0, "an end at {offset}");
        done += count;
    }
}

fn fill_by_opendal(reader: &Reader, buf: &mut Vec<u8>, offset: u64) {
    let wanted = buf.len() as u64;
    buf.clear();
    assert_eq!(expect(reader.read_into(buf, offset..offset + wanted)) as u64, wanted, "bytes at {offset}");
}
