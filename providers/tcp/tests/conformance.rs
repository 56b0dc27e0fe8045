//! The netpipe suite over libzvfs_tcp.so, in the host and in a process of its own: direct pipes, and pipes through a broker.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use netpipe::broker::{Broker, Config, Handle};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use vfs_core::{Configuration, Provider, Registry, Walls};
use zvfs_conformance::netpipe::{Pair, Subject, run};
use zvfs_conformance::{load_built, load_in_process};
use zvfs_test_support::provider_process;

/// What a pipe may hold before its reader reads: a window, and one frame.
const HELD_MAX: usize = 2 << 20;

/// The suite counts the process's threads, and times what should take no time: one run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn direct_pipes_pass_the_netpipe_suite() {
    direct(host);
}

#[test]
fn brokered_pipes_pass_the_netpipe_suite() {
    brokered(host);
}

#[test]
fn direct_pipes_of_a_process_pass_the_netpipe_suite() {
    direct(host_of_a_process);
}

#[test]
fn brokered_pipes_of_a_process_pass_the_netpipe_suite() {
    brokered(host_of_a_process);
}

/// Makes a host with this library, and settings as an operator writes them.
type NewHost = fn(&str) -> io::Result<Registry>;

fn direct(host: NewHost) {
    let _alone = alone();
    let pipes = |_: &str, writers| {
        let place = format!("tcp://127.0.0.1:{}", free_port()?);
        Ok(Pair { reader: format!("{place}?mode=r&writers={writers}"), writer: format!("{place}?mode=w") })
    };
    run(Subject::new(move || host(""), pipes).held_max(HELD_MAX));
}

fn brokered(host: NewHost) {
    let _alone = alone();
    let broker = Running::start();
    let settings = format!("broker = \"{}\"", broker.address);
    let pipes = |name: &str, writers| {
        Ok(Pair {
            reader: format!("netpipe:{name}:r?writers={writers}"),
            writer: format!("netpipe:{name}:w"),
        })
    };
    run(Subject::new(move || host(&settings), pipes).held_max(HELD_MAX));
}

fn host(settings: &str) -> io::Result<Registry> {
    with_provider(load_built("tcp")?, settings)
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

/// A port below those that the system gives to whoever dials, so that none of hundreds of pipes loses its own to that.
fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const RANGE: std::ops::Range<u16> = 12_000..30_000;
    let offset = (std::process::id() * 997 % u32::from(RANGE.len() as u16)) as u16;
    for _ in RANGE {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = RANGE.start + (u32::from(offset) + u32::from(step)) as u16 % RANGE.len() as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::other("no free port"))
}

/// A broker on a thread, until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start() -> Running {
        let broker = Broker::bind("127.0.0.1:0", Config::default()).unwrap();
        let (address, stop) = (broker.local_addr(), broker.handle());
        let thread = Some(thread::spawn(move || broker.run().unwrap()));
        Running { address, stop, thread }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking(), "the broker panicked");
    }
}
