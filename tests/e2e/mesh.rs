//! Guests that talk over netpipes: in one run, in a process each, and in a network namespace each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

#[path = "support/broker.rs"]
mod broker;
mod support;

use broker::{Broker, secret_file};
use rustix::process::Signal;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Done, Folder, Started, WASM_TOOLS, bare, copy_example, repository, run, under};
use zvfs_test_support::{eventually, have, skip};

const MAPPERS: [&str; 4] = ["m1", "m2", "m3", "m4"];
const REDUCERS: [&str; 3] = ["r1", "r2", "r3"];
const SECRET: &str = "a secret of more than sixteen bytes\n";
/// The least that a pipe may hold: each mapper waits for each reducer.
const NARROW: &str = "window = \"64k\"";

/// A copy of examples/jobs/sort with its guests built and its records made; `None`: nothing to build them with.
fn job() -> Option<Folder> {
    let folder = Folder::needing(&WASM_TOOLS)?;
    copy_example("jobs/sort", folder.path());
    for guest in ["mapper", "reducer"] {
        let mut clang = Command::new("clang");
        clang.args(["--target=wasm32-wasi", "-O2", "-o", &folder.at(&format!("{guest}.wasm"))]);
        clang.arg(folder.at(&format!("{guest}.c")));
        run(clang).succeeded();
    }
    let mut sh = Command::new("sh");
    sh.arg(folder.at("records.sh"));
    run(sh).succeeded();
    Some(folder)
}

/// The manifests of some nodes.
fn manifests(folder: &Folder, nodes: &[&str]) -> Vec<String> {
    nodes.iter().map(|node| folder.at(&format!("{node}.manifest"))).collect()
}

fn all_nodes() -> Vec<&'static str> {
    [&MAPPERS[..], &REDUCERS[..]].concat()
}

/// Checks that the reducers' outputs, one after the other, are all records in order.
#[track_caller]
fn assert_sorted(folder: &Folder) {
    let read = |name: String| fs::read_to_string(folder.at(&name)).unwrap();
    let parts: Vec<String> = (1..=MAPPERS.len()).map(|at| read(format!("part-{at}.txt"))).collect();
    let mut records: Vec<&str> = parts.iter().flat_map(|part| part.lines()).collect();
    assert_eq!(records.len(), 40_000);
    records.sort_unstable();
    let sorted: Vec<String> = (1..=REDUCERS.len()).map(|at| read(format!("sorted-{at}.txt"))).collect();
    assert!(sorted.iter().all(|share| share.len() > 64 << 10), "no reducer is idle");
    assert!(sorted.concat() == records.join("\n") + "\n");
}

/// The file of an operator who sets this for netpipes.
fn operator(folder: &Folder, name: &str, settings: &str) -> String {
    folder.operator(name, &format!("[provider.file]\n[provider.tcp]\nsettings = {{ {settings} }}"))
}

/// `zvfs run` under an operator's file.
fn run_under(file: &str, arguments: &[String]) -> Command {
    let mut command = under(file, &["run"]);
    command.args(arguments);
    command
}

/// Starts `zvfs broker`.
fn start_broker(folder: &Folder, log: &str, address: &str, secret: &str) -> Broker {
    let mut command = bare();
    command.args(["-v", "broker", "--listen", address, "--secret-file", secret]);
    Broker::start(command, folder, log)
}

/// Starts one node's run.
fn start_node(mut command: Command) -> Started {
    Started::new(command.stdin(Stdio::null()))
}

#[track_caller]
fn all_succeed(nodes: Vec<(&str, Started)>) {
    let done: Vec<(&str, Done)> = nodes.into_iter().map(|(node, started)| (node, started.end())).collect();
    for (node, done) in done {
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{node}: {done:?}");
    }
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

/// Machines: namespaces, on one of two networks each. The broker's, `hub`, is on both; no way leads from one to the other.
struct Machines {
    prefix: String,
    names: Vec<String>,
}

impl Machines {
    /// Sets them up, each with the number of its network, 0 or 1; `None`: this system does not let us.
    fn new(list: &[(&str, u8)]) -> Option<Machines> {
        if !have(&["ip"]) {
            return None;
        }
        // Two tests of one process have machines of their own.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("zvfs{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let mut machines = Machines { prefix, names: Vec::new() };
        let hub = machines.add("hub");
        let mut steps = vec![format!("netns add {hub}"), format!("-n {hub} link set lo up")];
        for network in [0, 1] {
            let bridge = format!("br{network}");
            steps.extend([
                format!("-n {hub} link add {bridge} type bridge"),
                format!("-n {hub} addr add {}/24 dev {bridge}", Machines::hub(network)),
                format!("-n {hub} link set {bridge} up"),
            ]);
        }
        for (at, (name, network)) in list.iter().enumerate() {
            let machine = machines.add(name);
            steps.extend([
                format!("netns add {machine}"),
                format!("-n {machine} link set lo up"),
                format!("-n {machine} link add eth0 type veth peer name port{at} netns {hub}"),
                format!("-n {machine} addr add 10.97.{network}.{}/24 dev eth0", at + 2),
                format!("-n {machine} link set eth0 up"),
                format!("-n {hub} link set port{at} master br{network}"),
                format!("-n {hub} link set port{at} up"),
            ]);
        }
        for step in steps {
            let done = Command::new("ip").args(step.split(' ')).output().unwrap();
            if !done.status.success() {
                let why = String::from_utf8_lossy(&done.stderr);
                skip(format_args!("no network namespaces here: ip {step}: {why}"));
                return None;
            }
        }
        Some(machines)
    }

    fn add(&mut self, name: &str) -> String {
        self.names.push(self.name(name));
        self.name(name)
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The broker's address on a network.
    fn hub(network: u8) -> String {
        format!("10.97.{network}.1")
    }

    /// A command as it runs on one of them.
    fn on(&self, name: &str, command: &Command) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name(name)]).arg(command.get_program()).args(command.get_args());
        inside.env_remove("ZVFS_CONFIG");
        inside
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.names {
            // It may not have come to be.
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
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
