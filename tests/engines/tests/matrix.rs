//! Copies between any two kinds of descriptors, by the command.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[allow(dead_code, reason = "of brokers only a part is used")]
#[path = "../../e2e/support/broker.rs"]
mod broker;
#[allow(dead_code, reason = "one FTP server is enough")]
mod stores;
#[path = "../../e2e/support.rs"]
mod support;

use broker::{Broker, secret_file};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Command, Stdio};
use stores::{Store, files, ftp, http, s3, sftp};
use support::{Folder, Started, bare, run, under};
use zvfs_engines::NatsServer;
use zvfs_http_servers::pattern;
use zvfs_test_support::eventually;

/// More than any buffer on the way, and no multiple of one.
const SIZE: u64 = (3 << 20) + 17;
/// What is not copied before a server that goes away is gone.
const LARGE: u64 = 96 << 20;

/// A kind of netpipes.
struct Pipes {
    name: &'static str,
    section: String,
    /// For the scheme, and what holds the server.
    scheme: &'static str,
    _server: Box<dyn std::any::Any>,
}

fn over_tcp(folder: &Folder) -> Pipes {
    let secret = secret_file(folder, "secret", "a secret of more than sixteen bytes\n");
    let mut command = bare();
    command.args(["-v", "broker", "--listen", "127.0.0.1:0", "--secret-file", &secret]);
    let broker = Broker::start(command, folder, "broker.log");
    let section =
        format!("[provider.tcp]\nsettings = {{ broker = {:?}, secret-file = {secret:?} }}", broker.address);
    Pipes { name: "tcp", section, scheme: "netpipe", _server: Box::new(broker) }
}

fn over_nats() -> Option<Pipes> {
    let server = NatsServer::debian()?;
    // What a killed writer's reader waits for.
    let settings = format!("servers = [{:?}], peer-timeout = \"4s\"", server.address());
    let section = format!("[provider.nats]\nsettings = {{ {settings} }}");
    Some(Pipes { name: "nats", section, scheme: "nats", _server: Box::new(server) })
}

/// All of them, and an operator's file that allows them.
struct World {
    folder: Folder,
    operator: String,
    stores: Vec<Store>,
    pipes: Vec<Pipes>,
}

impl World {
    fn new() -> World {
        let folder = Folder::new();
        let stores: Vec<Store> =
            [Some(files(&folder)), http(), s3(), ftp(), sftp()].into_iter().flatten().collect();
        let pipes: Vec<Pipes> = [Some(over_tcp(&folder)), over_nats()].into_iter().flatten().collect();
        let sections: Vec<&str> = stores
            .iter()
            .map(|store| store.section.as_str())
            .chain(pipes.iter().map(|pipes| pipes.section.as_str()))
            .collect();
        let operator = folder.operator("zvfs.toml", &sections.join("\n"));
        World { folder, operator, stores, pipes }
    }

    /// Content of a size, in a file.
    fn original(&self, size: u64) -> (String, Vec<u8>) {
        let content = pattern::bytes(0..size);
        (self.folder.write("original", &content), content)
    }

    fn copy(&self, from: &str, to: &str) -> Command {
        under(&self.operator, &["cp", from, to])
    }

    fn start(&self, from: &str, to: &str) -> Started {
        Started::new(self.copy(from, to).stdin(Stdio::null()))
    }

    /// What a descriptor leads to.
    #[track_caller]
    fn content(&self, descriptor: &str) -> Vec<u8> {
        let back = self.folder.at("back");
        run(self.copy(descriptor, &back)).succeeded();
        fs::read(back).unwrap()
    }

    /// Checks that a descriptor leads to nothing.
    #[track_caller]
    fn is_absent(&self, descriptor: &str) {
        let done = run(self.copy(descriptor, &self.folder.at("back")));
        done.failed(2, &[]);
    }
}

#[test]
fn every_store_is_copied_to_every_store() {
    let world = World::new();
    let (original, content) = world.original(SIZE);
    for from in &world.stores {
        let source = (from.descriptor)("source");
        run(world.copy(&original, &source)).succeeded();
        for to in &world.stores {
            let target = (to.descriptor)(&format!("from-{}", from.name));
            run(world.copy(&source, &target)).succeeded();
            assert!(world.content(&target) == content, "{} to {}", from.name, to.name);
        }
    }
}

#[test]
fn every_pipe_carries_from_every_store_to_every_store() {
    let world = World::new();
    let (original, content) = world.original(SIZE);
    for pipes in &world.pipes {
        for (at, from) in world.stores.iter().enumerate() {
            let to = &world.stores[(at + 1) % world.stores.len()];
            let pipe = format!("{}:{}", pipes.scheme, from.name);
            let (source, target) = ((from.descriptor)("source"), (to.descriptor)("target"));
            run(world.copy(&original, &source)).succeeded();
            let reader = world.start(&format!("{pipe}:r"), &target);
            run(world.copy(&source, &format!("{pipe}:w"))).succeeded();
            reader.end().succeeded();
            let way = format!("{} over {} to {}", from.name, pipes.name, to.name);
            assert!(world.content(&target) == content, "{way}");
        }
    }
}

#[test]
fn a_pipe_of_one_kind_leads_into_one_of_another() {
    let world = World::new();
    let (original, content) = world.original(SIZE);
    for first in &world.pipes {
        for second in &world.pipes {
            let (one, two) = (format!("{}:one", first.scheme), format!("{}:two", second.scheme));
            let target = world.folder.at("target");
            let end = world.start(&format!("{two}:r"), &target);
            let middle = world.start(&format!("{one}:r"), &format!("{two}:w"));
            run(world.copy(&original, &format!("{one}:w"))).succeeded();
            middle.end().succeeded();
            end.end().succeeded();
            assert!(fs::read(&target).unwrap() == content, "{} into {}", first.name, second.name);
        }
    }
}

/// By the manifest alone: the guest knows neither store.
#[test]
fn a_guest_counts_what_is_in_one_store_into_every_other() {
    let world = World::new();
    let text = world.folder.write("text", "five words on this line\n".repeat(100_000));
    for (at, from) in world.stores.iter().enumerate() {
        let source = (from.descriptor)("words");
        run(world.copy(&text, &source)).succeeded();
        let to = &world.stores[(at + 2) % world.stores.len()];
        let target = (to.descriptor)("counts");
        let manifest = world.folder.wordcount("count.manifest", 60, &source, &target);
        run(under(&world.operator, &["run", &manifest])).succeeded();
        let expected = format!("{:7} {:7} {:7}\n", 100_000, 500_000, 2_400_000);
        let counts = String::from_utf8(world.content(&target)).unwrap();
        assert_eq!(counts, expected, "{} to {}", from.name, to.name);
    }
}

/// A writer that is killed is no end: whoever reads from it fails, and what it was copying to is not there.
#[test]
fn what_a_killed_writer_sent_is_nowhere_taken_for_the_whole() {
    let world = World::new();
    let content = pattern::bytes(0..SIZE);
    for pipes in &world.pipes {
        for to in &world.stores {
            let pipe = format!("{}:cut-{}", pipes.scheme, to.name);
            let (fifo, target) =
                (world.folder.fifo(&format!("fifo-{}-{}", pipes.name, to.name)), (to.descriptor)("cut"));
            let reader = world.start(&format!("{pipe}:r"), &target);
            let writer = world.start(&fifo, &format!("{pipe}:w"));
            // It comes back when the writer has read all but what a FIFO holds.
            let mut feed = File::options().write(true).open(&fifo).unwrap();
            feed.write_all(&content).unwrap();
            writer.signal(Signal::KILL);
            let done = reader.end();
            let way = format!("{} to {}", pipes.name, to.name);
            assert_eq!(done.code, 104, "{way}: {done:?}");
            world.is_absent(&target);
        }
    }
}

/// Nor is a server that goes away in the middle.
#[test]
fn what_a_server_sent_before_it_went_is_not_taken_for_the_whole() {
    let mut world = World::new();
    let (original, _) = world.original(LARGE);
    for at in 0..world.stores.len() {
        let (source, name) = ((world.stores[at].descriptor)("large"), world.stores[at].name);
        let Some(kill) = world.stores[at].kill.take() else { continue };
        run(world.copy(&original, &source)).succeeded();
        let target = world.folder.at(&format!("of-{name}"));
        // Slow enough that it is not over before it is stopped, however late that is.
        let mut slowly = under(&world.operator, &["cp", "--limit-rate", "4m", &source, &target]);
        let mut copy = Started::new(slowly.stdin(Stdio::null()));
        eventually(format!("bytes of {name} arrive"), || {
            copy.still_runs();
            copy.unnamed_bytes(&world.folder) > 0
        });
        copy.signal(Signal::STOP);
        let arrived = copy.unnamed_bytes(&world.folder);
        assert!(0 < arrived && arrived < LARGE, "{name}: {arrived} bytes before it was stopped");
        kill();
        copy.signal(Signal::CONT);
        let done = copy.end();
        assert!(done.code != 0, "{name}: {done:?}");
        assert!(!fs::exists(&target).unwrap(), "{name}");
    }
}
