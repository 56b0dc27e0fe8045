//! What `zvfs cp`, `mv` and their like say when they fail: what was being done, with what, and why, each once.

use super::tree;
use crate::support::{Folder, run, run_long, zvfs};
use std::fs;
use std::os::unix::fs::symlink;
use zvfs_http_servers::{Answer, FaultServer};

/// "copy a to b: write b: ...", "make a: a folder above it is missing: make folder a: ...": a name that is read twice for one failure.
#[test]
fn an_object_is_named_once() {
    let folder = tree();
    symlink(folder.at("nowhere"), folder.at("tree/dangling")).unwrap();
    let at = |name: &str| folder.at(name);
    let (a, sub) = (at("tree/a.txt"), at("tree/sub"));
    // It has come so far when there is no room for it.
    let large = folder.write("large", vec![7; 1 << 20]);
    let cases: &[(&[&str], &str)] = &[
        (&["cp", &at("none"), &at("b")], &at("none")),
        (&["cp", &sub, &at("b")], &sub),
        (&["cp", &a, &at("a-folder-that-is-missing/b")], &at("a-folder-that-is-missing/b")),
        (&["cp", &large, "/dev/full"], "/dev/full"),
        (&["cp", "-r", &at("tree/none"), &at("b")], &at("tree/none")),
        (&["cp", "-rL", &at("tree"), &at("b")], &at("tree/dangling")),
        (&["cp", "--partial", &sub, &at("b")], &sub),
        (&["mkdir", &sub], &sub),
        (&["mkdir", &at("missing/c")], &at("missing/c")),
        (&["mkdir", "-p", &at("tree/a.txt/c")], &at("tree/a.txt")),
        (&["rmdir", &sub], &sub),
        (&["rmdir", &at("none")], &at("none")),
        (&["rm", &sub], &sub),
        (&["rm", &at("none")], &at("none")),
        (&["mv", &at("none"), &at("b")], &at("none")),
        (&["mv", &sub, &at("b")], &sub),
        (&["mv", &a, "/dev/full"], &a),
        (&["cat", &at("none")], &at("none")),
        (&["cat", &sub], &sub),
        (&["cat", "/proc/self/mem"], "/proc/self/mem"),
        (&["stat", &at("none")], &at("none")),
        (&["ls", &a], &a),
    ];
    for (arguments, object) in cases {
        let done = run(zvfs(*arguments));
        let told = format!("{done:?}");
        assert_ne!(done.code, 0, "{arguments:?}: {told}");
        let line = done.stderr.lines().find(|line| line.contains(object));
        let line = line.unwrap_or_else(|| panic!("{arguments:?}: no word of {object} in {told}"));
        assert_eq!(line.matches(object).count(), 1, "{arguments:?}: {line}");
    }
}

/// A server that takes what it is sent into the very file that is sent to it: nothing can know that before, but the copy must not seem to be
/// one.
#[test]
fn a_source_that_its_target_empties_is_no_copy() {
    let folder = Folder::new();
    let source = folder.write("source", vec![7; 6_000_000]);
    let kept = source.clone();
    let server = FaultServer::http(move |request, peer| {
        if request.method != "PUT" {
            return peer.send(&Answer::new(404));
        }
        fs::File::create(&kept)?;
        peer.let_begin(request)?;
        let body = peer.body(request)?;
        fs::write(&kept, body)?;
        peer.send(&Answer::new(201))
    });
    let url = server.url("/source");
    for options in [&[][..], &["--limit-rate", "100m"], &["-r"], &["--in-place"]] {
        folder.write("source", vec![7; 6_000_000]);
        let done = run_long(zvfs([&["cp", "-T"], options, &[&source, &url]].concat()));
        done.failed(116, &["copy to", "read", "truncated while it was being read"]);
    }
}
