//! Hosts to test with, and what a fetch comes to.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vfs_core::{Code, Configuration, Error, Host, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_http_servers::{Answer, FaultServer, Object, Request, pattern};
pub use zvfs_test_support::in_thread;
use zvfs_test_support::within;

pub const READ: OpenFlags = OpenFlags::READ;
pub const UPLOAD: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// A host with the library and these settings, as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    logging(settings).0
}

/// A host whose pauses between attempts are too short to notice.
pub fn quick() -> Registry {
    registry(QUICK)
}

/// Pauses between attempts that are too short to notice, as a setting.
pub const QUICK: &str = r#"retry-delay = "1ms""#;

/// A host, and what is logged in it.
pub fn logging(settings: &str) -> (Registry, Log) {
    let configuration = format!("[provider.http]\nsettings = {{ {settings} }}\n");
    let log = Log::default();
    let registry = Registry::with_host(Configuration::parse(&configuration).unwrap(), log.host());
    registry.register(crate::provider()).unwrap();
    (registry, log)
}

/// What providers say.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    pub fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }

    fn host(&self) -> Host {
        let log = self.0.clone();
        Host::logging("faults", "1", move |level, text| {
            println!("  log {level:?}: {text}");
            *log.lock().unwrap() += &format!("{text}\n");
        })
    }
}

/// What a fetch came to.
pub struct Fetched {
    pub bytes: Vec<u8>,
    pub error: Option<Error>,
}

/// Opens and reads to the end, or until something fails; never for ever.
#[track_caller]
pub fn fetch(registry: &Registry, descriptor: &str) -> Fetched {
    fetch_with(registry, descriptor, OpenOptions::new(READ))
}

#[track_caller]
pub fn fetch_with(registry: &Registry, descriptor: &str, how: OpenOptions) -> Fetched {
    let (registry, descriptor) = (registry.clone(), descriptor.to_owned());
    in_time(move || match registry.open(&descriptor, &how) {
        Ok(mut file) => drain(&mut file),
        Err(error) => Fetched { bytes: Vec::new(), error: Some(error) },
    })
}

/// Reads to the end, or until it fails. A failure is repeated by the next read, and so is an end.
pub fn drain(file: &mut OpenFile) -> Fetched {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 50_000]);
    loop {
        match file.read(&mut buf) {
            Ok(0) => {
                assert_eq!(file.read(&mut buf).unwrap(), 0, "bytes after the end");
                return Fetched { bytes, error: None };
            }
            Ok(count) => bytes.extend_from_slice(&buf[..count]),
            Err(error) => return Fetched { bytes, error: Some(error) },
        }
    }
}

impl Fetched {
    /// The pattern's bytes of this range, all of them.
    #[track_caller]
    pub fn is(&self, range: Range<u64>) {
        if let Some(error) = &self.error {
            panic!("after {} bytes: {} ({:?})", self.bytes.len(), error.chain(), error.code());
        }
        self.is_right(range.start);
        assert_eq!(self.bytes.len() as u64, range.end - range.start, "the end came at the wrong place");
    }

    /// An error of this code; what came before it is right.
    #[track_caller]
    pub fn failed(&self, code: Code) -> &Error {
        self.is_right(0);
        let Some(error) = &self.error else { panic!("{} bytes and the end", self.bytes.len()) };
        assert_eq!(error.code(), code, "{}", error.chain());
        error
    }

    #[track_caller]
    fn is_right(&self, start: u64) {
        let wanted = pattern::bytes(start..start + self.bytes.len() as u64);
        let wrong = self.bytes.iter().zip(&wanted).position(|(have, want)| have != want);
        assert_eq!(wrong, None, "wrong bytes from here");
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.bytes.len(), self.error.as_ref().map(Error::chain))
    }
}

/// Reads at an offset until the buffer is full or the end comes.
pub fn read_at(file: &OpenFile, offset: u64, count: usize) -> Result<Vec<u8>> {
    let (mut buf, mut done) = (vec![0; count], 0);
    while done < count {
        match file.read_at(&mut buf[done..], offset + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    buf.truncate(done);
    Ok(buf)
}

/// An object, whose answer to some requests is changed.
pub fn spoiling(
    object: Object,
    spoil: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
) -> FaultServer {
    FaultServer::http(move |request, peer| peer.send(&spoil(request, object.answer(request))))
}

/// An object as it is.
pub fn serving(object: Object) -> FaultServer {
    spoiling(object, |_, answer| answer)
}

/// An object, each answer of which ends after so many bytes of its body.
pub fn dropping(object: Object, after: u64, how: zvfs_http_servers::After) -> FaultServer {
    FaultServer::http(move |request, peer| peer.cut(&object.answer(request), after, how))
}

/// Answers everything with these bytes, and closes.
pub fn saying(bytes: impl Into<Vec<u8>>) -> FaultServer {
    let bytes = bytes.into();
    FaultServer::http(move |_, peer| {
        peer.raw(&bytes)?;
        Ok(zvfs_http_servers::After::Close)
    })
}

/// Runs a call that must not wait for ever.
#[track_caller]
pub fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(SLACK, call)
}

#[track_caller]
pub fn refused<T: fmt::Debug>(result: Result<T>, code: Code) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}

/// Opens this, and calls with the file; never for ever.
#[track_caller]
pub fn with_file<T: Send + 'static>(
    registry: Registry,
    url: String,
    flags: OpenFlags,
    call: impl FnOnce(&mut OpenFile) -> T + Send + 'static,
) -> T {
    in_time(move || call(&mut registry.open(&url, &OpenOptions::new(flags)).unwrap()))
}

/// Writes all, in pieces.
pub fn write_all(file: &mut OpenFile, bytes: &[u8]) -> Result<()> {
    bytes.chunks(50_000).try_for_each(|piece| file.write_all(piece))
}

/// The bytes that a server sent before its client had enough.
#[derive(Clone, Default)]
pub struct Sent(Arc<std::sync::atomic::AtomicU64>);

impl Sent {
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, std::sync::atomic::Ordering::Relaxed);
    }

    pub fn total(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Sends the same bytes again and again, as long as the client takes them, but not for ever.
pub fn flood(peer: &mut zvfs_http_servers::Peer, piece: &[u8], total: usize, sent: &Sent) -> io::Result<()> {
    let block: Vec<u8> = piece.repeat((64 << 10) / piece.len() + 1);
    for _ in 0..total / block.len() {
        peer.raw(&block)?;
        sent.add(block.len());
    }
    Ok(())
}
