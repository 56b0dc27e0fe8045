//! A provider that misbehaves: `odd:deaf` ignores its cancel, `odd:clings` hangs in its close, `odd:panic` panics; and it may hang in its
//! stop.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use vfs_core::{
    Capabilities, Code, Error, File, Host, Info, Instance, OpenFlags, Provider, Request, Result, Settings,
};

/// The provider, its instance, and the test's hold on both.
#[derive(Clone, Default)]
pub struct Odd(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Reads of `odd:deaf` that began.
    stuck: usize,
    released: bool,
    /// Files that were closed.
    closed: usize,
    /// A stop waits until it is released.
    stop_hangs: bool,
    /// Instances that have stopped.
    stopped: usize,
}

/// Longer than any test waits.
const BOUND: Duration = Duration::from_secs(30);

impl Odd {
    /// Waits until a read of `odd:deaf` is in progress.
    pub fn await_stuck(&self) {
        self.wait(|state| state.stuck > 0);
    }

    /// Has the next stop hang.
    pub fn hang_at_stop(&self) {
        self.change(|state| state.stop_hangs = true);
    }

    /// How many instances have stopped.
    pub fn stopped(&self) -> usize {
        self.0.state.lock().unwrap().stopped
    }

    /// Lets everything that hangs return.
    pub fn release(&self) {
        self.change(|state| state.released = true);
    }

    /// Waits until a file was closed.
    pub fn await_closed(&self) {
        self.wait(|state| state.closed > 0);
    }

    fn wait(&self, reached: impl Fn(&State) -> bool) {
        let state = self.0.state.lock().unwrap();
        let (_state, result) =
            self.0.changed.wait_timeout_while(state, BOUND, |state| !reached(state)).unwrap();
        assert!(!result.timed_out());
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.state.lock().unwrap());
        self.0.changed.notify_all();
    }
}

impl Provider for Odd {
    fn info(&self) -> Info {
        Info::new("odd", "1", "misbehaves").supported_flags(OpenFlags::READ | OpenFlags::WRITE)
    }

    fn start(&self, _: Host, _: Settings) -> Result<Box<dyn Instance>> {
        Ok(Box::new(Started(self.clone())))
    }
}

struct Started(Odd);

impl Instance for Started {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        Ok(Box::new(OddFile { odd: self.0.clone(), way: request.rest().to_owned() }))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.0.wait(|state| state.released || !state.stop_hangs);
        self.0.change(|state| state.stopped += 1);
    }
}

struct OddFile {
    odd: Odd,
    way: String,
}

impl File for OddFile {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::WRITABLE
    }

    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        match self.way.as_str() {
            "deaf" => {
                self.odd.change(|state| state.stuck += 1);
                self.odd.wait(|state| state.released);
                Ok(0)
            }
            way => panic!("odd is {way}"),
        }
    }

    fn write(&mut self, _: &[u8]) -> Result<usize> {
        Err(Error::new(Code::EIO, "odd writes nothing"))
    }
}

impl Drop for OddFile {
    fn drop(&mut self) {
        self.odd.wait(|state| state.released || self.way != "clings");
        self.odd.change(|state| state.closed += 1);
    }
}
