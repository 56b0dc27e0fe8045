//! `zvfs cp` of folders and of several files.

mod errors;
mod moves;
mod times;

use crate::support::{Done, Folder, Started, run, run_long, zvfs};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use zvfs_http_servers::Server;
use zvfs_test_support::{eventually, fifo};

/// A folder of folders: `tree/a.txt`, `tree/b.csv`, `tree/sub/c.csv`, `tree/sub/deep/d.txt`, `tree/empty/`.
fn tree() -> Folder {
    let folder = Folder::new();
    for sub in ["tree/sub/deep", "tree/empty"] {
        fs::create_dir_all(folder.at(sub)).unwrap();
    }
    for (name, content) in [("a.txt", "a"), ("b.csv", "bb"), ("sub/c.csv", "ccc"), ("sub/deep/d.txt", "dddd")]
    {
        folder.write(&format!("tree/{name}"), content);
    }
    folder
}

fn cp(arguments: &[&str]) -> Done {
    run_long(zvfs([&["cp"], arguments].concat()))
}

/// The files below a folder, sorted, as paths from there.
fn files(folder: &str) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(root, &path, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    let mut found = Vec::new();
    if Path::new(folder).is_dir() {
        collect(Path::new(folder), Path::new(folder), &mut found);
    }
    found.sort();
    found
}

const ALL: [&str; 4] = ["a.txt", "b.csv", "sub/c.csv", "sub/deep/d.txt"];

#[test]
fn a_folder_is_copied_with_what_is_in_it() {
    let folder = tree();
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    cp(&["-r", &tree, &copy]).succeeded();
    assert_eq!(files(&copy), ALL);
    assert_eq!(fs::read_to_string(folder.at("copy/sub/deep/d.txt")).unwrap(), "dddd");
    // Now it is there: into it, as cp(1) does; with -T, over it.
    cp(&["-r", &tree, &copy]).succeeded();
    assert_eq!(files(&folder.at("copy/tree")), ALL);
    fs::remove_dir_all(folder.at("copy/tree")).unwrap();
    folder.write("tree/a.txt", "newer");
    cp(&["-rT", &format!("file:{tree}"), &copy]).succeeded();
    assert_eq!(files(&copy), ALL);
    assert_eq!(fs::read_to_string(folder.at("copy/a.txt")).unwrap(), "newer");
    // A folder that is to be made.
    cp(&["-r", &tree, &format!("{}/", folder.at("new/folder"))]).succeeded();
    assert_eq!(files(&folder.at("new/folder/tree")), ALL);
}

#[test]
fn an_empty_folder_arrives() {
    let folder = tree();
    fs::create_dir_all(folder.at("tree/left")).unwrap();
    fs::create_dir_all(folder.at("taken")).unwrap();
    // Nothing of it is copied.
    folder.write("tree/left/out.tmp", "x");
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    let are_there = |copy: &str| ["empty", "left"].map(|name| Path::new(copy).join(name).is_dir());
    for _ in 0..2 {
        cp(&["-rT", "--exclude", "*.tmp", &tree, &copy]).succeeded();
        assert_eq!((files(&copy), are_there(&copy)), (ALL.map(str::to_owned).to_vec(), [true; 2]));
    }
    // By itself, and where its name is to come.
    cp(&["-r", &folder.at("tree/empty"), &folder.at("new/name")]).succeeded();
    cp(&["-r", &folder.at("tree/empty"), &folder.at("new")]).succeeded();
    assert!(["new/name", "new/empty"].iter().all(|name| Path::new(&folder.at(name)).is_dir()));
    // Patterns of files are for files.
    cp(&["-rT", "--include", "*.csv", &tree, &folder.at("some")]).succeeded();
    assert_eq!(are_there(&folder.at("some")), [false; 2]);
    // A file in its place is an error, and stops no file.
    folder.write("taken/empty", "x");
    cp(&["-rT", &tree, &folder.at("taken")]).failed(17, &["taken/empty", "copied 5 files,", "1 failed"]);
}

/// clap took a lone SRC before an option for DST.
#[test]
fn options_may_follow_operands() {
    let folder = tree();
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    cp(&[&tree, "-r", &copy, "-T"]).succeeded();
    cp(&[&tree, "--exclude", "*.txt", &copy, "-r"]).succeeded();
    assert_eq!(files(&folder.at("copy/tree")), ["b.csv", "sub/c.csv"]);
    // Two hyphens end them.
    let mut there = zvfs(["cp", "--json", "--", &folder.at("tree/a.txt"), "-r"]);
    there.current_dir(folder.path());
    run(there);
    assert_eq!(fs::read_to_string(folder.at("-r")).unwrap(), "a");
}

#[test]
fn a_file_is_copied_into_a_folder() {
    let folder = tree();
    let (file, into) = (folder.at("tree/a.txt"), folder.at("tree/empty"));
    cp(&[&file, &into]).succeeded();
    assert_eq!(files(&into), ["a.txt"]);
    cp(&["-T", &file, &into]).failed(21, &["directory"]);
    cp(&[&file, &folder.at("tree/sub/c.csv"), &into]).succeeded();
    assert_eq!(files(&into), ["a.txt", "c.csv"]);
    let refused = cp(&[&file, &folder.at("tree/b.csv"), &folder.at("none")]);
    refused.failed(20, &["not a folder", "end it with a /"]);
    cp(&["-r", &file, &folder.at("single")]).succeeded();
    assert_eq!(fs::read_to_string(folder.at("single")).unwrap(), "a");
}

#[test]
fn a_file_that_fails_stops_no_other() {
    let folder = tree();
    // What has the name of a file there is a folder.
    fs::create_dir_all(folder.at("copy/b.csv")).unwrap();
    let done = cp(&["-rT", &folder.at("tree"), &folder.at("copy")]);
    done.failed(21, &["copy/b.csv", "copied 3 files", "1 failed"]);
    assert_eq!(files(&folder.at("copy")), ["a.txt", "sub/c.csv", "sub/deep/d.txt"]);
    let done = cp(&[&folder.at("absent"), &folder.at("tree/a.txt"), &folder.at("copy")]);
    done.failed(2, &["absent", "copied 1 file,", "1 failed"]);
    let done = cp(&[&folder.at("tree"), &folder.at("tree/b.csv"), &folder.at("copy/sub")]);
    done.failed(21, &["-r", "copied 1 file,"]);
    assert_eq!(fs::read_to_string(folder.at("copy/sub/b.csv")).unwrap(), "bb");
}

#[test]
fn what_is_no_file_is_left_out_and_told() {
    let folder = tree();
    fifo(folder.at("tree/pipe").into());
    symlink("..", folder.at("tree/sub/loop")).unwrap();
    symlink("a.txt", folder.at("tree/link")).unwrap();
    symlink("nowhere", folder.at("tree/dangling")).unwrap();
    let told = |options: &[&str], all: &[&str]| {
        let done = cp(&[options, &[&folder.at("tree"), &folder.at("copy")]].concat());
        for words in all {
            assert!(done.stderr.contains(words), "{words}: {done:?}");
        }
        done.code
    };
    let pipe = "tree/pipe: neither a file nor a folder";
    let links = ["tree/link: it may be a link: -L", "tree/sub/loop: it may", "tree/dangling: it may"];
    assert_eq!(told(&["-rT"], &[&links[..], &[pipe, "4 left out"]].concat()), 0);
    assert_eq!(files(&folder.at("copy")), ALL);
    // What no pattern asks for is not told.
    let done = cp(&["-rT", "--include", "*.csv", &folder.at("tree"), &folder.at("copy")]);
    done.succeeded();
    fs::remove_file(folder.at("tree/dangling")).unwrap();
    fs::remove_dir_all(folder.at("copy")).unwrap();
    // With -L, a link to a file is what it leads to.
    assert_eq!(told(&["-rL"], &[pipe, "tree/sub/loop: a link to a folder", "2 left out"]), 0);
    assert_eq!(files(&folder.at("copy")), ["a.txt", "b.csv", "link", "sub/c.csv", "sub/deep/d.txt"]);
    assert!(!fs::symlink_metadata(folder.at("copy/link")).unwrap().is_symlink());
    symlink("nowhere", folder.at("tree/dangling")).unwrap();
    let done = cp(&["-rTL", &folder.at("tree"), &folder.at("copy")]);
    done.failed(2, &["tree/dangling", "link that leads nowhere", "1 failed"]);
    // A folder to a pipe: one error, and not one for each file.
    fifo(folder.at("other").into());
    for options in ["-rT", "-r"] {
        let done = cp(&[options, &folder.at("tree"), &folder.at("other")]);
        done.failed(20, &["other: a folder cannot be copied to what is none", "; 1 failed"]);
    }
}

/// A stranger's report: what became a link after its folder was listed was followed, to a file that nobody meant to copy.
#[test]
fn a_link_that_comes_after_the_listing_is_not_followed() {
    let folder = tree();
    fs::create_dir_all(folder.at("secret/deep")).unwrap();
    fs::create_dir(folder.at("to")).unwrap();
    folder.write("secret/d.txt", "SECRET");
    folder.write("secret/deep/d.txt", "SECRET");
    // The first file's copy waits for a reader: all is listed by then.
    folder.write("tree/a", vec![b'a'; 1 << 20]);
    let slow = folder.fifo("to/a");
    let [source, target] = ["tree", "to"].map(|name| folder.at(name));
    let copy = Started::new(&mut zvfs(["cp", "-rT", "-j", "1", &source, &target]));
    let mut slow = fs::File::open(slow).unwrap();
    slow.read_exact(&mut [0]).unwrap();
    fs::remove_file(folder.at("tree/b.csv")).unwrap();
    symlink(folder.at("secret/d.txt"), folder.at("tree/b.csv")).unwrap();
    fs::rename(folder.at("tree/sub"), folder.at("moved")).unwrap();
    symlink(folder.at("secret"), folder.at("tree/sub")).unwrap();
    slow.read_to_end(&mut Vec::new()).unwrap();
    copy.end().failed(40, &["tree/b.csv", "link", "tree/sub/deep/d.txt", "tree/sub/c.csv", "3 failed"]);
    assert_eq!(files(&target), ["a", "a.txt"]);
}

#[test]
fn a_folder_is_not_copied_into_itself() {
    let folder = tree();
    let tree = folder.at("tree");
    cp(&["-r", &tree, &folder.at("tree/sub")]).failed(22, &["lies in it"]);
    cp(&["-rT", &tree, &tree]).failed(22, &["is the source"]);
    let mut beside = zvfs(["cp", "-rT", ".", "../beside"]);
    beside.current_dir(&tree);
    run(beside).succeeded();
    assert_eq!(files(&folder.at("beside")), ALL);
    // By another name: what is copied is known before the first file is made.
    symlink("tree", folder.at("alias")).unwrap();
    cp(&["-r", &tree, &folder.at("alias/sub/copy")]).succeeded();
    assert_eq!(files(&folder.at("tree/sub/copy")), ALL);
}

#[test]
fn two_sources_of_one_name_are_not_copied_over_each_other() {
    let folder = tree();
    let other = folder.write("a.txt", "other");
    fs::create_dir(folder.at("copy")).unwrap();
    let done = cp(&[&folder.at("tree/a.txt"), &other, &folder.at("copy")]);
    done.failed(17, &["another source is copied there", "1 failed"]);
    assert_eq!(fs::read_to_string(folder.at("copy/a.txt")).unwrap(), "a");
    // A program is told which target it is.
    let done = cp(&["--json", &folder.at("tree/a.txt"), &other, &folder.at("copy")]);
    let failed = done.out().lines().find(|line| line.contains("failed\",")).unwrap().to_owned();
    let target = format!("\"target\":\"{}\"", folder.at("copy/a.txt"));
    assert!(failed.contains(&target), "{failed}");
}

/// A case report: the first copy failed with another reason than the second, which then did something else.
#[test]
fn a_target_that_goes_through_a_missing_folder_is_refused_each_time() {
    let folder = tree();
    fs::create_dir(folder.at("there")).unwrap();
    for target in ["miss/../there", "miss/../new"] {
        for _ in 0..2 {
            let done = cp(&["-r", &folder.at("tree"), &folder.at(target)]);
            done.failed(2, &["no such file", "copied 0 files", "5 failed"]);
        }
        // What cp(1) says of one file.
        cp(&[&folder.at("tree/a.txt"), &folder.at(target)]).failed(2, &["folder"]);
    }
    assert_eq!(files(&folder.at("there")), Vec::<String>::new());
    assert!(!fs::exists(folder.at("miss")).unwrap() && !fs::exists(folder.at("new")).unwrap());
}

/// A case report: what was told of such a name was escaped twice, so that no file had it.
#[test]
fn names_in_json_can_be_given_back() {
    let folder = Folder::new();
    for sub in ["tree", "again"] {
        fs::create_dir(folder.at(sub)).unwrap();
    }
    let names = ["zero\u{200b}width", "soft\u{ad}hyphen", "right\u{202e}left", "back\\slash", "\u{feff}mark"];
    let long = "x".repeat(200);
    for name in names.iter().copied().chain([long.as_str()]) {
        folder.write(&format!("tree/{name}"), name);
    }
    let done = cp(&["-rT", "--json", &folder.at("tree"), &folder.at("copy")]);
    let told = done.succeeded().out();
    assert!(!told.contains(['\u{200b}', '\u{ad}', '\u{202e}', '\u{feff}']), "{told:?}");
    let objects = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let targets: Vec<String> =
        objects.filter_map(|object| Some(object.get("target")?.as_str()?.to_owned())).collect();
    assert_eq!(targets.len(), names.len() + 1);
    for target in &targets {
        let stat = run(zvfs(["stat", "--json", target]));
        let object: serde_json::Value = serde_json::from_str(stat.succeeded().out()).unwrap();
        assert_eq!(object["descriptor"], target.as_str());
    }
    let given: Vec<&str> = targets.iter().map(String::as_str).collect();
    let again = folder.at("again");
    cp(&[&given[..], &[&again]].concat()).succeeded();
    assert_eq!(files(&again), files(&folder.at("tree")));
}

#[test]
fn names_are_copied_whatever_their_bytes() {
    let folder = Folder::new();
    fs::create_dir(folder.at("tree")).unwrap();
    let names: [&[u8]; 5] = [b"a b", b"100%", b"q?#&", b"line\nend", b"\xff\xfe"];
    for name in names {
        fs::write(Path::new(&folder.at("tree")).join(OsStr::from_bytes(name)), name).unwrap();
    }
    for source in [folder.at("tree"), format!("file:{}", folder.at("tree"))] {
        cp(&["-rT", &source, &folder.at("copy")]).succeeded();
        for name in names {
            let copy = Path::new(&folder.at("copy")).join(OsStr::from_bytes(name));
            assert_eq!(fs::read(copy).unwrap(), name);
        }
        fs::remove_dir_all(folder.at("copy")).unwrap();
    }
}

#[test]
fn patterns_say_which_files_are_meant() {
    let folder = tree();
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    let filtered = |options: &[&str]| {
        cp(&[&["-rT"], options, &[&tree, &copy]].concat()).succeeded();
        let copied = files(&copy);
        let _ = fs::remove_dir_all(&copy);
        copied
    };
    assert_eq!(filtered(&["--include", "*.csv"]), ["b.csv", "sub/c.csv"]);
    assert_eq!(filtered(&["--exclude", "*.csv", "--exclude", "deep/"]), ["a.txt"]);
    // A slash at the end is for folders only.
    folder.write("tree/sub/a.txt", "x");
    assert_eq!(filtered(&["--exclude", "a.txt/", "--exclude", "su?/"]), ["a.txt", "b.csv"]);
    fs::remove_file(folder.at("tree/sub/a.txt")).unwrap();
    assert_eq!(filtered(&["--include", "sub/**/*.txt"]), ["sub/deep/d.txt"]);
    assert_eq!(filtered(&["--include", "*.none"]), Vec::<String>::new());
    // From the source on, as other programs have it. It was for nothing.
    for below in ["/sub/", "./sub/", "/sub"] {
        assert_eq!(filtered(&["--exclude", below, "--exclude", "/c.csv"]), ["a.txt", "b.csv"], "{below}");
    }
    assert_eq!(filtered(&["--include", "/*.csv"]), ["b.csv"]);
    for wrong in [
        &["-r", "--include", "[", &tree, &copy][..],
        &["-r", "--include", "sub/", &tree, &copy],
        &["--include", "*", &tree, &copy],
        &["-r", "--exclude", "/", &tree, &copy],
        &["-r", "--exclude", "", &tree, &copy],
        &["-r", "--exclude", "../tree", &tree, &copy],
        &["-L", &tree, &copy],
    ] {
        assert_eq!(cp(wrong).code, 64);
    }
}

#[test]
fn many_files_are_copied_several_at_a_time() {
    let folder = Folder::new();
    for sub in 0..10 {
        fs::create_dir_all(folder.at(&format!("tree/{sub}"))).unwrap();
        for name in 0..30 {
            folder.write(&format!("tree/{sub}/{name}"), format!("{sub} {name}"));
        }
    }
    for jobs in ["1", "8"] {
        let done = cp(&["--json", "-rTj", jobs, &folder.at("tree"), &folder.at(jobs)]);
        assert!(done.succeeded().out().ends_with("\"skipped\":0}}\n"), "{done:?}");
        assert_eq!((done.out().lines().count(), files(&folder.at(jobs)).len()), (301, 300));
        assert_eq!(fs::read_to_string(folder.at(&format!("{jobs}/7/29"))).unwrap(), "7 29");
    }
    assert_eq!(cp(&["-rj", "0", &folder.at("tree"), &folder.at("x")]).code, 64);
}

#[test]
fn equal_contents_are_left_out_by_their_digests() {
    let folder = tree();
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    let outcomes = |options: &[&str]| {
        let done = cp(&[&["-rT", "--json", "-j1"], options, &[&tree, &copy]].concat());
        done.succeeded().out().lines().last().unwrap().to_owned()
    };
    let all = "{\"summary\":{\"bytes\":10,\"copied\":4,\"failed\":0,\"same\":0,\"skipped\":0}}";
    assert_eq!(outcomes(&[]), all);
    assert_eq!(outcomes(&[]), all, "without --checksum all is copied anew");
    // The same size, and the same time: only the content tells.
    folder.write("copy/b.csv", "xx");
    let times =
        fs::FileTimes::new().set_modified(fs::metadata(folder.at("tree/b.csv")).unwrap().modified().unwrap());
    fs::File::options().write(true).open(folder.at("copy/b.csv")).unwrap().set_times(times).unwrap();
    let one = "{\"summary\":{\"bytes\":2,\"copied\":1,\"failed\":0,\"same\":3,\"skipped\":0}}";
    assert_eq!(outcomes(&["--checksum"]), one);
    assert_eq!(fs::read_to_string(folder.at("copy/b.csv")).unwrap(), "bb");
}

#[test]
fn a_copy_is_as_fast_as_it_may_be() {
    let folder = Folder::new();
    fs::create_dir(folder.at("tree")).unwrap();
    for name in ["a", "b", "c", "d"] {
        folder.write(&format!("tree/{name}"), vec![b'x'; 25_000]);
    }
    let timed = |arguments: &[&str], least: Duration| {
        let begun = Instant::now();
        cp(arguments).succeeded();
        assert!(begun.elapsed() >= least, "{arguments:?}: {:?} instead of {least:?}", begun.elapsed());
    };
    // Four files at a time share the rate.
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    timed(&["-rT", "--limit-rate", "100000", &tree, &copy], Duration::from_secs(1));
    let file = folder.at("tree/a");
    timed(&["--limit-rate", "50000", &file, &folder.at("single")], Duration::from_millis(500));
    assert_eq!(fs::metadata(folder.at("single")).unwrap().len(), 25_000);
}

/// What is copied of it would be a mixture of old and new. A single one ended with 0, and its target had what was read.
#[test]
fn a_source_that_changes_meanwhile_is_stale() {
    let (from, to) = (Folder::new(), Folder::new());
    let (source, copy) = (from.at("a"), to.at("a"));
    let (folder, copies) = (from.at(""), to.at(""));
    for (many, source_named, target) in [(&["-rT"][..], &folder, &copies), (&[], &source, &copy)] {
        fs::write(&source, vec![b'x'; 2_000_000]).unwrap();
        fs::write(&copy, "old").unwrap();
        // So slow that it does not come to its end while the test waits.
        let slow = ["cp", "--limit-rate", "1000", source_named, target];
        let started = Started::new(zvfs([&slow[..], many].concat()).stdin(Stdio::null()));
        // The target is opened when the source has been.
        eventually("an open target", || started.unnamed_bytes(&to) > 0);
        fs::File::options().write(true).open(&source).unwrap().set_len(10).unwrap();
        // The copy may notice it in the middle of a read, or at the end.
        let done = started.end();
        assert!(done.code == 116 && done.stderr.contains("while it was"), "{many:?}: {done:?}");
        assert_eq!(fs::read_to_string(&copy).unwrap(), "old", "{many:?}");
    }
}

#[test]
fn a_signal_ends_all_copies_and_is_told_once() {
    let folder = Folder::new();
    fs::create_dir(folder.at("tree")).unwrap();
    for name in 0..8 {
        folder.write(&format!("tree/{name}"), vec![b'x'; 1_000_000]);
    }
    let mut command = zvfs(["cp", "-r", "--limit-rate", "1000", &folder.at("tree"), &folder.at("copy")]);
    let started = Started::new(command.stdin(Stdio::null()));
    eventually("the first bytes", || started.unnamed_bytes(&folder) > 0);
    started.signal(Signal::INT);
    let done = started.end();
    done.failed(130, &["ended by signal 2", "copied 0 files"]);
    assert_eq!(done.stderr.matches("signal").count(), 1, "{done:?}");
    assert_eq!(files(&folder.at("copy")), Vec::<String>::new());
}

#[test]
fn objects_of_a_server_are_copied_into_a_folder() {
    let Some(server) = Server::nginx() else { return };
    let folder = tree();
    let (one, two) = (server.http("one.txt"), server.http("two%20words.txt"));
    cp(&["-T", &folder.at("tree/a.txt"), &one]).succeeded();
    cp(&["-T", &folder.at("tree/b.csv"), &two]).succeeded();
    let got = format!("{}/", folder.at("got"));
    cp(&["--checksum", &one, &two, &folder.at("tree/sub/c.csv"), &got]).succeeded();
    assert_eq!(files(&got), ["c.csv", "one.txt", "two words.txt"]);
    assert_eq!(fs::read_to_string(folder.at("got/two words.txt")).unwrap(), "bb");
    // Back again: a server makes its own folders.
    cp(&["-r", &folder.at("got"), &server.http("up/")]).succeeded();
    let up = files(server.root().join("up").to_str().unwrap());
    assert_eq!(up, ["got/c.csv", "got/one.txt", "got/two words.txt"]);
    cp(&["-T", &one, &one]).failed(22, &["they are the same file"]);
    cp(&[&server.http("none"), &one, &folder.at("got")]).failed(2, &["404", "copied 1 file,"]);
}

/// It was emptied, and what the server had sent of it by then was called a copy.
#[test]
fn a_file_that_a_server_gives_out_is_not_lost_by_a_copy_onto_itself() {
    let Some(server) = Server::nginx() else { return };
    let folder = Folder::new();
    let content: Vec<u8> = (0..6_000_000_u32).map(|at| (at / 7) as u8).collect();
    server.put("a", &content);
    let (url, path) = (server.http("a"), server.root().join("a"));
    let path = path.to_str().unwrap();
    // One with a second name is written in place anyway.
    fs::hard_link(path, server.root().join("b")).unwrap();
    for options in [&["--in-place"][..], &[], &["--in-place", "--limit-rate", "12m"], &["--in-place", "-r"]] {
        cp(&[&["-T", &url, path], options].concat()).succeeded();
        assert!(fs::read(path).unwrap() == content, "{options:?}: {}", fs::metadata(path).unwrap().len());
    }
    // What was longer is cut, and what was shorter grows.
    for had in [vec![b'x'; 7_000_000], vec![b'x'; 100]] {
        let target = folder.write("target", had);
        cp(&["--in-place", &url, &target]).succeeded();
        assert!(fs::read(target).unwrap() == content);
    }
}

#[test]
fn streams_are_copied_alone() {
    let folder = tree();
    let file = folder.at("tree/a.txt");
    cp(&["-r", "-", &folder.at("copy")]).failed(22, &["`-`"]);
    cp(&[&file, &file, "-"]).failed(22, &["`-`"]);
    assert_eq!(run(zvfs(["cp", &file, "-"])).succeeded().out(), "a");
}
