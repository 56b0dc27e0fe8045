//! Pipes to test with.

#[path = "../../../../netpipe/tests/support/ends.rs"]
mod ends;

pub use ends::*;
use netpipe::broker::{self, Broker, Handle};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use vfs_core::{Code, Configuration, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_test_support::within;
pub use zvfs_test_support::{free_port, waits_until};

pub const READ: OpenFlags = OpenFlags::READ;
pub const WRITE: OpenFlags = OpenFlags::WRITE;

/// What is not over by then waits.
pub const WAITS: Duration = Duration::from_millis(150);

/// A registry whose one provider is this crate, with settings as an operator writes them. Bytes go over TCP, unless those say otherwise.
pub fn registry(settings: &str) -> Registry {
    let apart = if settings.contains("same-host") { "" } else { "same-host = \"off\", " };
    let configuration =
        Configuration::parse(&format!("[provider.tcp]\nsettings = {{ {apart}{settings} }}\n")).unwrap();
    let registry = Registry::new(configuration);
    registry.register(crate::provider()).unwrap();
    registry
}

/// A broker on a thread, until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    stop: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(config: broker::Config) -> Running {
        Running::start_at("127.0.0.1:0".parse().unwrap(), config)
    }

    pub fn start_at(address: SocketAddr, config: broker::Config) -> Running {
        let broker = Broker::bind(address, config).unwrap();
        let (address, stop) = (broker.local_addr(), broker.handle());
        let thread = Some(thread::spawn(move || broker.run().unwrap()));
        Running { address, stop, thread }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the broker panicked");
    }
}

/// After so many frames ends on one host go on through memory: what they carry before that goes over the connection.
pub const WARM: usize = 1100;

/// Two hosts, and how pipes between them are named.
pub struct House {
    pub reading: Registry,
    pub writing: Registry,
    ports: Mutex<HashMap<String, u16>>,
    broker: Option<Running>,
    /// Pairs begin in memory.
    shares: bool,
}

impl House {
    pub fn direct() -> House {
        House::with(None, "")
    }

    pub fn brokered() -> House {
        House::with(Some(Running::start(broker::Config::default())), "")
    }

    /// A house with further settings on both sides.
    pub fn with(broker: Option<Running>, settings: &str) -> House {
        let broker_setting = broker.as_ref().map(|broker| format!("broker = \"{}\", ", broker.address));
        let settings = format!("{}{settings}", broker_setting.unwrap_or_default());
        let (reading, writing) = (registry(&settings), registry(&settings));
        House {
            reading,
            writing,
            ports: Mutex::default(),
            broker,
            shares: settings.contains("same-host = \"on\""),
        }
    }

    pub fn descriptor(&self, name: &str) -> String {
        match &self.broker {
            Some(_) => format!("netpipe:{name}"),
            None => {
                let mut ports = self.ports.lock().unwrap();
                let port = ports.entry(name.to_owned()).or_insert_with(free_port);
                format!("tcp://127.0.0.1:{port}")
            }
        }
    }

    pub fn reader(&self, name: &str) -> OpenFile {
        self.reading.open(&self.descriptor(name), &OpenOptions::new(READ)).unwrap()
    }

    pub fn writer(&self, name: &str) -> OpenFile {
        self.writing.open(&self.descriptor(name), &OpenOptions::new(WRITE)).unwrap()
    }

    /// Both ends, met: one byte went through.
    pub fn pair(&self, name: &str) -> (OpenFile, OpenFile) {
        let (mut reader, mut writer) = (self.reader(name), self.writer(name));
        writer.write_all(b"x").unwrap();
        read_exactly(&mut reader, 1);
        for _ in 0..if self.shares { WARM } else { 0 } {
            writer.write_all(b"w").unwrap();
            read_exactly(&mut reader, 1);
        }
        (reader, writer)
    }
}

/// Runs a test in both kinds of house, and in one whose pipes go through memory.
pub fn each_way(test: impl Fn(&House)) {
    test(&House::direct());
    test(&House::brokered());
    test(&House::with(None, "same-host = \"on\""));
}

/// Runs a call that must not wait for ever.
#[track_caller]
pub fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(SLACK, call)
}

/// Runs a call into its deadline, and checks that it says what it waited for. One that a busy machine keeps from running until
/// then cannot say, and gets more time.
#[track_caller]
pub fn times_out<T: std::fmt::Debug>(
    file: &mut OpenFile,
    words: &str,
    mut call: impl FnMut(&mut OpenFile) -> Result<T>,
) {
    let mut after = Duration::from_millis(50);
    loop {
        file.control().set_deadline(Some(Instant::now() + after));
        let result = call(file);
        file.control().set_deadline(None);
        match result {
            Err(error) if !error.chain().contains("waiting for") && after < SLACK => after *= 4,
            result => return refused(result, Code::ETIMEDOUT, words),
        }
    }
}

/// Writes until the pipe takes no more, as nobody reads; returns how many bytes it took. One write that times out may have
/// been kept from running.
pub fn fill(writer: &mut OpenFile, bytes: &[u8]) -> usize {
    let (mut written, mut in_vain) = (0, 0);
    while in_vain < 3 {
        writer.control().set_deadline(Some(Instant::now() + Duration::from_millis(100)));
        match writer.write(bytes) {
            Ok(count) => (written, in_vain) = (written + count, 0),
            Err(error) => {
                assert_eq!(error.code(), Code::ETIMEDOUT, "{}", error.chain());
                in_vain += 1;
            }
        }
    }
    writer.control().set_deadline(None);
    written
}
