//! The netpipe suite over libzvfs_nats.so, in the host and in a process of its own: over Debian's server, a newer one, a cluster,
//! and a server that keeps no names. Pipes have the short descriptors of every back-end: only an alias leads here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::{Configuration, Provider, Registry, Walls};
use zvfs_conformance::netpipe::{Pair, Subject, run};
use zvfs_conformance::{load_built, load_in_process};
use zvfs_engines::NatsServer;
use zvfs_nats::Nats;
use zvfs_test_support::provider_process;

/// What a pipe may hold before its reader reads: a window, and one frame.
const HELD_MAX: usize = 2 << 20;

/// The suite counts the process's threads, and times what should take no time: one run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn pipes_pass_the_netpipe_suite() {
    let Some(server) = NatsServer::debian() else { return };
    suite(loaded, &[server], "");
}

#[test]
fn pipes_of_this_crate_pass_the_netpipe_suite() {
    let Some(server) = NatsServer::debian() else { return };
    suite(|| Ok(Box::new(Nats)), &[server], "");
}

#[test]
fn pipes_over_a_newer_server_pass_the_netpipe_suite() {
    let Some(server) = NatsServer::newer() else { return };
    suite(loaded, &[server], "");
}

#[test]
fn pipes_over_a_cluster_pass_the_netpipe_suite() {
    let Some(servers) = NatsServer::cluster() else { return };
    suite(loaded, &servers, "replicas = 3");
}

#[test]
fn pipes_whose_names_are_not_kept_pass_the_netpipe_suite() {
    let Some(server) = NatsServer::with("") else { return };
    suite(loaded, &[server], "names = \"best-effort\"");
}

#[test]
fn pipes_of_a_process_pass_the_netpipe_suite() {
    let Some(server) = NatsServer::debian() else { return };
    suite(loaded_in_a_process, &[server], "");
}

fn loaded() -> io::Result<Box<dyn Provider>> {
    load_built("nats")
}

/// With what docs/operators.md says that it needs.
fn loaded_in_a_process() -> io::Result<Box<dyn Provider>> {
    load_in_process("nats", provider_process(), &Walls { tcp_connect: true, dns: true, ..Walls::default() })
}

fn suite(provider: fn() -> io::Result<Box<dyn Provider>>, servers: &[NatsServer], settings: &str) {
    let _alone = alone();
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
}
