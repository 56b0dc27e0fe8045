//! What two S3 servers make of what the provider does beyond the suite: objects in parts, conditions, versions, keys, credentials.
//! Over the provider's own library, as a host uses it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod azure;
mod google;
mod names;
mod reading;
mod writing;

use std::sync::Arc;
use vfs_core::{Code, Configuration, Error, OpenFile, OpenFlags, OpenOptions, Registry, Result};
use zvfs_conformance::load_built;
use zvfs_engines::S3;

const READ: OpenFlags = OpenFlags::READ;
const UPLOAD: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::ATOMIC);

/// A host with the library and these settings, as an operator writes them.
fn registry(settings: &str) -> Registry {
    let configuration = format!("[provider.object]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&configuration).unwrap());
    registry.register(load_built("object").unwrap()).unwrap();
    registry
}

/// Both servers, each with a host for it that has small parts.
fn servers() -> Vec<(Arc<S3>, Registry)> {
    let servers = [S3::moto(), S3::s3s()].into_iter().flatten();
    servers
        .map(|server| (Arc::new(server), "part-size = \"5m\", parallel = 2"))
        .map(|(server, tuning)| {
            let registry = registry(&format!("{}, {tuning}", server.settings()));
            (server, registry)
        })
        .collect()
}

/// So many bytes, each other than its neighbours' and than those of another seed.
fn bytes(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let mut bytes: Vec<u8> = (0..count.div_ceil(4)).flat_map(|_| step().to_le_bytes()).collect();
    bytes.truncate(count);
    bytes
}

fn open(registry: &Registry, descriptor: &str, flags: OpenFlags) -> Result<OpenFile> {
    registry.open(descriptor, &OpenOptions::new(flags))
}

fn read_all(file: &mut OpenFile) -> Result<Vec<u8>> {
    let (mut bytes, mut buf) = (Vec::new(), vec![0; 100_000]);
    loop {
        match file.read(&mut buf)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buf[..count]),
        }
    }
}

/// An error of this code.
#[track_caller]
fn refused<T>(result: Result<T>, code: Code) -> Error {
    let Err(error) = result else { panic!("it was not refused") };
    assert_eq!(error.code(), code, "{}", error.chain());
    error
}
