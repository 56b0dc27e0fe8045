//! `zvfs mv`: what is removed once it has been copied, and what stays.

use super::{files, tree};
use crate::support::{Folder, run, zvfs};
use std::fs;
use std::os::unix::fs::symlink;
use zvfs_http_servers::{Answer, FaultServer};

#[test]
fn mv_removes_what_it_has_copied() {
    let folder = tree();
    let mv = |arguments: &[&str]| run(zvfs([&["mv"], arguments].concat()));
    let (a, b, into) = (folder.at("tree/a.txt"), folder.at("tree/b.csv"), folder.at("tree/empty"));
    mv(&[&a, &b, &into]).succeeded();
    assert_eq!(files(&folder.at("tree")), ["empty/a.txt", "empty/b.csv", "sub/c.csv", "sub/deep/d.txt"]);
    let moved = folder.at("tree/empty/a.txt");
    mv(&[&moved, &a]).succeeded();
    assert_eq!(fs::read_to_string(&a).unwrap(), "a");
    mv(&[&moved, &a]).failed(2, &["moved 0 files", "1 failed"]);
    mv(&[&folder.at("tree/sub"), &into]).failed(21, &["not moved"]);
    mv(&["-", &into]).failed(22, &["`-`"]);
    // The same file by whatever name: it stays.
    symlink("a.txt", folder.at("tree/link")).unwrap();
    fs::hard_link(&a, folder.at("tree/hard")).unwrap();
    for name in ["tree/a.txt", "tree/sub/../a.txt", "tree/link", "tree/hard"] {
        mv(&[&a, &folder.at(name)]).failed(22, &["one file"]);
        assert_eq!(fs::read_to_string(&a).unwrap(), "a");
    }
    // What cannot be copied stays as well, and what would go where nothing is kept.
    for (nowhere, kind) in
        [("null:", "device"), ("/dev/null", "device"), ("mem:x", "memory"), ("tcp://127.0.0.1:9", "pipe")]
    {
        mv(&[&a, nowhere]).failed(22, &["not kept"]);
        assert_eq!(fs::read_to_string(&a).unwrap(), "a", "{kind}");
    }
    let file = folder.write("file", "");
    mv(&[&a, &format!("{file}/x")]).failed(20, &["directory"]);
    assert_eq!(fs::read_to_string(&a).unwrap(), "a");
}

/// A stranger's report: a server that answers an upload as a download lost the file. One that has it already, byte for byte, may say so.
#[test]
fn mv_keeps_what_a_server_did_not_take() {
    for (has, code) in [("old", 5), ("new", 0)] {
        let server = FaultServer::http(move |request, peer| {
            peer.body(request)?;
            peer.send(&Answer::new(200).with("ETag", "\"1\"").body(has))
        });
        let folder = Folder::new();
        let file = folder.write("file", "new");
        let done = run(zvfs(["mv", "--dst-o", "expect-timeout=0s", &file, &server.url("/file")]));
        match code {
            0 => drop(done.succeeded()),
            _ => done.failed(code, &["took nothing", "1 failed"]),
        }
        assert_eq!(fs::exists(&file).unwrap(), code != 0);
    }
}
