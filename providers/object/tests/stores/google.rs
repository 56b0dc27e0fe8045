//! Google, by fake-gcs-server: what is read, listed and removed, and whose token is sent.

use crate::*;
use std::ops::ControlFlow;
use vfs_core::Kind;
use zvfs_engines::Google;

fn registry_of(server: &Google) -> Registry {
    registry(&format!("store = \"gs\", endpoint = {:?}", server.endpoint()))
}

fn options() -> OpenOptions {
    OpenOptions::new(OpenFlags::empty())
}

#[test]
fn an_object_is_read_from_start_to_end_and_at_positions() {
    let Some(server) = Google::fake() else { return };
    let (registry, content) = (registry_of(&server), bytes(1, (9 << 20) + 5));
    server.put("folder%2Flarge", &content);
    let descriptor = server.descriptor("folder/large");
    assert!(read_all(&mut open(&registry, &descriptor, READ).unwrap()).unwrap() == content);
    let file = open(&registry, &descriptor, READ).unwrap();
    let mut buf = [0; 1000];
    for at in [5 << 20, 17, (9 << 20) - 3] {
        let count = file.read_at(&mut buf, at as u64).unwrap();
        assert!(count > 0 && buf[..count] == content[at..at + count], "{count} bytes at {at}");
    }
    refused(open(&registry, &server.descriptor("folder/none"), READ), Code::ENOENT);
}

#[test]
fn an_object_that_changed_is_estale() {
    let Some(server) = Google::fake() else { return };
    let registry = registry_of(&server);
    server.put("object", &bytes(2, 3 << 20));
    let mut file = open(&registry, &server.descriptor("object"), READ).unwrap();
    file.read(&mut [0; 100]).unwrap();
    server.put("object", &bytes(3, 3 << 20));
    refused(read_all(&mut file), Code::ESTALE);
}

#[test]
fn keys_are_listed_looked_at_and_removed() {
    let Some(server) = Google::fake() else { return };
    let registry = registry_of(&server);
    for key in ["top", "a%2Fone", "a%2Fa%20b%25", "a%2Fb%2Ftwo"] {
        server.put(key, b"12345");
    }
    let list = |descriptor: &str| {
        let mut found = Vec::new();
        let listed = registry.list(descriptor, &options(), &mut |entry| {
            let stat = entry.stat.unwrap();
            found.push((entry.name.to_owned(), stat.kind, stat.size));
            ControlFlow::Continue(())
        });
        listed.unwrap();
        found.sort_by(|one, other| one.0.cmp(&other.0));
        found
    };
    let names = |found: Vec<(String, Kind, Option<u64>)>| -> Vec<String> {
        found.into_iter().map(|(name, ..)| name).collect()
    };
    let found = list("gs://bucket/a");
    assert_eq!(found[0], ("a b%".to_owned(), Kind::Regular, Some(5)));
    assert_eq!(found[1].1, Kind::Directory);
    assert_eq!(names(found), ["a b%", "b", "one"]);
    assert_eq!(names(list("gs://bucket")), ["a", "top"]);
    assert_eq!(registry.stat("gs://bucket/a/b/two", &options()).unwrap().size, Some(5));
    assert_eq!(registry.stat("gs://bucket/a/b", &options()).unwrap().kind, Kind::Directory);
    registry.remove("gs://bucket/a/a%20b%25", &options()).unwrap();
    assert_eq!(names(list("gs://bucket/a")), ["b", "one"]);
    refused(registry.stat("gs://bucket/a/a%20b%25", &options()), Code::ENOENT);
}
