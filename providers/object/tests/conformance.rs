//! The suite over `object`, against real servers, in-process, through the library and in a process of its own, with and without TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Arc;
use vfs_core::{OpenFlags, Provider, Walls};
use zvfs_conformance::{Blocking, Subject, load_built, load_in_process, run};
use zvfs_engines::{Azure, Google, S3};
use zvfs_http_servers::{Answer, FaultServer, Object, pattern};
use zvfs_object::ObjectProvider;
use zvfs_test_support::provider_process;

/// A store with a bucket, which is also reached by another way than the provider's.
trait Store: Send + Sync + 'static {
    /// What a provider needs to be let in.
    fn settings(&self) -> Vec<(&'static str, String)>;
    fn descriptor(&self, key: &str) -> String;
    fn put(&self, key: &str, content: &[u8]);
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Parts that belong to no object, as far as it tells.
    fn left(&self) -> usize;
    /// Whether it drops metadata.
    fn forgets_times(&self) -> bool {
        false
    }
}

impl Store for S3 {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let ca_file = self.ca_file().to_str().unwrap().to_owned();
        let (id, secret) = (S3::ACCESS_KEY.to_owned(), S3::SECRET_KEY.to_owned());
        vec![("endpoint", self.endpoint()), ("access-key", id), ("secret-key", secret), ("ca-file", ca_file)]
    }

    fn descriptor(&self, key: &str) -> String {
        self.descriptor(key)
    }

    fn put(&self, key: &str, content: &[u8]) {
        self.put(key, content);
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn left(&self) -> usize {
        self.uploads()
    }
}

impl Store for Azure {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let (id, secret) = (Azure::ACCOUNT.to_owned(), Azure::KEY.to_owned());
        vec![
            ("store", "az".to_owned()),
            ("endpoint", self.endpoint()),
            ("access-key", id),
            ("secret-key", secret),
        ]
    }

    fn descriptor(&self, key: &str) -> String {
        self.descriptor(key)
    }

    fn put(&self, key: &str, content: &[u8]) {
        self.put(key, content);
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.get(key)
    }

    fn left(&self) -> usize {
        0
    }
}

/// A store of Google's: moto, to which Google's requests are S3's under a token. It knows no condition of Google's.
struct MotoAsGoogle(S3);

impl MotoAsGoogle {
    fn start() -> Option<MotoAsGoogle> {
        S3::moto().map(MotoAsGoogle)
    }
}

impl Store for MotoAsGoogle {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let token = "a-token".to_owned();
        vec![("store", "gs".to_owned()), ("endpoint", self.0.endpoint()), ("session-token", token)]
    }

    fn descriptor(&self, key: &str) -> String {
        self.0.descriptor(key).replacen("s3:", "gs:", 1)
    }

    fn put(&self, key: &str, content: &[u8]) {
        self.0.put(key, content);
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key)
    }

    fn left(&self) -> usize {
        self.0.uploads()
    }

    /// Google's headers of metadata are none to it.
    fn forgets_times(&self) -> bool {
        true
    }
}

/// The provider that runs the suite, with the settings of a store.
type Place = fn(&[(&'static str, String)]) -> Box<dyn Provider>;

fn in_process(_: &[(&'static str, String)]) -> Box<dyn Provider> {
    Box::new(ObjectProvider)
}

fn library(_: &[(&'static str, String)]) -> Box<dyn Provider> {
    let library = load_built("object").unwrap();
    assert_eq!(library.info(), ObjectProvider.info());
    library
}

/// In a process of its own, with what docs/object.md says that it needs.
fn process(settings: &[(&'static str, String)]) -> Box<dyn Provider> {
    let read = settings.iter().filter(|(name, _)| *name == "ca-file").map(|(_, path)| path.into()).collect();
    let walls = Walls { tcp_connect: true, dns: true, read, ..Walls::default() };
    let provider = load_in_process("object", provider_process(), &walls).unwrap();
    assert_eq!(provider.info(), ObjectProvider.info());
    provider
}

fn subject(store: &impl Store, place: Place) -> Subject {
    let settings = store.settings();
    let subject = Subject::new(place(&settings));
    let subject = if store.forgets_times() { subject.forgets_times() } else { subject };
    settings.iter().fold(subject, |subject, (name, text)| subject.setting(name, text))
}

/// Everything, looked at by another way than the provider's.
fn suite(store: Option<impl Store>, place: Place) {
    let Some(store) = store else { return };
    let (subject, store) = (subject(&store, place), Arc::new(store));
    let (source, target, look) = (store.clone(), store.clone(), store.clone());
    run(subject
        .source(move |name, content| {
            source.put(name, content);
            Ok(source.descriptor(name))
        })
        .target(move |name| Ok(target.descriptor(name)))
        .contents(move |descriptor| Ok(look.get(descriptor.rsplit('/').next().unwrap_or_default()))));
    assert_eq!(store.left(), 0, "parts were left");
}

/// Everything by the provider alone.
fn suite_by_itself(store: Option<impl Store>, place: Place) {
    let Some(store) = store else { return };
    run(subject(&store, place).target(move |name| Ok(store.descriptor(name))));
}

/// A test for each store and place.
macro_rules! suites {
    ($($name:ident: $suite:ident, $store:expr, $place:ident;)*) => {$(
        #[test]
        fn $name() {
            $suite($store, $place);
        }
    )*};
}

suites! {
    moto_in_process: suite, S3::moto(), in_process;
    moto_through_the_library: suite, S3::moto(), library;
    moto_in_a_process_of_its_own: suite, S3::moto(), process;
    moto_with_tls_in_process: suite_by_itself, S3::moto_with_tls(), in_process;
    moto_with_tls_in_a_process_of_its_own: suite_by_itself, S3::moto_with_tls(), process;
    s3s_in_process: suite, S3::s3s(), in_process;
    s3s_through_the_library: suite, S3::s3s(), library;
    s3s_in_a_process_of_its_own: suite, S3::s3s(), process;
    azurite_in_process: suite, Azure::azurite(), in_process;
    azurite_through_the_library: suite, Azure::azurite(), library;
    azurite_in_a_process_of_its_own: suite, Azure::azurite(), process;
    moto_as_google_in_process: suite, MotoAsGoogle::start(), in_process;
    moto_as_google_through_the_library: suite, MotoAsGoogle::start(), library;
}

/// What writes is not in fake-gcs-server's XML API.
#[test]
fn fake_gcs_server_is_read_through_the_library() {
    let Some(store) = Google::fake() else { return };
    let subject = Subject::new(library(&[])).setting("store", "gs").setting("endpoint", &store.endpoint());
    run(subject.read_only().source(move |name, content| {
        store.put(name, content);
        Ok(store.descriptor(name))
    }));
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
