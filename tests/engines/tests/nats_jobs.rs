//! Jobs over NATS: the manifests are those of any other back-end, and only the operator's file differs.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "of brokers only a part is used")]
#[path = "../../e2e/support/broker.rs"]
mod broker;
#[path = "../../e2e/support/machines.rs"]
mod machines;
#[path = "../../e2e/support/sort.rs"]
mod sort;
#[path = "../../e2e/support.rs"]
mod support;

use broker::{Broker, secret_file};
use machines::Machines;
use sort::{REDUCERS, all_nodes, all_succeed, assert_sorted, job, manifests, run_under, start_node};
use std::fs;
use support::{Folder, Started, bare, run};
use zvfs_engines::NatsServer;
use zvfs_test_support::eventually;

/// The least that a pipe may hold: each mapper waits for each reducer.
const NARROW: &str = "window = \"64k\"";

/// The file of an operator whose netpipes go over these servers.
fn operator(folder: &Folder, servers: &[String], settings: &str) -> String {
    let text = format!(
        "[provider.file]\n[provider.nats]\nsettings = {{ servers = {servers:?}, {settings} }}\n[alias]\nnetpipe = \"nats\"\n"
    );
    folder.operator("zvfs.toml", &text)
}

#[test]
fn one_run_needs_no_broker() {
    let Some(folder) = job() else { return };
    let Some(server) = NatsServer::debian() else { return };
    let file = operator(&folder, &[server.address()], NARROW);
    run(run_under(&file, &manifests(&folder, &all_nodes()))).succeeded();
    assert_sorted(&folder);
}

#[test]
fn processes_of_their_own_meet_over_a_server() {
    let Some(folder) = job() else { return };
    let Some(server) = NatsServer::debian() else { return };
    let file = operator(&folder, &[server.address()], NARROW);
    // Two jobs share the server; the second one's own folder is a copy.
    let other = job().unwrap();
    let mut nodes = Vec::new();
    for (job, folder) in [("one", &folder), ("two", &other)] {
        for node in all_nodes() {
            let arguments = ["--job".to_owned(), job.to_owned(), folder.at(&format!("{node}.manifest"))];
            nodes.push((node, start_node(run_under(&file, &arguments))));
        }
    }
    all_succeed(nodes);
    assert_sorted(&folder);
    assert_sorted(&other);
}

#[test]
fn a_run_counts_the_writers_of_a_pipe() {
    let Some(server) = NatsServer::debian() else { return };
    let folder = Folder::new();
    let file = operator(&folder, &[server.address()], "");
    let text = folder.write("text", "five words on this line\n");
    let counter =
        |name: &str, from: &str, to: &str| folder.wordcount(&format!("{name}.manifest"), 60, from, to);
    let mut arguments = vec![counter("all", "netpipe:counts:r", &folder.at("out"))];
    arguments.extend(["a", "b", "c"].map(|name| counter(name, &text, "netpipe:counts:w")));
    run(run_under(&file, &arguments)).succeeded();
    assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), format!("{:7} {:7} {:7}\n", 3, 9, 72));
}

/// Three machines, and what each runs.
const SHARES: [(&str, &[&str]); 3] = [("a", &["m1", "m2", "r1"]), ("b", &["m3", "r2"]), ("c", &["m4", "r3"])];

/// Runs the job on three machines.
fn run_on(machines: &Machines, folder: &Folder, file: &str) {
    let start = |(machine, nodes): (&'static str, &[&str])| {
        (machine, start_node(machines.on(machine, &run_under(file, &manifests(folder, nodes)))))
    };
    all_succeed(SHARES.map(start).into());
}

/// The job's result, which is no longer there for the next run.
fn take_result(folder: &Folder) -> Vec<Vec<u8>> {
    assert_sorted(folder);
    let names = (1..=REDUCERS.len()).map(|at| folder.at(&format!("sorted-{at}.txt")));
    let take = |name: String| {
        let bytes = fs::read(&name).unwrap();
        fs::remove_file(&name).unwrap();
        bytes
    };
    names.map(take).collect()
}

#[test]
fn one_machine_and_three_over_tcp_and_over_nats_give_the_same_bytes() {
    let Some(folder) = job() else { return };
    let Some(machines) = Machines::new(&SHARES.map(|(machine, _)| (machine, 0))) else { return };
    let servers = [2, 3, 4].map(|at| format!("10.97.0.{at}"));
    let names = SHARES.map(|(machine, _)| machines.name(machine));
    let places = [0, 1, 2].map(|at| (names[at].as_str(), servers[at].as_str()));
    let Some(cluster) = NatsServer::cluster_on(places) else { return };

    let alone = folder.operator("alone.toml", "[provider.file]\n[provider.tcp]\n");
    run(run_under(&alone, &manifests(&folder, &all_nodes()))).succeeded();
    let expected = take_result(&folder);

    let secret = secret_file(&folder, "secret", "a secret of more than sixteen bytes\n");
    let mut broker = bare();
    broker.args(["broker", "--listen", "0.0.0.0", "--secret-file", &secret]);
    let _broker = Broker::start(machines.on("hub", &broker), &folder, "log");
    let settings = format!("broker = {:?}, secret-file = {secret:?}", Machines::hub(0));
    let text = format!("[provider.file]\n[provider.tcp]\nsettings = {{ {settings} }}\n");
    run_on(&machines, &folder, &folder.operator("tcp.toml", &text));
    assert!(take_result(&folder) == expected, "over tcp the outputs differ");

    let addresses = cluster.each_ref().map(NatsServer::address);
    run_on(&machines, &folder, &operator(&folder, &addresses, "tls = \"off\", replicas = 3"));
    assert!(take_result(&folder) == expected, "over NATS the outputs differ");
}

/// Whether a process has a connection, as the machine that it runs on sees it.
fn is_connected(process: u32) -> bool {
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    table.lines().skip(1).any(|row| row.split_ascii_whitespace().nth(3) == Some("01"))
}

#[test]
fn machines_of_their_own_survive_the_loss_of_a_server() {
    let Some(folder) = job() else { return };
    let servers = [("n1", 0), ("n2", 0), ("n3", 0)];
    let nodes = all_nodes().into_iter().map(|node| (node, 0));
    let Some(machines) = Machines::new(&servers.into_iter().chain(nodes).collect::<Vec<_>>()) else { return };
    let places = [2, 3, 4].map(|at| format!("10.97.0.{at}"));
    let names = servers.map(|(name, _)| machines.name(name));
    let Some(mut cluster) =
        NatsServer::cluster_on([0, 1, 2].map(|at| (names[at].as_str(), places[at].as_str())))
    else {
        return;
    };
    let addresses = cluster.each_ref().map(NatsServer::address);
    let file = operator(&folder, &addresses, &format!("tls = \"off\", replicas = 3, {NARROW}"));
    let start = |node: &'static str| {
        (node, start_node(machines.on(node, &run_under(&file, &manifests(&folder, &[node])))))
    };
    // Without m1 nobody can end: each reducer waits for its first record, and the others for the reducers.
    let mut running: Vec<(&str, Started)> = ["r1", "r2", "r3", "m2", "m3", "m4"].map(start).into();
    for (node, started) in &mut running {
        eventually(format!("{node} has a server"), || {
            started.still_runs();
            is_connected(started.child.id())
        });
    }
    cluster[1].kill();
    running.push(start("m1"));
    all_succeed(running);
    assert_sorted(&folder);
}
