//! Objects in parts, and conditions on what is there.

use crate::*;
use vfs_core::Finish;
use zvfs_test_support::eventually;

/// Three parts, of 5 MiB.
const LARGE: usize = (12 << 20) + 3;

#[test]
fn parts_appear_as_one_object_at_commit() {
    for (server, registry) in servers() {
        let (key, content) = ("large", bytes(1, LARGE));
        let mut file = open(&registry, &server.descriptor(key), UPLOAD).unwrap();
        file.write_all(&content).unwrap();
        eventually("the first part is on its way", || server.uploads() == 1);
        assert_eq!(server.get(key), None);
        file.finish(Finish::Commit).unwrap();
        assert!(server.get(key).unwrap() == content);
        assert_eq!(server.uploads(), 0);
        let mut file = open(&registry, &server.descriptor(key), READ).unwrap();
        assert!(read_all(&mut file).unwrap() == content);
    }
}

#[test]
fn parts_that_fill_the_last_one_are_complete() {
    for (server, registry) in servers() {
        let content = bytes(2, 10 << 20);
        let mut file = open(&registry, &server.descriptor("full"), UPLOAD).unwrap();
        file.write_all(&content).unwrap();
        file.finish(Finish::Commit).unwrap();
        assert!(server.get("full").unwrap() == content);
    }
}

#[test]
fn a_discard_leaves_neither_object_nor_parts() {
    for (server, registry) in servers() {
        server.put("kept", b"old");
        for key in ["kept", "new"] {
            let mut file = open(&registry, &server.descriptor(key), UPLOAD).unwrap();
            file.write_all(&bytes(3, LARGE)).unwrap();
            file.finish(Finish::Discard).unwrap();
            assert_eq!(server.uploads(), 0);
        }
        assert_eq!((server.get("kept"), server.get("new")), (Some(b"old".to_vec()), None));
    }
}

#[test]
fn a_close_leaves_neither_object_nor_parts() {
    for (server, registry) in servers() {
        let mut file = open(&registry, &server.descriptor("closed"), UPLOAD).unwrap();
        file.write_all(&bytes(4, LARGE)).unwrap();
        drop(file);
        eventually("the parts are removed", || server.uploads() == 0);
        assert_eq!(server.get("closed"), None);
    }
}

/// A close waits for nothing, so that the parts are the instance's to remove.
#[test]
fn a_host_that_ends_after_a_close_leaves_no_parts() {
    for (server, registry) in servers() {
        let mut file = open(&registry, &server.descriptor("closed"), UPLOAD).unwrap();
        file.write_all(&bytes(5, LARGE)).unwrap();
        drop((file, registry));
        assert_eq!(server.uploads(), 0);
    }
}

#[test]
fn an_exclusive_object_that_somebody_else_made_is_eexist() {
    for (server, registry) in servers() {
        for (key, size) in [("small", 1000), ("parts", LARGE)] {
            let mut file = open(&registry, &server.descriptor(key), UPLOAD | OpenFlags::EXCLUSIVE).unwrap();
            file.write_all(&bytes(6, size)).unwrap();
            server.put(key, b"theirs");
            refused(file.finish(Finish::Commit), Code::EEXIST);
            drop(file);
            assert_eq!(server.get(key).unwrap(), b"theirs");
            refused(open(&registry, &server.descriptor(key), UPLOAD | OpenFlags::EXCLUSIVE), Code::EEXIST);
        }
        eventually("the parts are removed", || server.uploads() == 0);
    }
}

#[test]
fn an_exclusive_object_that_nobody_made_is_made() {
    for (server, registry) in servers() {
        for (key, size) in [("small", 1000), ("parts", LARGE)] {
            let content = bytes(7, size);
            let mut file = open(&registry, &server.descriptor(key), UPLOAD | OpenFlags::EXCLUSIVE).unwrap();
            file.write_all(&content).unwrap();
            file.finish(Finish::Commit).unwrap();
            assert!(server.get(key).unwrap() == content);
        }
    }
}

#[test]
fn more_parts_than_there_may_be_are_refused_at_open() {
    let Some(server) = S3::moto() else { return };
    let registry = registry(&format!("{}, part-size = \"5m\"", server.settings()));
    let how = OpenOptions::new(UPLOAD).expected_size(10_001 * (5 << 20));
    let error = refused(registry.open(&server.descriptor("huge"), &how), Code::EFBIG);
    assert!(error.chain().contains("part-size"), "{}", error.chain());
}
