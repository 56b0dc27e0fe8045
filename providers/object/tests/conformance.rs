//! The suite over `object`, against real servers, in-process, through the library and in a process of its own, with and without TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use vfs_core::{OpenFlags, Provider, Walls};
use zvfs_conformance::{Blocking, Subject, load_built, load_in_process, run};
use zvfs_engines::S3;
use zvfs_http_servers::{Answer, FaultServer, Object, pattern};
use zvfs_object::ObjectProvider;
use zvfs_test_support::provider_process;

/// The provider that runs the suite over a server.
type Place = fn(&S3) -> Box<dyn Provider>;

fn in_process(_: &S3) -> Box<dyn Provider> {
    Box::new(ObjectProvider)
}

fn library(_: &S3) -> Box<dyn Provider> {
    let library = load_built("object").unwrap();
    assert_eq!(library.info(), ObjectProvider.info());
    library
}

/// In a process of its own, with what docs/operators.md says that it needs.
fn process(server: &S3) -> Box<dyn Provider> {
    let walls = Walls { tcp_connect: true, dns: true, read: vec![server.ca_file()], ..Walls::default() };
    let provider = load_in_process("object", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), ObjectProvider.info());
    provider
}

fn subject(provider: Box<dyn Provider>, server: &S3) -> Subject {
    Subject::new(provider)
        .setting("endpoint", &server.endpoint())
        .setting("access-key", S3::ACCESS_KEY)
        .setting("secret-key", S3::SECRET_KEY)
        .setting("ca-file", server.ca_file().to_str().unwrap())
}

/// Everything, looked at by another way than the provider's.
fn suite(server: Option<S3>, place: Place) {
    let Some(server) = server else { return };
    let (subject, server) = (subject(place(&server), &server), Arc::new(server));
    let (source, target, look) = (server.clone(), server.clone(), server.clone());
    run(subject
        .source(move |name, content| {
            source.put(name, content);
            Ok(source.descriptor(name))
        })
        .target(move |name| Ok(target.descriptor(name)))
        .contents(move |descriptor| Ok(look.get(descriptor.rsplit('/').next().unwrap_or_default()))));
    assert_eq!(server.uploads(), 0, "parts were left");
}

/// Everything by the provider alone.
fn suite_by_itself(server: Option<S3>, place: Place) {
    let Some(server) = server else { return };
    let subject = subject(place(&server), &server);
    run(subject.target(move |name| Ok(server.descriptor(name))));
}

/// A test for each server and place.
macro_rules! suites {
    ($($name:ident: $suite:ident, $server:ident, $place:ident;)*) => {$(
        #[test]
        fn $name() {
            $suite(S3::$server(), $place);
        }
    )*};
}

suites! {
    moto_in_process: suite, moto, in_process;
    moto_through_the_library: suite, moto, library;
    moto_in_a_process_of_its_own: suite, moto, process;
    moto_with_tls_in_process: suite_by_itself, moto_with_tls, in_process;
    moto_with_tls_in_a_process_of_its_own: suite_by_itself, moto_with_tls, process;
    s3s_in_process: suite, s3s, in_process;
    s3s_through_the_library: suite, s3s, library;
    s3s_in_a_process_of_its_own: suite, s3s, process;
}

/// A store that never says a word of some objects.
#[test]
fn a_store_that_hangs_in_process() {
    const SIZE: u64 = 1 << 20;
    const ONE: &str = "<ListBucketResult><Contents><Key>object</Key><Size>1048576</Size>\
                       <LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>";
    let server = FaultServer::http(|request, peer| match request.target.as_str() {
        target if target.contains("hangs") => peer.stall(),
        target if target.contains("prefix=") => peer.send(&Answer::new(200).body("<ListBucketResult/>")),
        target if target.contains("list-type") => peer.send(&Answer::new(200).body(ONE)),
        _ => peer.send(&Object::new(SIZE).answer(request)),
    });
    let subject = Subject::new(Box::new(ObjectProvider))
        .setting("endpoint", &server.url("/"))
        .fixed_source("s3://bucket/object", &pattern::bytes(0..SIZE))
        .blocking(|name| {
            Ok(Blocking { descriptor: format!("s3://bucket/hangs-{name}"), flags: OpenFlags::READ })
        });
    run(subject.read_only());
    drop(server);
}
