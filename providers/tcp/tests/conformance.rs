//! The netpipe suite over libzvfs_tcp.so, in the host and in a process of its own: direct pipes, and pipes through a broker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[allow(dead_code, unused_imports, reason = "shared with the other tests")]
#[path = "tcp/common.rs"]
mod common;

use common::{Running, free_port};
use netpipe::broker::Config;
use std::io;
use vfs_core::{Code, Configuration, OpenFlags, OpenOptions, Provider, Registry, Walls};
use zvfs_conformance::netpipe::{Pair, Subject, run};
use zvfs_conformance::{load_built, load_in_process};
use zvfs_test_support::{alone, bounded, have_walls, provider_process};

/// What a pipe may hold before its reader reads: a window, and one frame.
const HELD_MAX: usize = 2 << 20;

/// Everything by the connection.
const APART: &str = "same-host = \"off\"";
/// What the writer sends through memory, from its first frames on.
const TOGETHER: &str = "same-host = \"on\", same-host-after = 0";

#[test]
fn direct_pipes_pass_the_netpipe_suite() {
    direct(host, APART);
}

#[test]
fn direct_pipes_through_memory_pass_the_netpipe_suite() {
    direct(host, TOGETHER);
}

#[test]
fn brokered_pipes_pass_the_netpipe_suite() {
    brokered(host, APART);
}

#[test]
fn brokered_pipes_through_memory_pass_the_netpipe_suite() {
    brokered(host, TOGETHER);
}

#[test]
fn direct_pipes_of_a_process_pass_the_netpipe_suite() {
    direct(host_of_a_process, APART);
}

#[test]
fn direct_pipes_of_a_process_through_memory_pass_the_netpipe_suite() {
    direct(host_of_a_process, TOGETHER);
}

#[test]
fn brokered_pipes_of_a_process_pass_the_netpipe_suite() {
    brokered(host_of_a_process, APART);
}

/// Makes a host with this library, and settings as an operator writes them.
type NewHost = fn(&str) -> io::Result<Registry>;

/// Alone, as the suite counts the process's threads.
fn direct(host: NewHost, settings: &'static str) {
    alone(|| {
        let pipes = |_: &str, writers| {
            let place = format!("tcp://127.0.0.1:{}", free_port());
            Ok(Pair {
                reader: format!("{place}?mode=r&writers={writers}"),
                writer: format!("{place}?mode=w"),
            })
        };
        run(Subject::new(move || host(settings), pipes).held_max(HELD_MAX));
    });
}

/// Alone, as the suite counts the process's threads.
fn brokered(host: NewHost, more: &str) {
    alone(|| {
        let broker = Running::start(Config::default());
        let settings = format!("broker = \"{}\", {more}", broker.address);
        let pipes = |name: &str, writers| {
            Ok(Pair {
                reader: format!("netpipe:{name}:r?writers={writers}"),
                writer: format!("netpipe:{name}:w"),
            })
        };
        run(Subject::new(move || host(&settings), pipes).held_max(HELD_MAX));
    });
}

/// The provider in the host.
fn provider() -> Box<dyn Provider> {
    load_built("tcp").unwrap()
}

fn host(settings: &str) -> io::Result<Registry> {
    with_provider(provider(), settings)
}

/// With what docs/operators.md says that it needs.
fn host_of_a_process(settings: &str) -> io::Result<Registry> {
    let walls = Walls { tcp_connect: true, tcp_listen: true, dns: true, ..Walls::default() };
    with_provider(load_in_process("tcp", provider_process(), &walls)?, settings)
}

fn with_provider(provider: Box<dyn Provider>, settings: &str) -> io::Result<Registry> {
    let configuration = format!("[provider.tcp]\nsettings = {{ {settings} }}\n");
    let registry = Registry::new(Configuration::parse(&configuration)?);
    registry.register(provider)?;
    Ok(registry)
}

/// Found: a writer whose provider may not connect waited for its reader for ever.
#[test]
fn a_process_that_may_not_connect_is_an_error_and_no_wait() {
    if !have_walls() {
        return;
    }
    let listens = Walls { tcp_listen: true, ..Walls::default() };
    for (walls, code) in [(Walls::default(), Code::EPERM), (listens, Code::EACCES)] {
        let error = bounded(move || {
            let provider = load_in_process("tcp", provider_process(), &walls).unwrap();
            let registry = with_provider(provider, "").unwrap();
            let options = OpenOptions::new(OpenFlags::WRITE);
            let mut file = registry.open("tcp://127.0.0.1:1?mode=w", &options).unwrap();
            file.write(b"x").unwrap_err()
        });
        assert_eq!(error.code(), code, "{}", error.chain());
        assert!(error.chain().contains("connect to 127.0.0.1:1"), "{}", error.chain());
    }
}
