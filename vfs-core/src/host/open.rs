//! How to open a descriptor.

mod ending;
mod file;
mod opening;
mod poll;
mod promises;

use crate::context::Context;
use crate::control::Control;
use crate::flags::OpenFlags;
use crate::host::work::On;
pub use file::OpenFile;

/// How to open a descriptor.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    pub(crate) flags: OpenFlags,
    pub(crate) expected_size: Option<u64>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) offered: Vec<(&'static str, String)>,
    /// What ends the open, and the file's calls.
    pub(crate) leader: Option<Context>,
    /// How many layers stand above it.
    pub(crate) depth: u32,
    /// Whose thread loads and starts the provider, if that is to be done first.
    pub(crate) loads_on: On,
}

impl OpenOptions {
    /// Opens with these flags; with neither `READ` nor `WRITE` the descriptor decides.
    pub fn new(flags: OpenFlags) -> OpenOptions {
        OpenOptions { flags, ..OpenOptions::default() }
    }

    /// The same with other flags.
    pub fn with_flags(self, flags: OpenFlags) -> OpenOptions {
        OpenOptions { flags, ..self }
    }

    /// Says how many bytes will be written.
    pub fn expected_size(mut self, size: u64) -> OpenOptions {
        self.expected_size = Some(size);
        self
    }

    /// Gives a per-open setting; the provider must declare it with the scope `OPEN`.
    pub fn setting(mut self, name: impl Into<String>, text: impl Into<String>) -> OpenOptions {
        self.settings.push((name.into(), text.into()));
        self
    }

    /// Offers what a provider may want to know of its host or of the run, such as `node`, `job` or `run`. Only a provider that
    /// declares a per-open setting of this name gets it; one that was given as a [`setting`](OpenOptions::setting) counts instead.
    pub fn offer(mut self, name: &'static str, text: impl Into<String>) -> OpenOptions {
        self.offered.push((name, text.into()));
        self
    }

    /// Lets this control end the open itself and every call of the file; by default nothing does. One control may serve any
    /// number of files: each gets a [`follower`](Control::follower) of it, which is what [`OpenFile::control`] gives.
    pub fn control(mut self, control: &Control) -> OpenOptions {
        self.leader = Some(control.context());
        self
    }

    /// Has the calling thread load and start the provider, if this is its first use. A library may never come back from that, whatever
    /// its control says: for a thread that its host leaves behind then, as it would in a call of the provider. By default a thread that is
    /// started for it does so, which costs some 100 us more.
    pub fn load_on_this_thread(mut self) -> OpenOptions {
        self.loads_on = On::Callers;
        self
    }
}
