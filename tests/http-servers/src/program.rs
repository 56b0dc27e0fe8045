//! Running a program of the machine.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};
use zvfs_test_support::{ends, find};

/// What a server that was told to end may take for it, before it is killed.
const PARTING: Duration = Duration::from_secs(10);
/// Longer than any server takes to start on a busy machine.
const STARTING: Duration = Duration::from_secs(120);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(5);

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
        let path = find(program).ok_or_else(|| io::Error::other(format!("no {program} here")))?;
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

    /// Waits until it has brought something about, such as that it answers; `false`: it has ended, or is not there after two minutes. That
    /// it still runs is looked at last: who answers at the port of one that has ended is somebody else.
    pub fn comes_to(&mut self, mut is_so: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        loop {
            let came = is_so();
            if self.has_ended() || start.elapsed() > STARTING {
                return false;
            }
            if came {
                return true;
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to tell.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        if !ends(&self.0, PARTING) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
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
