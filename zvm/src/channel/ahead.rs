//! Reads ahead of a guest that asks whether there is something to read.

use super::sources::{Moved, Sources};
use crate::exit::panic_text;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Code, Control, Error};

/// The most that is read ahead, in bytes.
const BUFFER: usize = 64 << 10;
/// The thread reads into one buffer, in providers that may call libraries.
const STACK: usize = 1 << 20;
/// How long a provider may ignore its cancel before its thread is left behind.
const GRACE: Duration = Duration::from_secs(1);

/// Called after each read, to wake whoever polls.
pub(crate) type Wake = Arc<dyn Fn() + Send + Sync>;

/// The thread that reads a channel's sources, and what it read.
pub(super) struct Ahead {
    shared: Arc<Shared>,
    controls: Vec<Control>,
}

struct Shared {
    state: Mutex<Buffered>,
    changed: Condvar,
}

#[derive(Default)]
struct Buffered {
    /// How much the thread is to read; 0: it waits.
    want: usize,
    buffer: Vec<u8>,
    /// How much of the buffer was taken.
    taken: usize,
    end: bool,
    error: Option<Error>,
    closing: bool,
    gone: bool,
}

impl Buffered {
    fn ready(&self) -> bool {
        self.taken < self.buffer.len() || self.end || self.error.is_some()
    }
}

impl Ahead {
    /// Starts the thread, which takes the sources over.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(mut sources: Sources, wake: Wake) -> Result<Ahead, Error> {
        let controls = sources.iter_mut().map(|source| source.file.control().clone()).collect();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let thread = thread::Builder::new().name("zvm-read-ahead".into()).stack_size(STACK);
        let spawned = thread.spawn({
            let shared = shared.clone();
            move || {
                // Dropped last, whatever happens.
                let gone = Gone(shared);
                gone.0.run(&mut sources, &wake);
                drop(sources);
            }
        });
        match spawned {
            Ok(_) => Ok(Ahead { shared, controls }),
            Err(error) => Err(Error::new(Code::ENOMEM, "start the read-ahead thread").with_source(error)),
        }
    }

    /// Asks for the next read, of at most `count` bytes, unless what was read before is still there.
    pub(super) fn ask(&self, count: usize) {
        let mut state = self.shared.state.lock();
        if !state.ready() && state.want == 0 {
            state.want = count.min(BUFFER);
            self.shared.changed.notify_all();
        }
    }

    /// Whether a read would answer at once.
    pub(super) fn ready(&self) -> bool {
        self.shared.state.lock().ready()
    }

    /// How much is there.
    pub(super) fn available(&self) -> usize {
        let state = self.shared.state.lock();
        state.buffer.len() - state.taken
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.controls.iter().any(Control::is_cancelled)
    }

    /// Takes what was read, at most `buf`'s length; waits for it. 0: the end.
    ///
    /// # Errors
    /// What the read gave.
    pub(super) fn take(&self, buf: &mut [u8]) -> Result<usize, Error> {
        self.ask(buf.len());
        let mut state = self.shared.state.lock();
        while !state.ready() {
            self.shared.changed.wait(&mut state);
        }
        let Buffered { buffer, taken, .. } = &mut *state;
        let data = &buffer[*taken..];
        let count = data.len().min(buf.len());
        buf[..count].copy_from_slice(&data[..count]);
        *taken += count;
        match state.error.take() {
            Some(error) if count == 0 => {
                // It stays: the next one gets it too.
                state.error = Some(Error::new(error.code(), error.chain()));
                Err(error)
            }
            error => {
                state.error = error;
                Ok(count)
            }
        }
    }
}

impl Ahead {
    /// Ends the thread: cancels its read, and waits a second for it to go. Returns whether it went.
    pub(super) fn end(self) -> bool {
        self.stop()
    }

    fn stop(&self) -> bool {
        self.shared.state.lock().closing = true;
        self.shared.changed.notify_all();
        for control in &self.controls {
            control.cancel();
        }
        let until = Instant::now() + GRACE;
        let mut state = self.shared.state.lock();
        while !state.gone && !self.shared.changed.wait_until(&mut state, until).timed_out() {}
        state.gone
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for Ahead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ahead")
    }
}

/// Tells that the thread is gone.
struct Gone(Arc<Shared>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.state.lock().gone = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn run(&self, sources: &mut Sources, wake: &Wake) {
        loop {
            let want = {
                let mut state = self.state.lock();
                while state.want == 0 && !state.closing {
                    self.changed.wait(&mut state);
                }
                if state.closing {
                    return;
                }
                state.want
            };
            let mut buffer = vec![0; want];
            let read = catch_unwind(AssertUnwindSafe(|| sources.read_some(&mut buffer)));
            let (moved, panicked) = match read {
                Ok(moved) => (moved, false),
                Err(panic) => {
                    let text = format!("panic in a read: {}", panic_text(&*panic));
                    (Moved { count: 0, error: Some(Error::new(Code::EIO, text)) }, true)
                }
            };
            buffer.truncate(moved.count);
            {
                let mut state = self.state.lock();
                state.end = moved.count == 0 && moved.error.is_none();
                (state.want, state.taken, state.buffer, state.error) = (0, 0, buffer, moved.error);
            }
            self.changed.notify_all();
            wake();
            if panicked {
                return;
            }
        }
    }
}
