//! Pipes to test with.

use std::time::{Duration, Instant};
use vfs_core::{Code, Configuration, Error, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_engines::NatsServer;
use zvfs_test_support::Random;
pub use zvfs_test_support::{eventually, in_thread};

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// A registry whose one provider is this crate's, with settings as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    let text = format!("[provider.nats]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&text).unwrap());
    registry.register(crate::provider()).unwrap();
    registry
}

/// Two hosts that use a server.
pub struct House {
    pub reading: Registry,
    pub writing: Registry,
}

impl House {
    pub fn at(servers: &[NatsServer], settings: &str) -> House {
        let list: Vec<String> = servers.iter().map(|server| format!("{:?}", server.address())).collect();
        let settings = format!("servers = [{}], {settings}", list.join(", "));
        House { reading: registry(&settings), writing: registry(&settings) }
    }

    pub fn reader(&self, name: &str) -> OpenFile {
        self.reading.open(&format!("nats:{name}"), &OpenOptions::new(OpenFlags::READ)).unwrap()
    }

    pub fn writer(&self, name: &str) -> OpenFile {
        self.writing.open(&format!("nats:{name}"), &OpenOptions::new(OpenFlags::WRITE)).unwrap()
    }

    /// Both ends, met: one byte went through.
    pub fn pair(&self, name: &str) -> (OpenFile, OpenFile) {
        let (mut reader, mut writer) = (self.reader(name), self.writer(name));
        writer.write_all(b"x").unwrap();
        assert_eq!(read_exactly(&mut reader, 1), b"x");
        (reader, writer)
    }
}

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
