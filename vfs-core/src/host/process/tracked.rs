//! A file of a process, or a call on a name, as long as it lasts: its name there, and its control.

use super::child::Child;
use super::wire::{ControlState, FileId, ToProcess};
use crate::context::{Context, Follower, Limits};
use crate::error::Result;
use crate::lock::Mutex;
use crate::waiting::Waiting;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

pub(super) struct Tracked {
    child: Arc<Child>,
    pub(super) context: Context,
    word: Arc<Word>,
}

/// The file's control as the process has to know it.
struct Word {
    child: Weak<Child>,
    file: FileId,
    state: Mutex<ControlState>,
    /// The process knows the file, or is about to.
    told: AtomicBool,
}

impl Tracked {
    /// For what is opened, or done with a name, under a context.
    pub(super) fn new(child: &Arc<Child>, context: &Context) -> Result<Tracked> {
        let word = Arc::new(Word {
            child: Arc::downgrade(child),
            file: child.add_file(context),
            state: Mutex::new(ControlState { generation: 0, limits: Limits::NONE }),
            told: AtomicBool::new(false),
        });
        let tracked = Tracked { child: child.clone(), context: context.clone(), word };
        let follower: Arc<dyn Follower> = tracked.word.clone();
        context.lead(Arc::downgrade(&follower))?;
        tracked.word.told.store(true, Ordering::Relaxed);
        Ok(tracked)
    }

    pub(super) fn file(&self) -> FileId {
        self.word.file
    }

    /// The control as it is now.
    pub(super) fn control(&self) -> ControlState {
        *self.word.state.lock()
    }
}

impl Follower for Word {
    fn follow(&self, generation: u64, limits: Limits) {
        let mut state = self.state.lock();
        if generation <= state.generation {
            return;
        }
        let control = ControlState { generation, limits };
        *state = control;
        drop(state);
        if self.told.load(Ordering::Relaxed)
            && let Some(child) = self.child.upgrade()
        {
            // What cannot be told is gone, or about to be.
            let _ = child.tell(&ToProcess::Control { file: self.file, control }, &[]);
        }
    }

    /// The host's own context says it.
    fn waiting(&self) -> Option<Waiting> {
        None
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.child.remove_file(self.word.file);
    }
}
