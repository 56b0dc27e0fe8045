//! Hosts to test with, and what a read or a write comes to.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use vfs_core::{
    Code, Configuration, Error, Finish, Host, OpenFile, OpenFlags, OpenOptions, Registry, Result,
};
use zvfs_engines::ftp::{Act, Command, FaultServer, Peer};
use zvfs_test_support::within;

pub const READ: OpenFlags = OpenFlags::READ;
pub const UPLOAD: OpenFlags =
    OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE).union(OpenFlags::ATOMIC);

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// Pauses between attempts that are too short to notice, as a setting.
pub const QUICK: &str = r#"retry-delay = "1ms""#;

/// A host with the library and these settings, as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    logging(settings).0
}

/// A host whose pauses between attempts are too short to notice.
pub fn quick() -> Registry {
    registry(QUICK)
}

/// A host, and what is logged in it.
pub fn logging(settings: &str) -> (Registry, Log) {
    let configuration = format!("[provider.ftp]\nsettings = {{ {settings} }}\n");
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

/// Content that no two places have alike.
pub fn pattern(count: usize) -> Vec<u8> {
    (0..count.div_ceil(4))
        .flat_map(|word| (word as u32).wrapping_mul(2_654_435_761).to_le_bytes())
        .take(count)
        .collect()
}

/// What a read came to.
pub struct Fetched {
    pub bytes: Vec<u8>,
    pub error: Option<Error>,
}

/// Opens and reads to the end, or until something fails; never for ever.
#[track_caller]
pub fn fetch(registry: &Registry, descriptor: &str) -> Fetched {
    let (registry, descriptor) = (registry.clone(), descriptor.to_owned());
    within(SLACK, move || match registry.open(&descriptor, &OpenOptions::new(READ)) {
        Ok(mut file) => drain(&mut file),
        Err(error) => Fetched { bytes: Vec::new(), error: Some(error) },
    })
}

/// Reads to the end, or until it fails. An end is repeated by the next read.
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
    /// These bytes, all of them.
    #[track_caller]
    pub fn is(&self, content: &[u8]) {
        if let Some(error) = &self.error {
            panic!("after {} bytes: {} ({:?})", self.bytes.len(), error.chain(), error.code());
        }
        assert!(
            self.bytes == content,
            "{} bytes, or other ones than the {}",
            self.bytes.len(),
            content.len()
        );
    }

    /// An error of this code; what came before it is right.
    #[track_caller]
    pub fn failed(&self, code: Code, content: &[u8]) -> &Error {
        assert!(content.starts_with(&self.bytes), "wrong bytes");
        let Some(error) = &self.error else { panic!("{} bytes and the end", self.bytes.len()) };
        assert_eq!(error.code(), code, "{}", error.chain());
        error
    }
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?}", self.bytes.len(), self.error.as_ref().map(Error::chain))
    }
}

/// Writes a file as a whole; never for ever.
#[track_caller]
pub fn upload(registry: &Registry, descriptor: &str, content: &[u8]) -> Result<()> {
    let (registry, descriptor, content) = (registry.clone(), descriptor.to_owned(), content.to_owned());
    within(SLACK, move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(UPLOAD))?;
        content.chunks(50_000).try_for_each(|piece| file.write_all(piece))?;
        file.finish(Finish::Commit)
    })
}

/// An error of this code.
#[track_caller]
pub fn refused<T: fmt::Debug>(result: Result<T>, code: Code) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}

/// A server that treats one command in a way of its own.
pub fn spoiling(
    verb: &'static str,
    spoil: impl Fn(&Command, &mut Peer) -> io::Result<Act> + Send + Sync + 'static,
) -> FaultServer {
    FaultServer::new(move |command, peer| match command.verb == verb {
        true => spoil(command, peer),
        false => Ok(Act::Usual),
    })
}

/// A server that answers one command with this.
pub fn answering(verb: &'static str, reply: &'static str) -> FaultServer {
    spoiling(verb, move |_, peer| {
        peer.reply(reply)?;
        Ok(Act::Done)
    })
}
