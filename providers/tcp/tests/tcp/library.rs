//! The core of it through the provider's own library, as a host uses it.

use crate::common::*;
use crate::conformance::suite;
use vfs_core::{Code, Configuration, Finish, OpenOptions, Provider, Registry};
use zvfs_conformance::load_built;
use zvfs_tcp::Tcp;

fn loaded() -> Registry {
    let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    Registry::new(Configuration::with_provider_path([folder]))
}

#[test]
fn a_pipe_between_a_loaded_library_and_this_process() {
    let (loaded, own) = (loaded(), registry(""));
    for (reading, writing) in [(&loaded, &own), (&own, &loaded), (&loaded, &loaded)] {
        let descriptor = format!("tcp:127.0.0.1:{}", free_port());
        let mut reader = reading.open(&descriptor, &OpenOptions::new(READ)).unwrap();
        let mut writer = writing.open(&descriptor, &OpenOptions::new(WRITE)).unwrap();
        let content = sample(1_000_000);
        let sent = content.clone();
        let done = in_thread(move || {
            writer.write_all(&sent).unwrap();
            writer.finish(Finish::Commit).unwrap();
        });
        assert_eq!(read_to_end(&mut reader), content);
        done.recv_timeout(SLACK).unwrap();
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
