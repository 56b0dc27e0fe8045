//! The job of `examples/jobs/sort` between peers: the manifests are those of any other back-end, and only the operators' files differ. And
//! a peer that is killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../../../tests/e2e/support/machines.rs"]
mod machines;
#[allow(dead_code, reason = "of the job only a part is used")]
#[path = "../../../tests/e2e/support/sort.rs"]
mod sort;
#[path = "../../../tests/e2e/support.rs"]
mod support;

use machines::Machines;
use rustix::process::Signal;
use sort::{all_nodes, all_succeed, assert_sorted, job, manifests, run_under, start_node};
use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};
use support::{Folder, Started, run, run_timed, under};
use zvfs_test_support::free_port;

/// The file of an operator whose netpipes go to these peers.
fn operator(folder: &Folder, name: &str, settings: &str) -> String {
    let text =
        format!("[provider.file]\n[provider.p2p]\nsettings = {{ {settings} }}\n[alias]\nnetpipe = \"p2p\"\n");
    folder.operator(&format!("{name}.toml"), &text)
}

fn key_file(folder: &Folder, name: &str) -> String {
    format!("key-file = {:?}", folder.at(&format!("{name}.key")))
}

/// A peer's public key, as its operator finds it; its key is made on the way.
#[track_caller]
fn public_key(folder: &Folder, name: &str) -> String {
    let file = operator(folder, &format!("only-{name}"), &key_file(folder, name));
    run(under(&file, &["cat", "p2p:"])).succeeded().out().trim_end().to_owned()
}

#[test]
fn one_run_needs_no_peers() {
    let Some(folder) = job() else { return };
    let file = operator(&folder, "zvfs", "window = \"64k\"");
    run(run_under(&file, &manifests(&folder, &all_nodes()))).succeeded();
    assert_sorted(&folder);
}

#[test]
fn machines_of_their_own_meet_by_the_names_of_nodes() {
    let Some(folder) = job() else { return };
    let places = [("one", &["m1", "m2"][..]), ("two", &["m3", "m4"]), ("three", &["r1", "r2", "r3"])];
    let Some(machines) = Machines::new(&places.map(|(place, _)| (place, 0))) else { return };
    let mut peers = Vec::new();
    for (at, (place, nodes)) in places.iter().enumerate() {
        let key = public_key(&folder, place);
        peers.extend(nodes.iter().map(|node| format!("{node}={key}@10.97.0.{}:7070", at + 2)));
    }
    let running = places.map(|(place, nodes)| {
        let key = key_file(&folder, place);
        let settings = format!("{key}, listen = [\"0.0.0.0:7070\"], peers = {peers:?}, window = \"64k\"");
        let command = run_under(&operator(&folder, place, &settings), &manifests(&folder, nodes));
        (place, start_node(machines.on(place, &command)))
    });
    all_succeed(running.into());
    assert_sorted(&folder);
}

/// The proposal's example: an instance name is enough, and no file has an address.
#[test]
fn two_nodes_find_each_other_on_their_network_by_their_keys_alone() {
    let folder = Folder::new();
    let Some(machines) = Machines::new(&[("a", 0), ("b", 0)]) else { return };
    let peers = ["1", "2", "3"].map(|node| format!("{node}={}", public_key(&folder, node)));
    let file = |node: &str| {
        let key = key_file(&folder, node);
        let settings = format!("{key}, discover = true, listen = [\"0.0.0.0:0\"], peers = {peers:?}");
        operator(&folder, node, &settings)
    };
    let text = folder.write("text", "five words on this line\n");
    let out = folder.at("out");
    let ends = [("a", "1", text.as_str(), "Netpipe:2:w"), ("b", "2", "Netpipe:1:r", out.as_str())];
    let nodes = ends.map(|(machine, node, from, to)| {
        let path = folder.wordcount(&format!("{node}.manifest"), 60, from, to);
        let mut manifest = File::options().append(true).open(&path).unwrap();
        writeln!(manifest, "Node = {node}").unwrap();
        (node, start_node(machines.on(machine, &under(&file(node), &["run", &path]))))
    });
    all_succeed(nodes.into());
    assert_eq!(fs::read_to_string(out).unwrap(), format!("{:7} {:7} {:7}\n", 1, 3, 24));
    // The third is not there.
    let wait = |seconds| {
        let copy = ["cp", "--timeout", &format!("{seconds}s"), &text, "netpipe:3:letters:w"];
        machines.on("a", &under(&file("1"), &copy))
    };
    run_timed("the peer 3: it has not announced itself on the local network yet", wait)
        .failed(110, &["netpipe:3:letters:w"]);
}

#[test]
fn a_killed_peer_is_lost_within_its_time_and_nothing_of_it_is_taken_for_the_whole() {
    let folder = Folder::new();
    let (reads, writes) = (public_key(&folder, "reads"), public_key(&folder, "writes"));
    let at = format!("127.0.0.1:{}", free_port());
    let time = "peer-timeout = \"3s\"";
    let settings =
        format!("{}, listen = [{at:?}], peers = [\"w={writes}\"], {time}", key_file(&folder, "reads"));
    let reading = operator(&folder, "reading", &settings);
    let settings = format!("{}, peers = [\"r={reads}@{at}\"], {time}", key_file(&folder, "writes"));
    let writing = operator(&folder, "writing", &settings);
    let copy =
        |file: &str, from: &str, to: &str| Started::new(under(file, &["cp", from, to]).stdin(Stdio::null()));
    let (fifo, target) = (folder.fifo("fifo"), folder.at("target"));
    let reader = copy(&reading, "netpipe:w:a:r", &target);
    let writer = copy(&writing, &fifo, "netpipe:r:a:w");
    // It comes back when the writer has read all but what a FIFO holds.
    let mut feed = File::options().write(true).open(&fifo).unwrap();
    feed.write_all(&[7; 1 << 20]).unwrap();
    writer.signal(Signal::KILL);
    let killed = Instant::now();
    let done = reader.end();
    assert_eq!(done.code, 104, "{done:?}");
    assert!(killed.elapsed() < Duration::from_secs(30), "{:?}", killed.elapsed());
    assert!(!fs::exists(&target).unwrap());
}
