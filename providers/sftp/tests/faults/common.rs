//! Hosts to test with, and what a fetch comes to.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;
use vfs_core::{Code, Configuration, Error, Finish, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::pattern;
pub use zvfs_test_support::in_thread;
use zvfs_test_support::within;

pub const READ: OpenFlags = OpenFlags::READ;
pub const REPLACE: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);
pub const ATOMIC: OpenFlags = REPLACE.union(OpenFlags::ATOMIC);

/// Whatever happens here takes milliseconds; a loaded machine gets more.
pub const SLACK: Duration = Duration::from_secs(60);

/// More than the kernel and all windows hold.
pub const LARGE: u64 = 48 << 20;

/// A host with the library and these settings, as an operator writes them.
pub fn registry(settings: &str) -> Registry {
    let configuration = format!("[provider.sftp]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&configuration).unwrap());
    registry.register(crate::provider()).unwrap();
    registry
}

/// A host that knows a server and has its key; pauses between attempts are too short to notice.
pub fn knowing(server: &SshServer) -> Registry {
    registry(&settings(server))
}

/// What such a host is set to.
pub fn settings(server: &SshServer) -> String {
    format!(r#"{}, retry-delay = "1ms""#, with_key(&server.known_hosts(), &server.key_file()))
}

pub fn with_key(known_hosts: &Path, key: &Path) -> String {
    format!("known-hosts = [{known_hosts:?}], key-file = {key:?}")
}

/// OpenSSH with a file `large`.
pub fn with_large_file() -> Option<SshServer> {
    let server = SshServer::openssh()?;
    server.put("large", &pattern::bytes(0..LARGE));
    Some(server)
}

pub fn open(registry: &Registry, descriptor: &str, flags: OpenFlags) -> Result<OpenFile> {
    let (registry, descriptor) = (registry.clone(), descriptor.to_owned());
    in_time(move || registry.open(&descriptor, &OpenOptions::new(flags)))
}

/// Reads to the end, or until it fails.
pub fn drain(file: &mut OpenFile) -> (Vec<u8>, Option<Error>) {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        match file.read(&mut buf) {
            Ok(0) => return (bytes, None),
            Ok(count) => bytes.extend_from_slice(&buf[..count]),
            Err(error) => return (bytes, Some(error)),
        }
    }
}

/// Opens and reads to the end; never for ever.
#[track_caller]
pub fn fetch(registry: &Registry, descriptor: &str) -> Result<Vec<u8>> {
    let (registry, descriptor) = (registry.clone(), descriptor.to_owned());
    in_time(move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(READ))?;
        let (bytes, error) = drain(&mut file);
        error.map_or(Ok(bytes), Err)
    })
}

/// Writes and commits; never for ever.
#[track_caller]
pub fn store(registry: &Registry, descriptor: &str, flags: OpenFlags, bytes: &[u8]) -> Result<()> {
    let (registry, descriptor, bytes) = (registry.clone(), descriptor.to_owned(), bytes.to_owned());
    in_time(move || {
        let mut file = registry.open(&descriptor, &OpenOptions::new(flags))?;
        file.write_all(&bytes)?;
        file.finish(Finish::Commit)
    })
}

/// Whether bytes are those of the pattern from an offset on.
#[track_caller]
pub fn are_right(bytes: &[u8], start: u64) {
    let wanted = pattern::bytes(start..start + bytes.len() as u64);
    let wrong = bytes.iter().zip(&wanted).position(|(have, want)| have != want);
    assert_eq!(wrong, None, "wrong bytes from here");
}

/// Runs a call that must not wait for ever.
#[track_caller]
pub fn in_time<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    within(SLACK, call)
}

#[track_caller]
pub fn refused<T: Debug>(result: Result<T>, code: Code) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}

/// The names in a server's folder.
pub fn names(server: &SshServer) -> Vec<String> {
    let entries = std::fs::read_dir(server.root()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
