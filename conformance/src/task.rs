//! Whether a call waits. That it is not back says little on a busy machine: its thread may not have run yet. So the kernel is
//! asked, and only the time counts in which the thread sleeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often the kernel is asked.
const STEP: Duration = Duration::from_millis(10);

/// A thread of this process.
#[derive(Debug)]
pub(crate) struct Task(Option<PathBuf>);

impl Task {
    /// The calling thread.
    pub fn current() -> Task {
        Task(fs::read_link("/proc/thread-self").ok().map(|link| Path::new("/proc").join(link).join("stat")))
    }

    /// Whether it sleeps, and so neither runs nor waits for a processor. One of which the kernel says nothing does.
    fn sleeps(&self) -> bool {
        let Some(stat) = self.0.as_ref().and_then(|path| fs::read_to_string(path).ok()) else { return true };
        // The state follows the name, which stands in parentheses and may hold some.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('S'))
    }

    /// Waits for the outcome of this thread's call until the thread has slept for `time`, or for `patience` if it never does.
    ///
    /// # Errors
    /// None came: the call waits, or its thread died.
    pub fn outcome<T>(
        &self,
        outcome: &Receiver<T>,
        time: Duration,
        patience: Duration,
    ) -> Result<T, RecvTimeoutError> {
        let (until, mut slept) = (Instant::now() + patience.max(time), Duration::ZERO);
        while slept < time && Instant::now() < until {
            match outcome.recv_timeout(STEP) {
                Err(RecvTimeoutError::Timeout) if self.sleeps() => slept += STEP,
                Err(RecvTimeoutError::Timeout) => {}
                other => return other,
            }
        }
        Err(RecvTimeoutError::Timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn only_a_thread_that_sleeps_waits() {
        let (tasks, task) = channel();
        let (go, gone) = channel::<bool>();
        let (done, outcome) = channel();
        let thread = thread::spawn(move || {
            tasks.send(Task::current()).unwrap();
            while !gone.try_recv().unwrap_or(false) {
                std::hint::spin_loop();
            }
            gone.recv().unwrap();
            done.send(7).unwrap();
        });
        let task = task.recv().unwrap();
        // It runs, or wants to: that is no waiting, however long it takes.
        let spins = task.outcome(&outcome, Duration::from_millis(50), Duration::from_millis(300));
        assert_eq!(spins, Err(RecvTimeoutError::Timeout));
        assert!((0..20).any(|_| !task.sleeps()));
        go.send(true).unwrap();
        assert_eq!(task.outcome(&outcome, Duration::from_millis(50), LONG), Err(RecvTimeoutError::Timeout));
        go.send(true).unwrap();
        assert_eq!(task.outcome(&outcome, LONG, LONG), Ok(7));
        thread.join().unwrap();
    }
}
