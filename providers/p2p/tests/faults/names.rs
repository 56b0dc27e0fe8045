//! Names: of nodes, of peers, of this side's key.

use crate::common::{Circle, drain, goes_through, reader, refused, registry, writer};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};
use vfs_core::{Code, OpenFile, OpenFlags, OpenOptions};

/// The proposal's two nodes, by one operator's file but for the keys.
#[test]
fn a_node_is_found_by_its_name_alone_and_is_nobody_elses() {
    let circle = Circle::new(3);
    let [one, two, other] = [0, 1, 2].map(|at| registry(&circle.settings(at)));
    goes_through(&mut reader(&two, "p0:r?node=p1"), writer(&one, "p1:w?node=p0"));
    let open = other.open("p2p:p0:r?node=p1", &OpenOptions::new(OpenFlags::READ));
    refused(open, Code::EACCES, "the node p1 has the key");
    // It may say any name, but is who it is.
    let _read = reader(&two, "p0/x:r?node=p1");
    let whole = writer(&other, "//p1/p0>p1/x?mode=w").write(b"x");
    refused(whole, Code::EACCES, "expects another peer");
}

#[test]
fn a_peer_of_a_descriptor_is_one_that_the_operator_lists() {
    let circle = Circle::new(3);
    let host = registry(&circle.settings_knowing(0, &[1]));
    for peer in ["p2".to_owned(), circle.key(2).to_string()] {
        let open = host.open(&format!("p2p:{peer}:a:w"), &OpenOptions::new(OpenFlags::WRITE));
        refused(open, Code::EACCES, "to the setting `peers`");
    }
    for wrong in ["p1:7:a:w", "//p1:7/a?mode=w", "//p1", "a:x?mode=q"] {
        let open = host.open(&format!("p2p:{wrong}"), &OpenOptions::new(OpenFlags::WRITE));
        assert_eq!(open.unwrap_err().code(), Code::EINVAL, "{wrong}");
    }
    let other = registry(&circle.settings(1));
    let by_key = format!("{}:a:w", circle.key(1));
    goes_through(&mut reader(&other, "p0:a:r"), writer(&host, &by_key));
}

#[test]
fn a_pipe_within_one_instance_needs_no_peers() {
    let host = registry("");
    let write = writer(&host, "a");
    goes_through(&mut reader(&host, "a"), write);
    let own = String::from_utf8(drain(&mut reader(&host, "")).0).unwrap();
    let by_key = writer(&host, &format!("{}:b:w", own.trim_end()));
    goes_through(&mut reader(&host, "b"), by_key);
}

/// Who lists a machine by the key of another one waited without being told why.
#[test]
fn a_peer_with_this_sides_own_key_is_said_to_be_this_side() {
    let circle = Circle::new(1);
    let host = registry(&circle.settings(0).replace("p0=", "p7="));
    let (mut read, mut write) = (reader(&host, "p7:a"), writer(&host, "p7:b"));
    let soon =
        |file: &OpenFile| file.control().set_deadline(Some(Instant::now() + Duration::from_millis(500)));
    soon(&read);
    refused(
        read.read(&mut [0; 8]),
        Code::ETIMEDOUT,
        "this side, which `peers` calls p7: nobody in this process",
    );
    soon(&write);
    refused(
        write.write(b"x"),
        Code::ETIMEDOUT,
        "this side, which `peers` calls p7: it has no such reader yet",
    );
}

/// Who left `peers` out waited for a writer without being told that none is let in.
#[test]
fn a_side_that_lists_nobody_says_so() {
    let host = registry("");
    let (mut read, mut write) = (reader(&host, "a"), writer(&host, "b"));
    let soon =
        |file: &OpenFile| file.control().set_deadline(Some(Instant::now() + Duration::from_millis(500)));
    soon(&read);
    let words = "this side, since `peers` lists nobody else: nobody in this process has written yet";
    refused(read.read(&mut [0; 8]), Code::ETIMEDOUT, words);
    soon(&write);
    let words = "this side, since `peers` lists nobody else: it has no such reader yet";
    refused(write.write(b"x"), Code::ETIMEDOUT, words);
}

#[test]
fn the_key_of_a_file_is_shown_and_one_that_others_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let settings = format!("key-file = {path:?}");
    let shown = drain(&mut reader(&registry(&settings), "")).0;
    assert_eq!(shown, fs::read(folder.path().join("key.pub")).unwrap());
    assert_eq!(drain(&mut reader(&registry(&settings), "")).0, shown);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = registry(&settings).open("p2p:", &OpenOptions::new(OpenFlags::READ));
    refused(open, Code::EACCES, "chmod 600");
}

#[test]
fn both_ends_that_digest_compare() {
    let circle = Circle::new(2);
    let [one, two] = [0, 1].map(|at| registry(&circle.settings(at)));
    for digest in ["sha256", "blake3"] {
        let write = writer(&one, &format!("p1:{digest}:w?digest={digest}"));
        goes_through(&mut reader(&two, &format!("{digest}:r?digest={digest}")), write);
    }
}
