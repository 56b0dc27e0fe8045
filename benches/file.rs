//! Reads of a file in the page cache: the file provider, through its library, against pread in a loop.

use std::cell::RefCell;
use std::fs::File;
use std::io::{SeekFrom, Write};
use std::os::unix::fs::FileExt;
use vfs_core::{Configuration, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{heading, keep, pair, provider_folder};

const FILE: u64 = 64 << 20;
const SIZES: [(&str, usize); 3] = [("4 KiB", 4 << 10), ("64 KiB", 64 << 10), ("1 MiB", 1 << 20)];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("data");
    let block: Vec<u8> = (0..1 << 20).map(|at: u32| at.wrapping_mul(2_654_435_761) as u8).collect();
    let mut data = File::create(&path)?;
    for _ in 0..FILE / block.len() as u64 {
        data.write_all(&block)?;
    }
    let registry = Registry::new(Configuration::with_provider_path([provider_folder()]));
    let descriptor = path.to_str().ok_or("a path that is not UTF-8")?;
    let mut ours = registry.open(descriptor, &OpenOptions::new(OpenFlags::READ))?;
    let peer = File::open(&path)?;

    heading("read a file of 64 MiB", "the file provider", "pread");
    for (name, size) in SIZES {
        sequential(name, size, &mut ours, &peer);
        random(name, size, &ours, &peer);
    }
    Ok(())
}

fn sequential(name: &str, size: usize, ours: &mut OpenFile, peer: &File) {
    // One for both: where a buffer lies makes a difference of its own.
    let buf = RefCell::new(vec![0; size]);
    let reads = FILE / size as u64;
    let through_provider = || {
        keep(ours.seek(SeekFrom::Start(0)).ok());
        for _ in 0..reads {
            keep(ours.read(&mut buf.borrow_mut()).ok());
        }
    };
    let pread = || {
        for at in 0..reads {
            keep(peer.read_at(&mut buf.borrow_mut(), at * size as u64).ok());
        }
    };
    pair(&format!("sequential, {name}"), reads, through_provider, pread);
}

fn random(name: &str, size: usize, ours: &OpenFile, peer: &File) {
    // One for both: where a buffer lies makes a difference of its own.
    let buf = RefCell::new(vec![0; size]);
    let blocks = FILE / size as u64;
    // A full-period walk over all blocks: both sides visit the same ones in the same order.
    let offsets: Vec<u64> =
        (0..blocks).map(|at| (at.wrapping_mul(0x9e37_79b9) + 7) % blocks * size as u64).collect();
    let through_provider = || {
        for offset in &offsets {
            keep(ours.read_at(&mut buf.borrow_mut(), *offset).ok());
        }
    };
    let pread = || {
        for offset in &offsets {
            keep(peer.read_at(&mut buf.borrow_mut(), *offset).ok());
        }
    };
    pair(&format!("random, {name}"), blocks, through_provider, pread);
}
