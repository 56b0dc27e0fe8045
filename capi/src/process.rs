//! The one registry behind `zvm.h`: made at its first use, stopped at exit, and made anew in a forked child.

use crate::configuration::find;
use crate::pipe::Pipe;
use crate::registry::host;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error, PerProcess, Registry, Result, extern_c};

/// How long the exit waits for calls of other threads that it cancelled. What was ended is delivered after that, within the 5 s
/// that a provider's stop has.
const LAST_CALLS: Duration = Duration::from_secs(1);

/// What belongs to a process.
pub struct Process {
    state: Mutex<State>,
    /// What all its pipes follow.
    control: Control,
    /// Pipes that may be open still.
    pipes: Mutex<Vec<Weak<Pipe>>>,
}

enum State {
    Unused,
    Used(Registry),
    Ended,
}

static CURRENT: PerProcess<Process> = PerProcess::new();

impl Process {
    /// This process's.
    pub fn current() -> &'static Process {
        CURRENT.get_or_make(|| Process {
            state: Mutex::new(State::Unused),
            control: Control::new(),
            pipes: Mutex::default(),
        })
    }

    /// The registry, of the operator's configuration. A failure is not kept: a mended configuration works at the next call.
    pub fn registry(&self) -> Result<Registry> {
        let mut state = self.state.lock();
        match &*state {
            State::Used(registry) => Ok(registry.clone()),
            State::Ended => Err(Error::new(Code::ECANCELED, "the process is ending")),
            State::Unused => {
                let registry = Registry::with_host(find(None)?, host()?);
                at_exit()?;
                *state = State::Used(registry.clone());
                Ok(registry)
            }
        }
    }

    /// The control of one more pipe.
    pub fn follower(&self) -> Control {
        self.control.follower()
    }

    /// Keeps an eye on a pipe, for the exit.
    pub fn watch(&self, pipe: &Arc<Pipe>) {
        let mut pipes = self.pipes.lock();
        if pipes.len() == pipes.capacity() {
            pipes.retain(|pipe| pipe.strong_count() > 0);
        }
        pipes.push(Arc::downgrade(pipe));
    }

    /// Breaks what is open, and stops the providers' instances, which delivers what was ended.
    fn end(&self) {
        let state = std::mem::replace(&mut *self.state.lock(), State::Ended);
        self.control.cancel();
        let until = Instant::now() + LAST_CALLS;
        let pipes = std::mem::take(&mut *self.pipes.lock());
        pipes.iter().filter_map(Weak::upgrade).for_each(|pipe| pipe.break_off(until));
        if let State::Used(registry) = state {
            // A pipe whose call did not end still has the registry.
            registry.release();
        }
    }
}

/// Has the exit call us, once: a forked child inherits that.
fn at_exit() -> Result<()> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    // SAFETY: the function stays: this library is never unloaded.
    if !ASKED.swap(true, Ordering::SeqCst) && unsafe { libc::atexit(end) } != 0 {
        ASKED.store(false, Ordering::SeqCst);
        return Err(Error::new(Code::ENOMEM, "register an exit handler: out of memory"));
    }
    Ok(())
}

extern_c! { by "libzvfs":
    // The panic hook tells what fails here; there is nobody else to tell.
    fn end() -> (), plain {
        CURRENT.get().into_iter().for_each(Process::end);
        Ok(())
    }
}
