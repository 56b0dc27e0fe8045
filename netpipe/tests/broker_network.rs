//! A relay to a machine whose cable is cut, by a network namespace. It needs root, and says so where it is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the broker")]
#[path = "broker/client.rs"]
mod client;

use client::{Running, secret};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the broker gives a silent peer here, and what the kernel's timers may add to it.
const VANISH: Duration = Duration::from_secs(2);
const SLACK: Duration = Duration::from_secs(8);

/// A second machine, on a cable of its own; both are gone when this is dropped.
struct Machine {
    name: String,
    here: String,
    host: String,
}

impl Machine {
    /// Sets one up; `None`: this system does not let us.
    fn new() -> Option<Self> {
        let id = std::process::id();
        // A network for each process: several test runs may share this system.
        let host = format!("10.{}.{}", 200 + (id >> 8) % 50, id % 256);
        let machine =
            Self { name: format!("netpipe{id}"), here: format!("np{id}"), host: format!("{host}.1") };
        let Self { name, here, .. } = &machine;
        let steps = [
            format!("netns add {name}"),
            format!("link add {here} type veth peer name peer netns {name}"),
            format!("addr add {host}.1/24 dev {here}"),
            format!("link set {here} up"),
            format!("-n {name} addr add {host}.2/24 dev peer"),
            format!("-n {name} link set peer up"),
        ];
        for step in steps {
            let done = ip(&step);
            if let Err(why) = done {
                zvfs_test_support::skip(format_args!("ip {step}: {why}"));
                return None;
            }
        }
        Some(machine)
    }

    /// Runs something with that machine's network.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/run/netns/{}", self.name)).unwrap();
        thread::scope(|scope| {
            let worker = scope.spawn(move || {
                move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            worker.join().unwrap()
        })
    }

    fn cut(&self) {
        ip(&format!("-n {} link set peer down", self.name)).unwrap();
    }

    fn mend(&self) {
        ip(&format!("-n {} link set peer up", self.name)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.here));
        let _ = ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) -> Result<(), String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().into()) }
}

/// Joins a connection of this machine with one of the other.
fn joined(broker: &Running, machine: &Machine) -> (TcpStream, TcpStream) {
    let key = secret(4);
    let token = broker.prepare_relay(Some(&key));
    let here = broker.dial_relay(token, Some(&key), &[]).unwrap();
    let there = machine.run(|| broker.dial_relay(token, Some(&key), &[]).unwrap());
    let mut pair = (here, there);
    pair.1.write_all(b"joined").unwrap();
    pair.0.read_exact(&mut [0; 6]).unwrap();
    pair
}

/// Waits until a connection breaks, and checks that it was neither too late nor an orderly end.
fn assert_broken(stream: &mut TcpStream, what: &str) {
    let start = Instant::now();
    stream.set_read_timeout(Some(VANISH + SLACK)).unwrap();
    match stream.read(&mut [0; 8]) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("{what}: {other:?} after {:?}", start.elapsed()),
    }
}

#[test]
fn a_cut_cable_is_a_reset_to_the_other_end() {
    let Some(machine) = Machine::new() else { return };
    let address = format!("{}:0", machine.host).parse().unwrap();
    let broker = Running::at(address, |config| {
        config.secret = Some(secret(4));
        config.times.vanish = VANISH;
    });
    let (mut here, _there) = joined(&broker, &machine);
    machine.cut();
    assert_broken(&mut here, "an idle relay");

    machine.mend();
    let (mut here, _there) = joined(&broker, &machine);
    machine.cut();
    here.write_all(b"into the dark").unwrap();
    assert_broken(&mut here, "a relay with bytes under way");

    machine.mend();
    let (mut here, mut there) = joined(&broker, &machine);
    machine.cut();
    here.write_all(b"late").unwrap();
    machine.mend();
    let mut late = [0; 4];
    there.read_exact(&mut late).unwrap();
    assert_eq!(&late, b"late", "a short cut costs nothing");
}
