//! Guests that talk over netpipes: in one run, in a process each, and in a network namespace each.

use crate::broker_process::{Broker, secret_file};
use crate::machines::Machines;
use crate::sort::{
    MAPPERS, REDUCERS, all_nodes, all_succeed, assert_sorted, job, manifests, run_under, start_node,
};
use crate::support::{Folder, Started, bare, repository, run, under};
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use zvfs_test_support::eventually;

const SECRET: &str = "a secret of more than sixteen bytes\n";
/// The least that a pipe may hold: each mapper waits for each reducer.
const NARROW: &str = "window = \"64k\"";

/// The file of an operator who sets this for netpipes.
fn operator(folder: &Folder, name: &str, settings: &str) -> String {
    folder.operator(name, &format!("[provider.file]\n[provider.tcp]\nsettings = {{ {settings} }}"))
}

/// Starts `zvfs broker`.
fn start_broker(folder: &Folder, log: &str, address: &str, secret: &str) -> Broker {
    let mut command = bare();
    command.args(["-v", "broker", "--listen", address, "--secret-file", secret]);
    Broker::start(command, folder, log)
}

#[test]
fn one_run_brings_its_broker_along() {
    let Some(folder) = job() else { return };
    run(run_under(&operator(&folder, "zvfs.toml", ""), &manifests(&folder, &all_nodes()))).succeeded();
    assert_sorted(&folder);
}

#[test]
fn narrow_pipes_are_no_deadlock() {
    let Some(folder) = job() else { return };
    // The reducers first, and each last to be served comes first.
    let nodes = ["r3", "r2", "r1", "m4", "m1", "m3", "m2"];
    let mut arguments = manifests(&folder, &nodes);
    arguments.splice(0..0, ["--job", "narrow", "--exit-code", "guest"].map(str::to_owned));
    run(run_under(&operator(&folder, "zvfs.toml", NARROW), &arguments)).succeeded();
    assert_sorted(&folder);
}

#[test]
fn processes_of_their_own_meet_through_a_broker() {
    let Some(folder) = job() else { return };
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = start_broker(&folder, "log", "127.0.0.1:0", &secret);
    let settings = format!("broker = {:?}, secret-file = {secret:?}, {NARROW}", broker.address);
    let file = operator(&folder, "zvfs.toml", &settings);
    // Two jobs share the broker; the second one's own folder is a copy.
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
    broker.logged("match \"one/m1>r1\"", 1);
    broker.logged("match \"two/m4>r3\"", 1);
    let done = broker.end(Signal::TERM);
    assert_eq!(done.code, 0, "{done:?}");
}

/// Counts the TCP connections of a process that are established, but for those with a port; of one that ends: none.
fn connections(process: u32, but: &str) -> usize {
    let (_, port) = but.rsplit_once(':').unwrap();
    let port = format!(":{:04X}", port.parse::<u16>().unwrap());
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|target| {
            Some(target.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
    let rows = table.lines().skip(1).map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    rows.filter(|row| {
        row[3] == "01" && !row[2].ends_with(&port) && sockets.iter().any(|inode| inode == row[9])
    })
    .count()
}

#[test]
fn a_broker_that_is_killed_and_started_again_breaks_nothing() {
    let Some(folder) = job() else { return };
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = start_broker(&folder, "log", "127.0.0.1:0", &secret);
    let address = broker.address.clone();
    let settings = format!("broker = {address:?}, secret-file = {secret:?}, {NARROW}");
    let file = operator(&folder, "zvfs.toml", &settings);
    let start = |node: &'static str| (node, start_node(run_under(&file, &manifests(&folder, &[node]))));
    // Without m1 nobody can end: each reducer waits for its first record, and the others for the reducers.
    let early = ["r1", "r2", "r3", "m2", "m3", "m4"];
    let mut nodes: Vec<(&str, Started)> = early.into_iter().map(start).collect();
    for (node, started) in &nodes[..REDUCERS.len()] {
        eventually(format!("{node} has its direct pipes"), || connections(started.child.id(), &address) == 3);
    }
    assert_eq!(broker.end(Signal::KILL).code, 137);
    // m1 comes while there is no broker, and finds the one that is started again.
    nodes.push(start("m1"));
    let broker = start_broker(&folder, "log2", &address, &secret);
    for (node, started) in nodes {
        let done = started.end();
        assert_eq!(done.code, 0, "{node}: {done:?}");
    }
    assert_sorted(&folder);
    let log = broker.log();
    assert!(log.contains("match \"m1>r1\""), "{log}");
    assert!(!log.contains("match \"m2>"), "a direct pipe needs no broker any more: {log}");
}

/// Runs the job on these machines, a node each. Returns the broker's log, or `None` where that is impossible.
fn sorted_on(list: &[(&'static str, u8)]) -> Option<String> {
    let folder = job()?;
    let machines = Machines::new(list)?;
    let secret = secret_file(&folder, "secret", SECRET);
    let mut broker = bare();
    broker.args(["-v", "broker", "--listen", "0.0.0.0", "--secret-file", &secret]);
    let broker = Broker::start(machines.on("hub", &broker), &folder, "log");
    assert_eq!(broker.address, "0.0.0.0:9713");
    let files = [0, 1].map(|network| {
        let settings = format!("broker = {:?}, secret-file = {secret:?}", Machines::hub(network));
        operator(&folder, &format!("zvfs-{network}.toml"), &settings)
    });
    let start = |&(node, network): &(&'static str, u8)| {
        let command = run_under(&files[usize::from(network)], &manifests(&folder, &[node]));
        (node, start_node(machines.on(node, &command)))
    };
    all_succeed(list.iter().map(start).collect());
    assert_sorted(&folder);
    let log = broker.log();
    assert_eq!(broker.end(Signal::TERM).code, 0);
    Some(log)
}

#[test]
fn machines_of_their_own_need_another_configuration_only() {
    let Some(log) = sorted_on(&all_nodes().into_iter().map(|node| (node, 0)).collect::<Vec<_>>()) else {
        return;
    };
    assert_eq!((log.matches("match \"").count(), log.matches("join \"").count()), (12, 0), "{log}");
}

#[test]
fn machines_that_cannot_reach_each_other_are_relayed() {
    let apart = [MAPPERS.map(|node| (node, 0)).to_vec(), REDUCERS.map(|node| (node, 1)).to_vec()].concat();
    let Some(log) = sorted_on(&apart) else { return };
    assert_eq!((log.matches("match \"").count(), log.matches("join \"").count()), (12, 12), "{log}");
}

/// A manifest of the example's word counter, from one descriptor to another.
fn counter(folder: &Folder, name: &str, from: &str, to: &str) -> String {
    folder.wordcount(&format!("{name}.manifest"), 60, from, to)
}

#[test]
fn a_pipe_ends_when_all_writers_of_the_run_have_ended() {
    let folder = Folder::new();
    let text = folder.write("text", "five words on this line\n");
    let mut arguments = vec![counter(&folder, "all", "netpipe:counts:r", &folder.at("out"))];
    for name in ["a", "b", "c"] {
        arguments.push(counter(&folder, name, &text, "netpipe:counts:w"));
    }
    run(run_under(&operator(&folder, "zvfs.toml", ""), &arguments)).succeeded();
    assert_eq!(fs::read_to_string(folder.at("out")).unwrap(), format!("{:7} {:7} {:7}\n", 3, 9, 72));
}

/// Found: a session that failed at its open was not told to the others of its run, which waited for it until their own Timeout.
#[test]
fn who_waits_for_a_session_of_the_run_that_failed_is_told_which_and_why() {
    let folder = Folder::new();
    let file = operator(&folder, "zvfs.toml", "");
    let text = folder.write("text", "five words on this line\n");
    let (nowhere, out) = (folder.at("nowhere/x"), folder.at("out"));
    for (job, reader, writer) in [
        ("", ["netpipe:x:r", out.as_str()], [nowhere.as_str(), "netpipe:x:w"]),
        ("j", ["netpipe:x:r", nowhere.as_str()], [text.as_str(), "netpipe:x:w"]),
    ] {
        let [reads, writes] = [("reads", reader), ("writes", writer)]
            .map(|(name, [from, to])| counter(&folder, name, from, to));
        let (waits, fails, call) = match job {
            "" => ("reads", "writes", "read netpipe:x:r: "),
            _ => ("writes", "reads", " netpipe:x:w: "),
        };
        let mut arguments = vec![reads, writes];
        if !job.is_empty() {
            arguments.splice(0..0, ["--job".into(), job.into()]);
        }
        let done = run(run_under(&file, &arguments));
        let told = format!("{fails}.manifest ended before it opened its end: MANIFEST ");
        let line = done.stderr.lines().find(|line| line.contains(&format!("{waits}.manifest: channel ")));
        let line = line.unwrap_or_else(|| panic!("{done:?}"));
        assert!(line.contains(call) && line.contains(&told) && line.contains(&nowhere), "{done:?}");
        assert!(!done.stderr.contains("timeout"), "{done:?}");
    }
}

/// A reader that has ended when its writer comes is gone, as it is for one that it met.
#[test]
fn a_writer_whose_reader_ended_before_they_met_does_not_wait_for_it() {
    let folder = Folder::new();
    let reads = counter(&folder, "reads", "netpipe:x:r", "/dev/null");
    let idle = folder.write("idle.wat", r#"(module (memory (export "memory") 1) (func (export "_start")))"#);
    let program = repository("examples/jobs/wordcount/wordcount.wat");
    let manifest = fs::read_to_string(&reads).unwrap().replace(program.to_str().unwrap(), &idle);
    fs::write(&reads, manifest).unwrap();
    let text = folder.write("text", "five words on this line\n");
    let writes = counter(&folder, "writes", &text, "netpipe:x:w");
    let done = run(run_under(&operator(&folder, "zvfs.toml", ""), &[reads, writes]));
    done.failed(0, &["writes.manifest: netpipe:x:w: its reader closed before it took everything"]);
}

#[test]
fn a_run_brings_no_broker_where_it_could_not_serve() {
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let null = "/dev/null";
    let pair = [counter(&folder, "r", "netpipe:x:r", null), counter(&folder, "w", null, "netpipe:x:w")];
    let with_secret = format!("secret-file = {secret:?}");
    run(run_under(&operator(&folder, "zvfs.toml", &with_secret), &pair))
        .failed(22, &["without a broker", "the operator's secret"]);
    let out = counter(&folder, "out", null, "tcp:127.0.0.1:9");
    let three = [&pair[..], &[out]].concat();
    run(run_under(&operator(&folder, "zvfs.toml", ""), &three)).failed(22, &["without a broker", "lead out"]);
    run(run_under(&operator(&folder, "zvfs.toml", ""), &pair[..1]))
        .failed(14, &["MANIFEST 5", "netpipe:x:r", "no broker"]);
}

/// A vanished peer is lost at each end, in bounded time; what was copied is never taken for the whole.
#[test]
fn a_cut_cable_is_a_lost_peer_at_each_end() {
    let folder = Folder::new();
    let Some(machines) = Machines::new(&[("a", 0), ("b", 0)]) else { return };
    let secret = secret_file(&folder, "secret", SECRET);
    let settings = format!("secret-file = {secret:?}, peer-timeout = \"2s\"");
    let file = operator(&folder, "zvfs.toml", &format!("{settings} }}\n[provider.null]\nsettings = {{"));
    let copy = |from: &str, to: &str| under(&file, &["cp", from, to]);
    let (pipe, target) = ("tcp://10.97.0.3:7000", folder.at("target"));
    let mut reader = start_node(machines.on("b", &copy(pipe, &target)));
    let mut writer = start_node(machines.on("a", &copy("null:zero", pipe)));
    eventually("bytes come through", || {
        reader.still_runs();
        writer.still_runs();
        reader.unnamed_bytes(&folder) > 1 << 20
    });
    let cut = Command::new("ip").args(["-n", &machines.name("hub"), "link", "set", "port0", "down"]).status();
    assert!(cut.unwrap().success());
    reader.end().failed(104, &["lost"]);
    writer.end().failed(104, &["lost"]);
    assert!(!folder.names().iter().any(|name| name.contains("target")), "{:?}", folder.names());
}
