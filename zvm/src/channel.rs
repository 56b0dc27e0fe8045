//! A channel: an open file with an alias, a type, quotas and counters.
//!
//! All checks of the channel interface live here, once, above every provider. [`Channel::read_at`] and
//! [`Channel::write_at`] are ZeroVM's calls and what WASI's are built on: a sequential direction ignores the offset, so a
//! caller passes the position of its own descriptor and moves it by the count where the direction is random.

mod ahead;
mod calls;
mod changes;
mod channels;
mod counters;
mod digest;
mod ends;
mod exports;
mod host_files;
mod interactive;
mod open;
mod options;
mod outputs;
mod sources;
mod trees;

pub use channels::{Channels, Meter};
pub use counters::{Counters, Counts, Quota};
pub(crate) use host_files::HostFiles;
pub use options::RunOptions;
pub use outputs::{OutputReport, OutputState};

pub(crate) use ahead::Wake;
pub(crate) use changes::{ChangedFile, Changes};
pub(crate) use exports::Export;
pub(crate) use sources::is_local;
pub(crate) use trees::{Listed, ListedKind, SourceTree};

use crate::exit::Failure;
use crate::manifest::{ChannelSpec, Limits};
use ahead::Ahead;
use sources::Sources;
use std::sync::Arc;
use vfs_core::Code;

/// Why a call on a channel moved nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The guest sees this code and goes on: a bad argument, a quota, EPIPE.
    #[error("{}", .0.text())]
    Refused(Code),
    /// The host failed: the session ends with this, and the guest must not run on. After a cancel the failure is only its
    /// echo, so ask first whether the session was stopped.
    #[error("{0}")]
    Failed(Failure),
}

impl CallError {
    /// The code in ZeroVM's interface: EIO for a failure of the host.
    pub fn code(&self) -> Code {
        match self {
            CallError::Refused(code) => *code,
            CallError::Failed(_) => Code::EIO,
        }
    }
}

impl From<Code> for CallError {
    fn from(code: Code) -> CallError {
        CallError::Refused(code)
    }
}

/// A channel of a running session. Its state is shared by all descriptors that the guest has on it: quotas, the end, the
/// position of a sequential direction, the append end.
#[derive(Debug)]
pub struct Channel {
    spec: Arc<ChannelSpec>,
    /// Empty while `ahead` has them.
    sources: Sources,
    /// Reads an interactive channel once its guest has polled it.
    ahead: Option<Ahead>,
    /// A person may sit at it.
    terminal: bool,
    counters: Arc<Counters>,
    /// Each direction has positions: the type says so, and the sources can do it.
    random_read: bool,
    random_write: bool,
    /// Data was found behind the exhausted quota of a sequential reader.
    more_behind_quota: bool,
    writing_ended: bool,
    /// Of all bytes read and written, in this order.
    digest: Option<digest::Digest>,
    failure: Option<Failure>,
    /// It was discarded when the guest closed it, since a quota had cut it.
    cut: Option<Failure>,
    notes: Vec<String>,
}

impl Channel {
    /// The name that the guest knows it by: an absolute path.
    pub fn alias(&self) -> &str {
        &self.spec.alias
    }

    /// The four quotas.
    pub fn limits(&self) -> Limits {
        self.spec.limits
    }

    /// What was moved so far.
    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }

    /// Whether the quotas allow reading at all.
    pub fn readable(&self) -> bool {
        self.spec.limits.readable()
    }

    /// Whether the quotas allow writing at all.
    pub fn writable(&self) -> bool {
        self.spec.limits.writable()
    }

    /// Whether reads are at the caller's offset.
    pub fn random_read(&self) -> bool {
        self.random_read
    }

    /// Whether writes are at the caller's offset.
    pub fn random_write(&self) -> bool {
        self.random_write
    }

    /// Whether it has positions and a size: a regular file to the guest. Else it is sequential both ways.
    pub fn is_random(&self) -> bool {
        self.random_read || self.random_write
    }

    /// Whether every write goes to the end while reads are random: ZeroVM's "cdr".
    pub fn appends(&self) -> bool {
        self.random_read && self.writable() && !self.random_write
    }

    /// Whether the manifest has it as interactive: a read gives what there is, and whether there is something can be asked.
    pub fn is_interactive(&self) -> bool {
        self.spec.interactive
    }

    /// Whether a person may sit at it.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether the guest has closed its last writing descriptor of it for good: it cannot be opened for writing again
    /// (EPIPE).
    pub fn writing_ended(&self) -> bool {
        self.writing_ended
    }

    /// The digest of all bytes that were read and written until now, in this order, in hexadecimal digits; `None`: the
    /// manifest asks for none.
    pub fn digest(&self) -> Option<String> {
        self.digest.as_ref().map(digest::Digest::hex)
    }

    /// The failure that broke the channel, if one did.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}
