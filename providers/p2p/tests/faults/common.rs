//! Pipes to test with.

pub use crate::circle::Circle;
use std::time::{Duration, Instant};
use vfs_core::{Code, Configuration, Error, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_p2p::P2p;
pub use zvfs_test_support::{eventually, in_thread};

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// A registry whose one provider is this crate's, with settings as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    let text = format!("[provider.p2p]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&text).unwrap());
    registry.register(Box::new(P2p)).unwrap();
    registry
}

pub fn reader(host: &Registry, pipe: &str) -> OpenFile {
    bounded(host.open(&format!("p2p:{pipe}"), &OpenOptions::new(OpenFlags::READ)).unwrap())
}

pub fn writer(host: &Registry, pipe: &str) -> OpenFile {
    bounded(host.open(&format!("p2p:{pipe}"), &OpenOptions::new(OpenFlags::WRITE)).unwrap())
}

fn bounded(file: OpenFile) -> OpenFile {
    file.control().set_deadline(Some(Instant::now() + SLACK));
    file
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T>, code: Code, words: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{}", error.chain());
    assert!(error.chain().contains(words), "`{}` does not say `{words}`", error.chain());
}

/// Checks that a call times out each time, and that it says why sooner or later.
#[track_caller]
pub fn waits_in_vain(mut call: impl FnMut() -> Result<usize>, words: &str) {
    eventually(words, || {
        let error = call().unwrap_err();
        assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
        error.chain().contains(words)
    });
}

/// Both ends of a pipe, met: one byte went through.
#[track_caller]
pub fn met(mut reader: OpenFile, mut writer: OpenFile) -> (OpenFile, OpenFile) {
    writer.write_all(b"x").unwrap();
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 1);
    (reader, writer)
}

/// Some bytes and their end go through.
#[track_caller]
pub fn goes_through(reader: &mut OpenFile, mut writer: OpenFile) {
    let done = in_thread(move || {
        writer.write_all(b"some bytes")?;
        writer.finish(Finish::Commit)
    });
    assert_eq!(drain(reader), (b"some bytes".to_vec(), None));
    done.recv_timeout(SLACK).unwrap().unwrap();
}

/// Reads until the end, or until it fails: what came, and how it ended.
pub fn drain(file: &mut OpenFile) -> (Vec<u8>, Option<Code>) {
    let (mut all, mut bytes) = (Vec::new(), vec![0; 50_000]);
    loop {
        match file.read(&mut bytes) {
            Ok(0) => return (all, None),
            Ok(count) => all.extend_from_slice(&bytes[..count]),
            Err(error) => return (all, Some(error.code())),
        }
    }
}

/// Writes until it fails.
pub fn write_until_it_fails(file: &mut OpenFile) -> Error {
    let until = Instant::now() + SLACK;
    loop {
        match file.write(&[7; 60_000]) {
            Err(error) => return error,
            Ok(_) => assert!(Instant::now() < until, "writes go on though nobody is there"),
        }
    }
}
