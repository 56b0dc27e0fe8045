//! Programs of the machine: whether they are there, and running one.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// What a server that was told to end may take for it, before it is killed.
const PARTING: Duration = Duration::from_secs(10);

/// A port below those that the system gives to whoever dials, and not one that another caller in this process has.
///
/// For programs that cannot be told to listen at port 0. Another process may take it in between: try again with another.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 18_000;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = (FIRST + (std::process::id().wrapping_mul(997).wrapping_add(step)) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A running program. Told to end when dropped, and when this process dies, however it does.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts a program with these arguments; `prepare` sets its streams.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        program: &str,
        arguments: &[&str],
        prepare: impl FnOnce(&mut Command),
    ) -> io::Result<Process> {
        let path =
            zvfs_test_support::find(program).ok_or_else(|| io::Error::other(format!("no {program} here")))?;
        // The signal goes to the program that `setpriv` becomes. TERM, so that it can end its workers.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(path).args(arguments);
        prepare(&mut command);
        spawn(command).map(Process)
    }

    /// The child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to tell.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        if !ends(&self.0) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// Waits for a child's end; whether it came in time.
fn ends(child: &Child) -> bool {
    let Ok(process) = pidfd_open(Pid::from_child(child), PidfdFlags::empty()) else { return false };
    let timeout = Timespec { tv_sec: PARTING.as_secs() as i64, tv_nsec: 0 };
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)).is_ok_and(|ready| ready > 0)
}

type Birth = (Command, Sender<io::Result<Child>>);

/// Starts a child on a thread that lives as long as the process: the parent's death, as the kernel sees it, is that of the
/// thread that forked, and a test's thread ends with its test.
fn spawn(command: Command) -> io::Result<Child> {
    static NURSERY: OnceLock<Mutex<Sender<Birth>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (births, due) = channel::<Birth>();
        thread::spawn(move || {
            for (mut command, answer) in due {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(births)
    });
    let (answer, child) = channel();
    nursery.lock().unwrap().send((command, answer)).unwrap();
    child.recv().unwrap()
}
