//! How to open a descriptor.

mod ending;
mod file;

use crate::context::Context;
use crate::control::Control;
use crate::flags::OpenFlags;
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

    /// Offers the host's own name; only a provider that declares the setting `node` gets it.
    pub fn node(self, text: impl Into<String>) -> OpenOptions {
        self.offer("node", text.into())
    }

    /// Offers the run's name; only a provider that declares the setting `job` gets it.
    pub fn job(self, text: impl Into<String>) -> OpenOptions {
        self.offer("job", text.into())
    }

    /// Offers a name for all that is opened for one run; only a provider that declares the setting `run` gets it. Two writers
    /// of one run do not get one file.
    pub fn run(self, text: impl Into<String>) -> OpenOptions {
        self.offer("run", text.into())
    }

    /// Offers a broker; only a provider that declares the setting `broker` for each open gets it.
    pub fn broker(self, text: impl Into<String>) -> OpenOptions {
        self.offer("broker", text.into())
    }

    /// Offers how many writers there are for a reader; only a provider that declares the setting `writers` for each open gets
    /// it.
    pub fn writers(self, count: u64) -> OpenOptions {
        self.offer("writers", count.to_string())
    }

    /// Offers to digest the whole file by this algorithm and to compare with the other end: `sha256` or `blake3`. Only a
    /// provider that declares the setting `digest` for each open gets it.
    pub fn digest(self, algorithm: impl Into<String>) -> OpenOptions {
        self.offer("digest", algorithm.into())
    }

    fn offer(mut self, name: &'static str, text: String) -> OpenOptions {
        self.offered.push((name, text));
        self
    }

    /// Lets this control end the open itself and every call of the file; by default nothing does. One control may serve any
    /// number of files: each gets a [`follower`](Control::follower) of it, which is what [`OpenFile::control`] gives.
    pub fn control(mut self, control: &Control) -> OpenOptions {
        self.leader = Some(control.context());
        self
    }
}
