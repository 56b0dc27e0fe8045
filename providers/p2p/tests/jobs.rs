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

use iroh::endpoint::presets;
use iroh::{Endpoint, PublicKey, RelayMode};
use machines::Machines;
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sort::{all_nodes, all_succeed, assert_sorted, job, manifests, run_under, start_node};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use support::{Folder, Started, run, run_timed, under};
use tokio::runtime::Runtime;
use vfs_core::{Configuration, Finish, OpenFlags, OpenOptions, Registry};
use zvfs_discovery::{Announcement, Service};
use zvfs_p2p::P2p;
use zvfs_test_support::{free_port, in_thread};

/// Whatever happens here takes milliseconds; a loaded machine gets more.
const SLACK: Duration = Duration::from_secs(60);

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

/// The files of operators whose peers, which have these names and keys, find each other.
fn finding<'f>(folder: &'f Folder, peers: &[(&str, String)]) -> impl Fn(&str) -> String + use<'f> {
    let peers: Vec<_> = peers.iter().map(|(name, key)| format!("{name}={key}")).collect();
    move |name| {
        let key = key_file(folder, name);
        let settings = format!("{key}, discover = true, listen = [\"0.0.0.0:0\"], peers = {peers:?}");
        operator(folder, name, &settings)
    }
}

/// Calls on a machine, in a thread of its own. Threads that it starts are there, too.
fn inside<T: Send + 'static>(
    machines: &Machines,
    name: &str,
    call: impl FnOnce() -> T + Send + 'static,
) -> Receiver<T> {
    let machine = File::open(format!("/run/netns/{}", machines.name(name))).unwrap();
    in_thread(move || {
        move_into_link_name_space(machine.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        call()
    })
}

/// Whoever announces on a machine a key that it does not have, and takes connections there.
struct Liar {
    tries: Receiver<()>,
    _leave: Sender<()>,
}

impl Liar {
    fn on(machines: &Machines, name: &str, key: PublicKey) -> Liar {
        let (tried, tries) = channel();
        let (_leave, left) = channel::<()>();
        let announced = inside(machines, name, move || {
            let runtime = Runtime::new().unwrap();
            let endpoint = runtime.block_on(async {
                let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
                let builder = builder.alpns(vec![b"zvfs-netpipe/1".to_vec()]).clear_ip_transports();
                builder.bind_addr("0.0.0.0:0").unwrap().bind().await.unwrap()
            });
            let at = endpoint.bound_sockets()[0];
            let (tell, told) = channel();
            let announcement = Announcement::new(Service::Peer, &key.to_z32(), at, move |line| {
                let _ = tell.send(line.to_owned());
            });
            runtime.spawn(async move {
                while let Some(incoming) = endpoint.accept().await {
                    // The test may have ended.
                    let _ = (tried.send(()), incoming.await);
                }
            });
            while !told.recv().unwrap().starts_with("announced as") {}
            thread::spawn(move || drop((left.recv(), announcement, runtime)));
        });
        announced.recv_timeout(SLACK).unwrap();
        Liar { tries, _leave }
    }
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
    let file = finding(&folder, &["1", "2", "3"].map(|node| (node, public_key(&folder, node))));
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
fn a_network_without_multicast_has_no_peer_to_be_found() {
    let folder = Folder::new();
    let Some(machines) = Machines::new(&[("a", 0), ("b", 0)]) else { return };
    for port in ["port0", "port1"] {
        let mut ip = Command::new("ip");
        let hub = machines.name("hub");
        ip.args(["-n", &hub, "link", "set", port, "type", "bridge_slave", "mcast_flood", "off"]);
        run(ip).succeeded();
    }
    let file = finding(&folder, &["1", "2"].map(|node| (node, public_key(&folder, node))));
    // It is there, and announces itself to nobody.
    let mut read = machines.on("b", &under(&file("2"), &["cat", "--timeout", "100s", "netpipe:1:letters:r"]));
    read.stdin(Stdio::null());
    let _reader = Started::new(&mut read);
    let text = folder.write("text", "for 2 alone\n");
    let wait = |seconds| {
        let copy = ["cp", "--timeout", &format!("{seconds}s"), &text, "netpipe:2:letters:w"];
        machines.on("a", &under(&file("1"), &copy))
    };
    run_timed("the peer 2: it has not announced itself on the local network yet", wait)
        .failed(110, &["netpipe:2:letters:w"]);
}

#[test]
fn who_announces_anothers_key_is_dialled_and_is_not_that_peer() {
    let folder = Folder::new();
    let Some(machines) = Machines::new(&[("a", 0), ("b", 0), ("c", 0)]) else { return };
    let keys = ["1", "2"].map(|node| (node, public_key(&folder, node)));
    let file = finding(&folder, &keys);
    let liar = Liar::on(&machines, "c", keys[1].1.parse().unwrap());
    let text = folder.write("text", "for 2 alone\n");
    let copy = |seconds| {
        let copy = ["cp", "--timeout", &format!("{seconds}s"), &text, "netpipe:2:letters:w"];
        machines.on("a", &under(&file("1"), &copy))
    };
    let from_liar = "the peer 2: an answer with another key from 10.97.0.4:";
    run_timed(from_liar, copy).failed(110, &["netpipe:2:letters:w"]);
    let mut command = copy(100);
    command.stdin(Stdio::null());
    let writer = Started::new(&mut command);
    while liar.tries.try_recv().is_ok() {}
    liar.tries.recv_timeout(SLACK).unwrap();
    let read = under(&file("2"), &["cat", "--timeout", "100s", "netpipe:1:letters:r"]);
    let reader = run(machines.on("b", &read));
    assert_eq!((reader.code, reader.out()), (0, "for 2 alone\n"), "{reader:?}");
    writer.end().succeeded();
}

/// Each process of a peer has a port of its own.
#[test]
fn a_peer_that_comes_back_elsewhere_is_found_again() {
    let folder = Folder::new();
    let Some(machines) = Machines::new(&[("a", 0), ("b", 0)]) else { return };
    let file = finding(&folder, &["1", "2"].map(|node| (node, public_key(&folder, node))));
    let configuration = Configuration::parse(&fs::read_to_string(file("1")).unwrap()).unwrap();
    let host = Registry::new(configuration);
    host.register(Box::new(P2p)).unwrap();
    for name in ["first", "second"] {
        let host = host.clone();
        let written = inside(&machines, "a", move || {
            let options = OpenOptions::new(OpenFlags::WRITE);
            let mut writer = host.open(&format!("netpipe:2:{name}:w"), &options)?;
            writer.control().set_deadline(Some(Instant::now() + SLACK));
            writer.write_all(name.as_bytes())?;
            writer.finish(Finish::Commit)
        });
        let read = under(&file("2"), &["cat", "--timeout", "60s", &format!("netpipe:1:{name}:r")]);
        let reader = run(machines.on("b", &read));
        assert_eq!((reader.code, reader.out()), (0, name), "{reader:?}");
        written.recv_timeout(SLACK).unwrap().unwrap();
    }
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
