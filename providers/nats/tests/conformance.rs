//! The netpipe suite over libzvfs_nats.so, in the host and in a process of its own: over Debian's server, a newer one, a cluster,
//! and a server that keeps no names. Pipes have the short descriptors of every back-end: only an alias leads here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io;
use vfs_core::{Configuration, Provider, Registry, Walls};
use zvfs_conformance::netpipe::{Pair, Subject, run};
use zvfs_conformance::{load_built, load_in_process};
use zvfs_engines::NatsServer;
use zvfs_nats::Nats;
use zvfs_test_support::{alone, provider_process};

/// What a pipe may hold before its reader reads: a window, and one frame.
const HELD_MAX: usize = 2 << 20;

#[test]
fn pipes_pass_the_netpipe_suite() {
    suite(loaded, || Some(vec![NatsServer::debian()?]), "");
}

#[test]
fn pipes_of_this_crate_pass_the_netpipe_suite() {
    suite(|| Ok(Box::new(Nats)), || Some(vec![NatsServer::debian()?]), "");
}

#[test]
fn pipes_over_a_newer_server_pass_the_netpipe_suite() {
    suite(loaded, || Some(vec![NatsServer::newer()?]), "");
}

#[test]
fn pipes_over_a_cluster_pass_the_netpipe_suite() {
    suite(loaded, || NatsServer::cluster().map(Vec::from), "replicas = 3");
}

#[test]
fn pipes_whose_names_are_not_kept_pass_the_netpipe_suite() {
    suite(loaded, || Some(vec![NatsServer::with("")?]), "names = \"best-effort\"");
}

/// What the writer sends goes through memory, from its first frames on.
const TOGETHER: &str = "same-host-after = 0";

#[test]
fn pipes_through_memory_pass_the_netpipe_suite() {
    suite(loaded, || Some(vec![NatsServer::debian()?]), TOGETHER);
}

#[test]
fn pipes_of_a_process_through_memory_pass_the_netpipe_suite() {
    suite(loaded_in_a_process, || Some(vec![NatsServer::debian()?]), TOGETHER);
}

#[test]
fn pipes_of_a_process_pass_the_netpipe_suite() {
    suite(loaded_in_a_process, || Some(vec![NatsServer::debian()?]), "");
}

fn loaded() -> io::Result<Box<dyn Provider>> {
    load_built("nats")
}

/// With what docs/operators.md says that it needs.
fn loaded_in_a_process() -> io::Result<Box<dyn Provider>> {
    load_in_process("nats", provider_process(), &Walls { tcp_connect: true, dns: true, ..Walls::default() })
}

/// Alone, as the suite counts the process's threads.
fn suite(
    provider: fn() -> io::Result<Box<dyn Provider>>,
    servers: fn() -> Option<Vec<NatsServer>>,
    settings: &str,
) {
    alone(|| {
        let Some(servers) = servers() else { return };
        let list: Vec<String> = servers.iter().map(|server| format!("{:?}", server.address())).collect();
        let configuration = format!(
            "[provider.nats]\nsettings.servers = [{}]\nsettings.{}\n[alias]\nnetpipe = \"nats\"\n",
            list.join(", "),
            if settings.is_empty() { "prefix = \"zvfs\"" } else { settings }
        );
        let host = move || {
            let registry = Registry::new(Configuration::parse(&configuration)?);
            registry.register(provider()?)?;
            Ok(registry)
        };
        let pipes = |name: &str, writers| {
            Ok(Pair {
                reader: format!("netpipe:{name}:r?writers={writers}"),
                writer: format!("netpipe:{name}:w"),
            })
        };
        run(Subject::new(host, pipes).held_max(HELD_MAX));
    });
}
