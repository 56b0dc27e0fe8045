//! The two ends of a pipe, as the tests of every back-end use them.

use std::time::Duration;
use vfs_core::{Code, Error, Finish, OpenFile, Result};
use zvfs_test_support::Random;
pub use zvfs_test_support::in_thread;

/// Whatever happens in these tests takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>, code: Code, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{}", error.chain());
    assert!(error.chain().contains(words), "`{}` does not say `{words}`", error.chain());
}

#[track_caller]
pub fn read_exactly(file: &mut OpenFile, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut done = 0;
    while done < count {
        match file.read(&mut bytes[done..]).unwrap() {
            0 => panic!("the end after {done} of {count} bytes"),
            read => done += read,
        }
    }
    bytes
}

/// Reads until the end, or until it fails: what came, and how it ended.
pub fn drain(file: &mut OpenFile) -> (Vec<u8>, Option<Error>) {
    let (mut all, mut bytes) = (Vec::new(), vec![0; 50_000]);
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return (all, None),
            Ok(count) => all.extend_from_slice(&bytes[..count]),
            Err(error) => return (all, Some(error)),
        }
    }
}

#[track_caller]
pub fn read_to_end(file: &mut OpenFile) -> Vec<u8> {
    let (all, error) = drain(file);
    assert!(error.is_none(), "after {} bytes: {}", all.len(), error.unwrap().chain());
    all
}

/// Writes bytes in odd pieces, end included, while they are read: they arrive whole.
#[track_caller]
pub fn goes_through(reader: &mut OpenFile, mut writer: OpenFile, content: &[u8]) {
    let sent = content.to_vec();
    let done = in_thread(move || {
        sent.chunks(70_001).for_each(|piece| writer.write_all(piece).unwrap());
        writer.finish(Finish::Commit).unwrap();
    });
    assert!(read_to_end(reader) == content);
    done.recv_timeout(SLACK).unwrap();
}

/// Bytes that no two places have alike.
pub fn sample(count: usize) -> Vec<u8> {
    Random(1).noise(count)
}
