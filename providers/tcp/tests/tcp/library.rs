//! The core of it through the provider's own library, as a host uses it.

use crate::common::*;
use crate::conformance::suite;
use vfs_core::{Code, Configuration, OpenOptions, Provider, Registry};
use zvfs_conformance::load_built;
use zvfs_tcp::Tcp;

fn loaded() -> Registry {
    Registry::new(Configuration::with_provider_path([zvfs_test_support::built()]))
}

#[test]
fn a_pipe_between_a_loaded_library_and_this_process() {
    let (loaded, own) = (loaded(), registry(""));
    for (reading, writing) in [(&loaded, &own), (&own, &loaded), (&loaded, &loaded)] {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let mut reader = reading.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        let writer = writing.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
        goes_through(&mut reader, writer, &sample(1_000_000));
    }
}

#[test]
fn errors_keep_their_codes_through_the_library() {
    let registry = loaded();
    let descriptor = format!("netpipe://127.0.0.1:{}/x?mode=w", free_port());
    refused(registry.open(&descriptor, &OpenOptions::new(READ)).map(drop), Code::EBADF, "for writing");
    let mut writer = registry.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
    writer.control().set_deadline(Some(std::time::Instant::now() + WAITS));
    refused(writer.write(b"x"), Code::ETIMEDOUT, "waiting for its reader");
    let (mut reader, mut writer) = {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let reader = registry.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        (reader, registry.open(&descriptor, &OpenOptions::new(WRITE)).unwrap())
    };
    writer.write_all(b"parts").unwrap();
    drop(writer);
    let (bytes, error) = drain(&mut reader);
    assert_eq!((bytes.as_slice(), error.unwrap().code()), (b"parts".as_slice(), Code::ECONNRESET));
}

#[test]
fn the_library_passes_the_suite() {
    let library = load_built("tcp").unwrap();
    assert_eq!(library.info(), Tcp.info());
    suite(library);
}
