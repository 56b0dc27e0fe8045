//! Pipes between two hosts of this process, whatever carries them, and the rows of their sizes.

use crate::peers::{self, Failure};
use crate::{heading, pair_timed};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Finish, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_test_support::{fifo, free_port};

/// A row's name, the size of a write, and how much of it in all.
pub type Writes = (&'static str, usize, usize);

/// Over a network.
pub const FAR: [Writes; 3] =
    [("4 KiB", 4 << 10, 32 << 20), ("64 KiB", 64 << 10, 256 << 20), ("1 MiB", 1 << 20, 256 << 20)];
/// Where memory carries everything.
const TOGETHER: [Writes; 4] = [
    ("64 bytes", 64, 4 << 20),
    ("4 KiB", 4 << 10, 128 << 20),
    ("64 KiB", 64 << 10, 512 << 20),
    ("1 MiB", 1 << 20, 512 << 20),
];
/// Writes after which the ends have met.
const WARM: usize = 100;
const READ: usize = 256 << 10;

/// The rows of one peer, one for each size of a write. Both sides are told the size of a write and how much is written in all.
pub fn rows(
    title: &str,
    (ours, through_ours): (&str, impl Fn(usize, usize) -> Result<Duration, Failure>),
    (peer, through_peer): (&str, impl Fn(usize, usize) -> Result<Duration, Failure>),
    writes: &[Writes],
) {
    heading(title, ours, peer);
    for &(name, size, total) in writes {
        let (mib, ours) = ((total >> 20) as u64, || expect(through_ours(size, total)));
        pair_timed(name, mib, ours, || expect(through_peer(size, total)));
    }
}

/// The rows of a pipe whose ends meet on this host. `ours` is what carried it before; `folder` is where a FIFO is made.
pub fn on_one_host(ours: &str, hosts: &[Registry; 2], descriptor: &str, folder: &Path) {
    let fifo = fifo(folder.join("fifo"));
    let title = "each MiB, one way, on one host";
    let through_ours = |size, total| through(hosts, descriptor, size, total);
    let through_fifo = |size, total| peers::through_fifo(&fifo, size, total);
    rows(title, (ours, through_ours), ("a FIFO", through_fifo), &TOGETHER);
    let over_tcp = |size, total| over_tcp(hosts, size, total);
    rows(title, (ours, through_ours), ("a netpipe over TCP", over_tcp), &TOGETHER);
}

/// From the first host to the second, by a pipe that is new.
///
/// # Errors
/// The provider's; other bytes came than were sent.
pub fn through(
    [left, right]: &[Registry; 2],
    descriptor: &str,
    size: usize,
    total: usize,
) -> Result<Duration, Failure> {
    let mut reader = right.open(descriptor, &OpenOptions::new(OpenFlags::READ))?;
    let mut writer = left.open(descriptor, &OpenOptions::new(OpenFlags::WRITE))?;
    meet(&mut writer, &mut reader)?;
    let start = Instant::now();
    let taking = thread::spawn(move || drain(&mut reader));
    let block = vec![7; size];
    for _ in 0..total / size {
        writer.write_all(&block)?;
    }
    writer.finish(Finish::Commit)?;
    let came = taking.join().map_err(|_| Failure::from("the reader panicked"))??;
    if came == total { Ok(start.elapsed()) } else { Err(format!("{came} of {total} bytes came").into()) }
}

/// As [`through`], over TCP.
///
/// # Errors
/// As [`through`].
pub fn over_tcp(hosts: &[Registry; 2], size: usize, total: usize) -> Result<Duration, Failure> {
    through(hosts, &format!("tcp://127.0.0.1:{}", free_port()), size, total)
}

/// Has the ends of a pipe find each other, which is not what is measured.
///
/// # Errors
/// The provider's.
pub fn meet(writer: &mut OpenFile, reader: &mut OpenFile) -> Result<(), Failure> {
    for _ in 0..WARM {
        writer.write_all(&[7])?;
        Read::read_exact(reader, &mut [0])?;
    }
    Ok(())
}

/// Reads to the end: how much came.
///
/// # Errors
/// The reader's.
pub fn drain(reader: &mut impl Read) -> Result<usize, Failure> {
    let (mut buf, mut total) = (vec![0; READ], 0);
    loop {
        match reader.read(&mut buf)? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

/// What a measured transfer took: one that failed has no time.
///
/// # Panics
/// It failed.
pub fn expect(result: Result<Duration, Failure>) -> Duration {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}
