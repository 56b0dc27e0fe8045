//! SIGINT, SIGTERM and SIGHUP: the first one asks, the second one ends the process at once.

use crate::exit::{Failure, of_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Barrier};
use std::thread;
use vfs_core::Error;

const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The first signal, for a thread that waits in poll(2) and needs no other one to hear of it. A later one ends the process, whatever any
/// thread is doing.
pub struct First(SignalDelivery<UnixStream, SignalOnly>);

impl First {
    /// Listens from now on.
    pub fn listen() -> Result<First, Failure> {
        let listens = || {
            let (read, write) = UnixStream::pair()?;
            let signals = SignalDelivery::with_pipe(read, write, SignalOnly, SIGNALS)?;
            second_one_ends(&SIGNALS)?;
            Ok(First(signals))
        };
        listens().map_err(failed)
    }

    /// It, if it came.
    pub fn take(mut self) -> Option<i32> {
        self.0.pending().next()
    }
}

/// Readable once it came.
impl AsFd for First {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_read().as_fd()
    }
}

/// Calls `first` for the first signal, on a thread of its own. A later one ends the process, whatever any thread is doing.
pub fn listen(first: impl FnOnce(i32) + Send + 'static) -> Result<(), Failure> {
    handle(&SIGNALS, |mut signals| {
        if let Some(signal) = signals.forever().next() {
            first(signal);
        }
    })
}

/// As `listen`, for a command that serves: SIGHUP calls `reload`, each time, and ends nothing.
pub fn serve(
    first: impl FnOnce(i32) + Send + 'static,
    mut reload: impl FnMut() + Send + 'static,
) -> Result<(), Failure> {
    handle(&[SIGINT, SIGTERM], move |mut signals| {
        let end = signals.forever().find(|signal| {
            let reloads = *signal == SIGHUP;
            if reloads {
                reload();
            }
            !reloads
        });
        if let Some(signal) = end {
            first(signal);
        }
    })
}

/// Hands signals to a thread of its own. The second one of those that end ends the process.
fn handle(ends: &[i32], work: impl FnOnce(Signals) + Send + 'static) -> Result<(), Failure> {
    let signals = Signals::new(SIGNALS).map_err(failed)?;
    second_one_ends(ends).map_err(failed)?;
    spawn("signals", move || work(signals))
}

/// Has the second one of these end the process.
fn second_one_ends(ends: &[i32]) -> io::Result<()> {
    let asked = Arc::new(AtomicBool::new(false));
    for &signal in ends {
        // In this order: the handler looks before it says that the first one came.
        flag::register_conditional_shutdown(signal, of_signal(signal).into(), asked.clone())?;
        flag::register(signal, asked.clone())?;
    }
    Ok(())
}

fn failed(error: io::Error) -> Failure {
    Failure::from(Error::from(error).context("listen for signals"))
}

/// Starts a thread, and returns once it runs. What ends a command must run before the first provider is loaded: a library whose
/// constructor does not return keeps the loader's lock, which a thread needs as it starts.
pub fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let runs = Arc::new(Barrier::new(2));
    let started = runs.clone();
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        started.wait();
        work();
    });
    thread.map_err(|error| Error::no_thread(&error).context("start a thread"))?;
    runs.wait();
    Ok(())
}
