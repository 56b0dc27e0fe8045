//! The context of a file, or of a call on a name, in the provider's process: fed by its host.

use super::wire::{ControlState, FileId};
use crate::context::{CancelFn, Context, ContextCalls, Follower, Origin};
use crate::control::{Control, Log};
use crate::error::Result;
use crate::flags::Events;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// A file's control, as its host says that it is, and what the file waits for, for the host to hear. Clones are the same.
#[derive(Clone)]
pub struct FileContext {
    control: Control,
    context: Context,
}

/// Tells the host what a file waits for, and what was last refused; `None`: it waits no longer.
pub type SayWaiting = Arc<dyn Fn(FileId, Option<&str>, Option<&str>) + Send + Sync>;

impl FileContext {
    /// With the control as it came with the file's first call.
    pub fn new(file: FileId, state: ControlState, say: SayWaiting) -> FileContext {
        let control = Control::of(Origin { file, ..Origin::default() }, Log::none());
        let inner = control.context();
        let context = Context::new(Arc::new(HostWaits { inner, file, say }));
        let new = FileContext { control, context };
        new.hear(state);
        new
    }

    /// Takes the host's word, unless a newer one came.
    pub fn hear(&self, state: ControlState) {
        self.control.hear(state.generation, state.limits);
    }

    /// For the provider.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// What a file is called that a context, or a clone of it, was made for: a layer names its file so when it opens an inner one.
pub fn file_of(context: &Context) -> Option<FileId> {
    context.origin().map(|origin| origin.file)
}

/// The control's own context, but for waits: the host is the one to hear of them.
struct HostWaits {
    inner: Context,
    file: FileId,
    say: SayWaiting,
}

impl ContextCalls for HostWaits {
    fn status(&self) -> Result<()> {
        self.inner.status()
    }

    fn time_left(&self) -> Option<Duration> {
        self.inner.time_left()
    }

    fn set_on_cancel(&self, function: Option<CancelFn>) -> Result<()> {
        self.inner.set_on_cancel(function)
    }

    fn wait(&self, fd: Option<BorrowedFd<'_>>, events: Events, limit: Option<Duration>) -> Result<Events> {
        self.inner.wait(fd, events, limit)
    }

    fn set_waiting(&self, object: Option<&str>, refusal: Option<&str>) {
        (self.say)(self.file, object, refusal);
    }

    fn origin(&self) -> Option<Origin> {
        self.inner.origin()
    }

    fn lead(&self, follower: Weak<dyn Follower>) -> Result<()> {
        self.inner.lead(follower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::context::Limits;
    use std::sync::Mutex;

    fn state(generation: u64, cancelled: bool) -> ControlState {
        ControlState { generation, limits: Limits { cancelled, deadline: u64::MAX } }
    }

    #[test]
    fn the_hosts_newest_word_counts() {
        let file = FileContext::new(7, state(2, false), Arc::new(|_, _, _| ()));
        assert!(file.context().status().is_ok());
        file.hear(state(4, true));
        file.hear(state(3, false));
        assert_eq!(file.context().status().unwrap_err().code(), Code::ECANCELED);
        assert_eq!(file_of(&file.context().clone()), Some(7));
    }

    #[test]
    fn what_a_file_waits_for_goes_to_its_host() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let hears = said.clone();
        let say: SayWaiting = Arc::new(move |file, object, _| {
            hears.lock().unwrap().push((file, object.map(str::to_owned)));
        });
        let file = FileContext::new(7, state(1, false), say);
        drop(file.context().waits_for("a peer"));
        assert_eq!(*said.lock().unwrap(), [(7, Some("a peer".to_owned())), (7, None)]);
    }
}
