//! `zvfs cp` and times: those that decide what is copied, and those that are kept.

use super::{cp, tree};
use crate::support::{run, zvfs};
use std::collections::HashSet;
use std::fs;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, SystemTime};
use zvfs_http_servers::{Answer, FaultServer, Object};
use zvfs_test_support::fifo;

#[test]
fn what_is_there_of_the_same_size_and_not_older_is_left_out_by_update() {
    let folder = tree();
    let (tree, copy) = (folder.at("tree"), folder.at("copy"));
    let copied = |options: &[&str]| -> Vec<String> {
        let done = cp(&[&["-rT", "--json", "-j1"], options, &[&tree, &copy]].concat());
        let lines = done.succeeded().out().lines();
        let objects = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let copied = objects.filter(|object| object["outcome"] == "copied");
        copied
            .map(|object| object["source"].as_str().unwrap().rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(copied(&["--update"]).len(), 4);
    assert_eq!(copied(&["--update"]), none);
    let set = |name: &str, seconds: i64| {
        let file = fs::File::options().write(true).open(folder.at(name)).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let time = if seconds < 0 { then - Duration::from_secs(1) } else { then };
        file.set_times(fs::FileTimes::new().set_modified(time)).unwrap();
    };
    // Older, though of the same size; of another size, though newer; newer and of the same size.
    for (name, seconds) in
        [("copy/a.txt", -1), ("tree/a.txt", 0), ("tree/sub/c.csv", -1), ("copy/sub/c.csv", 0)]
    {
        set(name, seconds);
    }
    folder.write("copy/b.csv", "b");
    assert_eq!(copied(&["-u"]), ["a.txt", "b.csv"]);
    assert_eq!(copied(&["-u"]), none);
    // One file by itself, too.
    let (source, target) = (folder.at("tree/a.txt"), folder.at("copy/a.txt"));
    let done = cp(&["--json", "-uT", &source, &target]);
    assert!(done.succeeded().out().contains("\"same\":1"), "{done:?}");
    assert_eq!(cp(&["-r", "--update", "--checksum", &tree, &copy]).code, 64);
}

fn give(path: &str, time: SystemTime) {
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn time(path: &str) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

#[test]
fn times_of_files_and_folders_are_kept_by_preserve() {
    let folder = tree();
    let at = |day: u64| SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000 + day * 86_400, 123_456_789);
    let names = ["a.txt", "sub/c.csv", "sub/deep", "sub", "empty", ""];
    for (day, name) in (0..).zip(names) {
        give(&folder.at(&format!("tree/{name}")), at(day));
    }
    for (option, copy) in [("-p", "one"), ("--preserve", "two")] {
        cp(&["-rT", option, &folder.at("tree"), &folder.at(copy)]).succeeded();
        for (day, name) in (0..).zip(names) {
            assert_eq!(time(&folder.at(&format!("{copy}/{name}"))), at(day), "{name}");
        }
    }
    // One file, over what is there; and in place.
    let (source, target) = (folder.at("tree/a.txt"), folder.at("copy"));
    folder.write("copy", "old");
    for options in [["-p"].as_slice(), &["-p", "--in-place"]] {
        cp(&[options, &[source.as_str(), &target]].concat()).succeeded();
        assert_eq!((time(&target), fs::read_to_string(&target).unwrap().as_str()), (at(0), "a"));
    }
    // Without it a copy is as old as it is.
    cp(&[&source, &target]).succeeded();
    assert!(time(&target) > at(1000));
    // What is kept counts for --update.
    let again = ["-rT", "-p", "--update", "--json", &folder.at("tree"), &folder.at("one")];
    assert!(cp(&again).succeeded().out().contains("\"same\":4"));
    // A move keeps them.
    run(zvfs(["mv", &folder.at("one/a.txt"), &folder.at("moved")])).succeeded();
    assert_eq!(time(&folder.at("moved")), at(0));
}

#[test]
fn preserve_is_refused_before_anything_is_written_where_it_cannot_be_kept() {
    let folder = tree();
    let (source, pipe) = (folder.at("tree/a.txt"), folder.at("pipe"));
    fifo(pipe.clone().into());
    cp(&["-p", &source, "mem:x"]).failed(95, &["--preserve", "`mem:` sets no time", "copy without that"]);
    cp(&["-p", &source, &pipe]).failed(95, &["--preserve", "`file:` sets no time of this target"]);
    cp(&["-p", "null:", &folder.at("copy")]).failed(95, &["--preserve", "the source has no time to keep"]);
    assert!(!fs::exists(folder.at("copy")).unwrap());
    let done = cp(&["-p", "--json", &source, "null:"]);
    assert!(done.code == 95 && done.out().contains("`null:` sets no time"), "{done:?}");
}

/// Found: a server that empties its file at the PUT had lost it when the copy was refused.
#[test]
fn preserve_is_refused_before_a_server_hears_of_it() {
    let folder = tree();
    let server = FaultServer::http(|_, peer| peer.send(&Answer::new(404)));
    for options in [["-p"].as_slice(), &["-p", "--in-place"], &["-rp"], &["-p", "-j1", "--json"]] {
        let done = cp(&[options, &["-T", &folder.at("tree/a.txt"), &server.url("/a.txt")]].concat());
        assert!(done.code == 95 && format!("{done:?}").contains("`http:` sets no time"), "{done:?}");
    }
    let done = cp(&["-rpT", &folder.at("tree"), &server.url("/tree")]);
    done.failed(95, &["`http:` sets no time", "copied 0 files", "4 failed"]);
    let uploads = server.requests().into_iter().filter(|request| request.method == "PUT").count();
    assert_eq!(uploads, 0);
}

/// Found: the first file was copied by itself, however long that took.
#[test]
fn files_that_keep_their_times_are_copied_together_from_the_first() {
    let folder = tree();
    let (object, met) = (Object::new(1000), (Mutex::new(HashSet::new()), Condvar::new()));
    // Nobody gets a file before both are asked for.
    let server = FaultServer::http(move |request, peer| {
        let (asked, more) = &met;
        let mut asked = asked.lock().unwrap();
        asked.insert(request.target.clone());
        more.notify_all();
        let long = Duration::from_secs(30);
        let (asked, late) = more.wait_timeout_while(asked, long, |asked| asked.len() < 2).unwrap();
        drop(asked);
        peer.send(&if late.timed_out() { Answer::new(404) } else { object.answer(request) })
    });
    let copy = folder.at("copy/");
    cp(&["-p", "-j2", &server.url("/one"), &server.url("/two"), &copy]).succeeded();
    assert_eq!(time(&folder.at("copy/one")), time(&folder.at("copy/two")));
}

/// A review's finding: what the target had was cut off where it differed, and then the copy was refused.
#[test]
fn preserve_cuts_nothing_off_a_target_in_its_place_where_it_cannot_be_kept() {
    let folder = tree();
    folder.write("target", "0123 and more");
    let object = Object { modified: None, ..Object::new(1000) };
    let server = FaultServer::http(move |request, peer| peer.send(&object.answer(request)));
    let url = server.url("/object");
    let options = ["-p", "--partial", "--in-place", &url, &folder.at("target")];
    cp(&options).failed(95, &["--preserve", "the source has no time to keep"]);
    assert_eq!(fs::read_to_string(folder.at("target")).unwrap(), "0123 and more");
}
