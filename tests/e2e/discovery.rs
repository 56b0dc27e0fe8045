//! Netpipes whose broker nobody names: it is found on the local network. Each machine is a network namespace on one bridge.

use crate::broker_process::{Broker, secret_file};
use crate::machines::Machines;
use crate::support::{Folder, Started, bare, run, run_timed, under};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::process::{Command, Stdio};
use zvfs_test_support::{eventually, have_walls};

const SECRET: &str = "a secret of more than sixteen bytes\n";

/// Machines on one network, and what an operator gave each of them: the secret, and no address.
struct Network {
    folder: Folder,
    machines: Machines,
    secret: String,
    file: String,
}

impl Network {
    /// `None`: this system does not let us.
    fn new(names: &[&str]) -> Option<Network> {
        let list: Vec<_> = names.iter().map(|name| (*name, 0)).collect();
        let (folder, machines) = (Folder::new(), Machines::new(&list)?);
        let secret = secret_file(&folder, "secret", SECRET);
        let settings = format!("discover = true, secret-file = {secret:?}");
        let file = folder
            .operator("zvfs.toml", &format!("[provider.file]\n[provider.tcp]\nsettings = {{ {settings} }}"));
        Some(Network { folder, machines, secret, file })
    }

    /// Starts a broker on a machine, and waits until it is announced.
    fn broker(&self, machine: &str, name: &str, secret: &str) -> Broker {
        let mut command = bare();
        command.args(["-v", "broker", "--listen", "0.0.0.0:0", "--secret-file", secret]);
        command.arg(format!("--announce={name}"));
        let log = format!("{name}{}.log", self.folder.names().len());
        let broker = Broker::start(self.machines.on(machine, &command), &self.folder, &log);
        broker.logged(&format!("announced as `{name}`"), 1);
        broker
    }

    /// Waits until a broker on a machine holds an end of a pipe.
    #[track_caller]
    fn waits_at(&self, machine: &str, broker: &Broker, end: &str) {
        eventually(format!("{end} at the broker of {machine}"), || {
            let mut status = bare();
            status.args(["broker", "status", &broker.address, "--secret-file", &self.secret]);
            run(self.machines.on(machine, &status)).out().contains(end)
        });
    }

    fn command(&self, machine: &str, arguments: &[&str]) -> Command {
        self.machines.on(machine, &under(&self.file, arguments))
    }

    fn start(&self, machine: &str, arguments: &[&str]) -> Started {
        Started::new(self.command(machine, arguments).stdin(Stdio::null()))
    }

    /// Writes the manifest of a node: it counts the words of one descriptor into another.
    fn node(&self, node: u32, from: &str, to: &str) -> String {
        let path = self.folder.wordcount(&format!("{node}.manifest"), 60, from, to);
        writeln!(OpenOptions::new().append(true).open(&path).unwrap(), "Node = {node}").unwrap();
        path
    }
}

/// A pipe that waits for its writer on machine `a`; it has met when `meet` has run the other end.
fn reader(network: &Network) -> Started {
    network.start("a", &["-v", "cat", "netpipe:letters:r"])
}

/// Has a writer on machine `b` meet that reader. Returns what the two said.
#[track_caller]
fn meet(network: &Network, reader: Started) -> String {
    let text = network.folder.write("text", "one line\n");
    let writer = run(network.command("b", &["-v", "cp", &text, "netpipe:letters:w"]));
    let reader = reader.end();
    assert_eq!((writer.code, reader.code, reader.out()), (0, 0, "one line\n"), "{writer:?} {reader:?}");
    writer.stderr + &reader.stderr
}

/// The proposal's example: an instance name is enough.
#[test]
fn two_nodes_meet_by_their_names_alone() {
    let Some(network) = Network::new(&["a", "b", "c"]) else { return };
    let broker = network.broker("c", "broker", &network.secret);
    let text = network.folder.write("text", "five words on this line\n");
    let out = network.folder.at("out");
    let first = network.node(1, &text, "Netpipe:2:w");
    let second = network.node(2, "Netpipe:1:r", &out);
    let nodes = [network.start("a", &["run", &first]), network.start("b", &["run", &second])];
    for node in nodes {
        node.end().succeeded();
    }
    assert_eq!(fs::read_to_string(out).unwrap(), format!("{:7} {:7} {:7}\n", 1, 3, 24));
    broker.logged("match \"1>2\"", 1);
    assert_eq!(broker.end(Signal::TERM).code, 0);
}

#[test]
fn who_does_not_prove_the_secret_is_not_believed() {
    let Some(network) = Network::new(&["a", "b", "c", "d"]) else { return };
    let other = secret_file(&network.folder, "other", "another secret of sixteen bytes");
    let liar = network.broker("d", "a-liar", &other);
    let words = "different secrets";
    let wait =
        |seconds| network.command("a", &["cat", "--timeout", &format!("{seconds}s"), "netpipe:letters:r"]);
    run_timed(words, wait).failed(110, &["netpipe:letters:r", "broker on the local network: 10.97.0."]);

    let reader = reader(&network);
    let tried = liar.log().matches("10.97.0.").count();
    eventually("the liar is tried", || liar.log().matches("10.97.0.").count() > tried);
    let honest = network.broker("c", "honest", &network.secret);
    let said = meet(&network, reader);
    assert!(said.contains("2 brokers announce themselves on the local network: a-liar, honest: "), "{said}");
    assert!(said.contains("broker on the local network: 10.97.0."), "{said}");
    honest.logged("match \"letters\"", 1);
    assert!(!liar.log().contains("match"), "{}", liar.log());
}

/// Each end takes the broker whose name comes first, and a reader that waits at the other one moves.
#[test]
fn of_two_brokers_both_ends_come_to_the_first() {
    let Some(network) = Network::new(&["a", "b", "c", "d"]) else { return };
    let beta = network.broker("c", "beta", &network.secret);
    let reader = reader(&network);
    network.waits_at("c", &beta, "letters: reader");
    let alpha = network.broker("d", "alpha", &network.secret);
    network.waits_at("d", &alpha, "letters: reader");
    let said = meet(&network, reader);
    assert!(said.contains("2 brokers announce themselves on the local network: alpha, beta: "), "{said}");
    alpha.logged("match \"letters\"", 1);
    assert!(!beta.log().contains("match"), "{}", beta.log());
}

#[test]
fn a_broker_that_comes_back_elsewhere_is_found_again() {
    let Some(network) = Network::new(&["a", "b", "c", "d"]) else { return };
    let broker = network.broker("c", "broker", &network.secret);
    let reader = reader(&network);
    network.waits_at("c", &broker, "letters: reader");
    assert_eq!(broker.end(Signal::KILL).code, 137);
    let broker = network.broker("d", "broker", &network.secret);
    meet(&network, reader);
    broker.logged("match \"letters\"", 1);
}

#[test]
fn a_network_without_multicast_has_no_broker_to_be_found() {
    let Some(network) = Network::new(&["a", "c"]) else { return };
    for port in ["port0", "port1"] {
        let hub = network.machines.name("hub");
        let mut ip = Command::new("ip");
        ip.args(["-n", &hub, "link", "set", port, "type", "bridge_slave", "mcast_flood", "off"]);
        run(ip).succeeded();
    }
    let _broker = network.broker("c", "broker", &network.secret);
    // Longer than the network is asked once.
    run(network.command("a", &["cat", "--timeout", "4s", "netpipe:letters:r"]))
        .failed(110, &["netpipe:letters:r", "broker on the local network: none has announced itself yet"]);
}

#[test]
fn a_machine_without_a_network_is_told_so() {
    let Some(network) = Network::new(&["a"]) else { return };
    let mut ip = Command::new("ip");
    ip.args(["-n", &network.machines.name("a"), "link", "set", "eth0", "down"]);
    run(ip).succeeded();
    let wait =
        |seconds| network.command("a", &["cat", "--timeout", &format!("{seconds}s"), "netpipe:letters:r"]);
    run_timed("no network of this machine is up but loopback", wait)
        .failed(110, &["broker on the local network"]);
}

#[test]
fn a_process_that_may_not_list_the_networks_says_so() {
    if !have_walls() {
        return;
    }
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let may = "place = \"process\"\nmay = { tcp-connect = true, tcp-listen = true, udp = true, dns = true }";
    let settings = format!("settings = {{ discover = true, secret-file = {secret:?} }}");
    let file = folder.operator("zvfs.toml", &format!("[provider.tcp]\n{may}\n{settings}"));
    let wait = |seconds| under(&file, &["cat", "--timeout", &format!("{seconds}s"), "netpipe:letters:r"]);
    run_timed("may not list the networks", wait).failed(110, &["give the address of the broker"]);
}

#[test]
fn what_cannot_be_announced_or_found_is_refused() {
    let folder = Folder::new();
    let secret = secret_file(&folder, "secret", SECRET);
    let broker = |arguments: &[&str]| {
        let mut command = bare();
        command.arg("broker").args(arguments);
        run(command)
    };
    let bare = broker(&["--listen", "127.0.0.1:0", "--announce"]);
    assert!(bare.code == 64 && bare.stderr.contains("--secret-file"), "{bare:?}");
    let insecure = broker(&["--listen", "0.0.0.0:0", "--insecure", "--announce"]);
    assert!(insecure.code == 64 && insecure.stderr.contains("--insecure"), "{insecure:?}");
    let with_secret = |more: &[&str]| broker(&[&["--secret-file", &secret], more].concat());
    with_secret(&["--listen", "127.0.0.1:0", "--announce"])
        .failed(22, &["announce a broker at 127.0.0.1:", "only this machine", "0.0.0.0"]);
    let long = format!("--announce={}", "x".repeat(64));
    with_secret(&["--listen", "0.0.0.0:0", &long]).failed(22, &["64 bytes", "1 to 63"]);

    for (settings, words) in [
        ("discover = true", ["`discover`", "`secret`"]),
        (r#"discover = true, broker = "b", secret-file = "SECRET""#, ["`discover`", "`broker`"]),
    ] {
        let settings = settings.replace("SECRET", &secret);
        let file = folder.operator("odd.toml", &format!("[provider.tcp]\nsettings = {{ {settings} }}"));
        run(under(&file, &["cat", "netpipe:letters:r"])).failed(22, &words);
    }
}
