//! Hosts and torrents to test with.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use vfs_core::{Code, Configuration, Control, Error, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_conformance::load_built;
use zvfs_engines::torrent::Torrent;
use zvfs_test_support::within;

pub const READ: OpenFlags = OpenFlags::READ;

/// Bytes of a piece, in most tests.
pub const PIECE: usize = 64 << 10;

/// Whatever happens here takes seconds at most; a loaded machine gets more. Less than any timeout of the provider's own.
pub const SLACK: Duration = Duration::from_secs(120);

/// A host with the library and these settings, as an operator writes them, and a folder for what a test makes.
pub struct Place {
    pub registry: Registry,
    pub folder: TempDir,
}

impl Place {
    /// A place where these peers are known.
    pub fn with_peers<P: fmt::Display>(peers: impl IntoIterator<Item = P>) -> Place {
        Place::new(&peers_setting(peers))
    }

    pub fn new(settings: &str) -> Place {
        Place::within(tempfile::tempdir().unwrap(), settings)
    }

    /// In a folder that is there.
    pub fn within(folder: TempDir, settings: &str) -> Place {
        Place { registry: registry(settings), folder }
    }

    /// Writes a `.torrent`; its descriptor.
    pub fn torrent(&self, torrent: &Torrent) -> String {
        self.file(&format!("{}.torrent", torrent.name), &torrent.file)
    }

    /// Writes what may be a `.torrent`; its descriptor.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        written(self.folder.path(), name, content)
    }

    #[track_caller]
    pub fn open(&self, descriptor: &str) -> OpenFile {
        self.try_open(descriptor).unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    /// Never for ever.
    #[track_caller]
    pub fn try_open(&self, descriptor: &str) -> Result<OpenFile> {
        self.try_open_with(descriptor, OpenOptions::new(READ))
    }

    #[track_caller]
    pub fn try_open_with(&self, descriptor: &str, options: OpenOptions) -> Result<OpenFile> {
        let (registry, descriptor) = (self.registry.clone(), descriptor.to_owned());
        within(SLACK, move || registry.open(&descriptor, &options))
    }

    /// Opens and reads to the end.
    #[track_caller]
    pub fn fetch(&self, descriptor: &str) -> Vec<u8> {
        let mut file = self.open(descriptor);
        within(SLACK, move || drain(&mut file)).unwrap_or_else(|error| panic!("{}", error.chain()))
    }
}

/// A host without a folder of its own.
pub fn registry(settings: &str) -> Registry {
    let configuration =
        format!("[provider.file]\n[provider.http]\n[provider.torrent]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&configuration).unwrap());
    registry.register(crate::provider()).unwrap();
    for inner in ["file", "http"] {
        registry.register(load_built(inner).unwrap()).unwrap();
    }
    registry
}

/// The setting `peers`; with nobody in it, one that changes nothing.
pub fn peers_setting<P: fmt::Display>(peers: impl IntoIterator<Item = P>) -> String {
    let peers: Vec<String> = peers.into_iter().map(|peer| format!("\"{peer}\"")).collect();
    match peers.is_empty() {
        true => "trackers = true".to_owned(),
        false => format!("peers = [{}]", peers.join(", ")),
    }
}

pub fn written(folder: &Path, name: &str, content: &[u8]) -> String {
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    format!("torrent:{}", path.display())
}

/// Reads to the end.
pub fn drain(file: &mut OpenFile) -> Result<Vec<u8>> {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buf[..count]),
        }
    }
}

/// Options under a control of the test's.
pub fn under(control: &Control) -> OpenOptions {
    OpenOptions::new(READ).control(control)
}

/// An error of this code, which says this.
#[track_caller]
pub fn refused<T>(outcome: Result<T>, code: Code, words: &str) -> Error {
    let error = outcome.err().expect("it was not refused");
    assert_eq!(error.code(), code, "{}", error.chain());
    let said = error.chain().to_string();
    assert!(said.contains(words), "no `{words}` in `{said}`");
    error
}

/// Bytes that compress badly and repeat nowhere, the same for the same seed.
pub fn random(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        // Marsaglia's xorshift.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}

/// A torrent of one file.
pub fn torrent(name: &str, size: usize) -> Torrent {
    Torrent::of_file(name, &random(size, size as u64), PIECE)
}
