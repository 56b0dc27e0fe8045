//! Keys, and what lies below them.

use crate::*;
use std::ops::ControlFlow;
use vfs_core::{Finish, Kind};

fn options() -> OpenOptions {
    OpenOptions::new(OpenFlags::empty())
}

fn list(registry: &Registry, descriptor: &str) -> Result<Vec<(String, Kind)>> {
    let mut found = Vec::new();
    registry.list(descriptor, &options(), &mut |entry| {
        found.push((entry.name.to_owned(), entry.stat.map_or(Kind::Unknown, |stat| stat.kind)));
        ControlFlow::Continue(())
    })?;
    found.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

#[test]
fn odd_keys_are_written_read_listed_and_removed() {
    for (server, registry) in servers() {
        for (written, name) in [
            ("a%20b", "a b"),
            ("%C3%BC", "\u{fc}"),
            ("a+b&c=d", "a+b&c=d"),
            ("100%25", "100%"),
            ("what%3F", "what?"),
            ("x%23y", "x#y"),
            ("it's;so", "it's;so"),
        ] {
            let descriptor = server.descriptor(&format!("odd/{written}"));
            let mut file = open(&registry, &descriptor, UPLOAD).unwrap();
            file.write_all(name.as_bytes()).unwrap();
            file.finish(Finish::Commit).unwrap();
            let mut file = open(&registry, &descriptor, READ).unwrap();
            assert_eq!(read_all(&mut file).unwrap(), name.as_bytes(), "{written}");
            assert_eq!(
                list(&registry, &server.descriptor("odd")).unwrap(),
                [(name.to_owned(), Kind::Regular)]
            );
            registry.remove(&descriptor, &options()).unwrap();
            refused(registry.stat(&descriptor, &options()), Code::ENOENT);
        }
    }
}

#[test]
fn a_folder_is_where_keys_lie_below() {
    // s3s-fs has folders of its own, for which it answers 500.
    for (server, registry) in servers().into_iter().filter(|(server, _)| server.has_keys_alone()) {
        for key in ["top", "a/one", "a/b/two", "a/b/three"] {
            server.put(key, b"x");
        }
        let file = |name: &str| (name.to_owned(), Kind::Regular);
        let folder = |name: &str| (name.to_owned(), Kind::Directory);
        assert_eq!(list(&registry, "s3://bucket").unwrap(), [folder("a"), file("top")]);
        assert_eq!(list(&registry, "s3://bucket/a").unwrap(), [folder("b"), file("one")]);
        assert_eq!(list(&registry, "s3://bucket/a/b/").unwrap(), [file("three"), file("two")]);
        refused(list(&registry, "s3://bucket/top"), Code::ENOTDIR);
        refused(list(&registry, "s3://bucket/none"), Code::ENOENT);
        for name in ["s3://bucket", "s3://bucket/a", "s3://bucket/a/"] {
            assert_eq!(registry.stat(name, &options()).unwrap().kind, Kind::Directory, "{name}");
            refused(registry.remove(name, &options()), Code::EISDIR);
        }
        refused(registry.stat("s3://bucket/none/", &options()), Code::ENOENT);
        refused(open(&registry, "s3://bucket/a/", READ), Code::EISDIR);
        refused(open(&registry, "s3://bucket/a", READ), Code::ENOENT);
    }
}

#[test]
fn a_list_of_more_than_a_page_is_whole_and_may_end_early() {
    let Some(server) = S3::moto() else { return };
    let registry = registry(&server.settings());
    const KEYS: usize = 1_100;
    for number in 0..KEYS {
        server.put(&format!("many/{number:04}"), b"");
    }
    let found = list(&registry, "s3://bucket/many").unwrap();
    assert_eq!(found.len(), KEYS);
    assert_eq!(found[KEYS - 1].0, format!("{:04}", KEYS - 1));
    let mut count = 0;
    let early = registry.list("s3://bucket/many", &options(), &mut |_| {
        count += 1;
        if count < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    early.unwrap();
    assert_eq!(count, 3);
}
