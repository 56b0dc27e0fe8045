//! Hosts to test with, a store that can be spoilt, and what a fetch comes to.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use vfs_core::{Code, Configuration, Error, Host, Level, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_http_servers::{After, Answer, FaultServer, Object, Peer, Request, pattern};
use zvfs_test_support::within;

pub const READ: OpenFlags = OpenFlags::READ;
pub const UPLOAD: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::ATOMIC);

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// What every object here is called.
pub const NAME: &str = "s3://bucket/object";

/// Pauses between attempts that are too short to notice, and small parts.
pub const QUICK: &str = r#"retries = 2, retry-delay = "1ms", part-size = "5m", parallel = 2"#;

/// A host with the library, for a store at this endpoint, and with further settings.
pub fn registry(endpoint: &str, settings: &str) -> Registry {
    told_to(|_, text| eprintln!("{text}"), endpoint, settings)
}

/// As [`registry`], with a log of its own.
pub fn told_to(
    log: impl Fn(Level, &str) + Send + Sync + 'static,
    endpoint: &str,
    settings: &str,
) -> Registry {
    let configuration = format!("[provider.object]\nsettings = {{ endpoint = {endpoint:?}, {settings} }}\n");
    let host = Host::logging("tests", "1", log);
    let registry = Registry::with_host(Configuration::parse(&configuration).unwrap(), host);
    registry.register(crate::provider()).unwrap();
    registry
}

/// A host for a server whose pauses are short.
pub fn quick(server: &FaultServer) -> Registry {
    registry(&server.url(""), QUICK)
}

/// An object that is read, whose answer to some requests is changed.
pub fn spoiling(
    object: Object,
    spoil: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
) -> FaultServer {
    FaultServer::http(move |request, peer| peer.send(&spoil(request, object.answer(request))))
}

/// A store that takes uploads; `spoil` may answer in its place, after the request's body.
pub fn taking(
    spoil: impl Fn(&Request, Step, &mut Peer) -> Option<io::Result<After>> + Send + Sync + 'static,
) -> FaultServer {
    FaultServer::http(move |request, peer| {
        peer.body(request)?;
        let step = Step::of(request);
        spoil(request, step, peer).unwrap_or_else(|| peer.send(&step.answer()))
    })
}

/// What a request of an upload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All of it.
    Put,
    /// Begins one in parts.
    Begin,
    /// Sends a part.
    Part,
    /// Makes it visible.
    Complete,
    /// Removes the parts.
    Abort,
    /// Asks for the object, which is not there.
    Look,
}

impl Step {
    pub fn of(request: &Request) -> Step {
        match (request.method.as_str(), request.target.split_once('?').map_or("", |(_, query)| query)) {
            ("PUT", "") => Step::Put,
            ("PUT", _) => Step::Part,
            ("POST", query) if query.contains("uploadId=") => Step::Complete,
            ("POST", _) => Step::Begin,
            ("DELETE", _) => Step::Abort,
            _ => Step::Look,
        }
    }

    pub fn answer(self) -> Answer {
        let tagged = || Answer::new(200).with("ETag", "\"tag\"");
        match self {
            Step::Put | Step::Part => tagged(),
            Step::Begin => Answer::new(200).body(
                "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
            ),
            Step::Complete => tagged()
                .body("<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>"),
            Step::Abort => Answer::new(204),
            Step::Look => Answer::new(404),
        }
    }
}

/// An error as S3 answers it.
pub fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Answer::new(status).body(body)
}

/// How many requests of this kind a server had.
pub fn count(server: &FaultServer, step: Step) -> usize {
    server.requests().iter().filter(|request| Step::of(request) == step).count()
}

/// Counts, and says whether it was one of the first so many.
pub fn is_early(counter: &AtomicUsize, first: usize) -> bool {
    counter.fetch_add(1, Ordering::Relaxed) < first
}

/// Opens, and reads to the end or until something fails; never for ever.
#[track_caller]
pub fn fetch(registry: &Registry) -> (Vec<u8>, Option<Error>) {
    let registry = registry.clone();
    in_time(move || match open(&registry, READ) {
        Ok(mut file) => drain(&mut file),
        Err(error) => (Vec::new(), Some(error)),
    })
}

/// Reads to the end, or until it fails.
pub fn drain(file: &mut OpenFile) -> (Vec<u8>, Option<Error>) {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 50_000]);
    loop {
        match file.read(&mut buf) {
            Ok(0) => return (bytes, None),
            Ok(count) => bytes.extend_from_slice(&buf[..count]),
            Err(error) => return (bytes, Some(error)),
        }
    }
}

/// The pattern's bytes, all of them.
#[track_caller]
pub fn is_whole((bytes, error): (Vec<u8>, Option<Error>), size: u64) {
    assert!(error.is_none(), "after {} bytes: {}", bytes.len(), error.unwrap().chain());
    assert!(bytes == pattern::bytes(0..size), "wrong bytes, {} of {size}", bytes.len());
}

/// An error of this code; what came before it is right.
#[track_caller]
pub fn failed((bytes, error): (Vec<u8>, Option<Error>), code: Code) -> Error {
    assert!(bytes == pattern::bytes(0..bytes.len() as u64), "wrong bytes");
    let Some(error) = error else { panic!("{} bytes and the end", bytes.len()) };
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}

pub fn open(registry: &Registry, flags: OpenFlags) -> Result<OpenFile> {
    registry.open(NAME, &OpenOptions::new(flags))
}

/// Writes so many bytes and commits; never for ever.
#[track_caller]
pub fn upload(registry: &Registry, flags: OpenFlags, size: u64) -> Result<()> {
    let registry = registry.clone();
    in_time(move || {
        let mut file = open(&registry, flags)?;
        write_all(&mut file, size)?;
        file.finish(vfs_core::Finish::Commit)
    })
}

/// Writes so many of the pattern's bytes.
pub fn write_all(file: &mut OpenFile, size: u64) -> Result<()> {
    pattern::bytes(0..size).chunks(500_000).try_for_each(|piece| file.write_all(piece))
}

/// Runs a call that must not wait for ever.
#[track_caller]
pub fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(SLACK, call)
}

/// An error of this code.
#[track_caller]
pub fn refused<T>(result: Result<T>, code: Code) -> Error {
    let Err(error) = result else { panic!("it was not refused") };
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}

/// A file with a secret in a folder that goes with it.
pub fn secret(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    (folder, file)
}
