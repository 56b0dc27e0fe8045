//! Cancels whatever a session has open, from another thread.

use parking_lot::Mutex;
use std::sync::Arc;
use vfs_core::{Control, Waiting};

/// The controls of all files of a session, those still being opened too. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct Controls(Arc<Mutex<List>>);

#[derive(Debug, Default)]
struct List {
    cancelled: bool,
    controls: Vec<Control>,
    /// What is being opened or read before there are channels.
    at: Option<String>,
}

impl Controls {
    /// An empty list.
    pub fn new() -> Controls {
        Controls::default()
    }

    /// Makes a control for the next open, cancelled already if the session is.
    pub fn add(&self) -> Control {
        let control = Control::new();
        let mut list = self.0.lock();
        if list.cancelled {
            control.cancel();
        }
        list.controls.push(control.clone());
        control
    }

    /// Says what is opened or read next: whoever stops the session meanwhile tells it.
    pub(crate) fn at(&self, what: String) {
        self.0.lock().at = Some(what);
    }

    /// What was said last.
    pub(crate) fn place(&self) -> Option<String> {
        self.0.lock().at.clone()
    }

    /// What a provider of one of the files waits for, as far as it says.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let controls = self.0.lock().controls.clone();
        controls.iter().find_map(Control::waiting)
    }

    /// Ends the calls in progress on all files, and those to come, with ECANCELED.
    pub fn cancel(&self) {
        let controls = {
            let mut list = self.0.lock();
            list.cancelled = true;
            list.controls.clone()
        };
        // Outside the lock: a cancel runs the provider's function.
        for control in controls {
            control.cancel();
        }
    }

    /// Whether [`cancel`](Controls::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }
}
