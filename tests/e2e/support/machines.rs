//! Machines, as network namespaces.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use zvfs_test_support::{have, skip};

/// Machines: namespaces, on one of two networks each. `hub` is on both; no way leads from one to the other.
pub struct Machines {
    prefix: String,
    names: Vec<String>,
}

impl Machines {
    /// Sets them up, each with the number of its network, 0 or 1; `None`: this system does not let us.
    pub fn new(list: &[(&str, u8)]) -> Option<Machines> {
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

    /// The kernel's name of one.
    pub fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The hub's address on a network.
    pub fn hub(network: u8) -> String {
        format!("10.97.{network}.1")
    }

    /// A command as it runs on one of them.
    pub fn on(&self, name: &str, command: &Command) -> Command {
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
