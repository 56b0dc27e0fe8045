//! What a channel moved, readable from any thread.

use crate::exit::{ExitCode, Failure};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use vfs_core::Shown;

/// A channel's four counters, and the call that its sources are in. One thread counts, any may look: also while that one is
/// stuck in a provider.
#[derive(Debug, Default)]
pub struct Counters {
    gets: AtomicU64,
    get_bytes: AtomicU64,
    puts: AtomicU64,
    put_bytes: AtomicU64,
    /// 0: none; else an [`Operation`].
    call: AtomicU8,
    /// A bit for each quota that refused a call.
    exhausted: AtomicU8,
    /// A bit for each that refused what was to be written.
    cut: AtomicU8,
}

/// A call on a channel's sources: each may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Operation {
    Read = 1,
    Write,
    Size,
    Sync,
    End,
    Commit,
    Discard,
    Close,
    List,
    Open,
    MakeFolder,
    Remove,
}

/// What limits a channel: one of its four quotas, or the session's scratch space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Quota {
    /// Reads.
    Gets = 1,
    /// Bytes read.
    GetSize = 2,
    /// Writes.
    Puts = 4,
    /// Bytes written, or where writes with positions have to end.
    PutSize = 8,
    /// Where all is that the guest makes in an export or a writable tree, until the session ends.
    Scratch = 16,
}

impl Quota {
    /// Those whose bits are set.
    fn among(bits: u8) -> impl Iterator<Item = Quota> {
        let all = [Quota::Gets, Quota::GetSize, Quota::Puts, Quota::PutSize, Quota::Scratch];
        all.into_iter().filter(move |quota| bits & *quota as u8 != 0)
    }

    /// Whether it limits what is written.
    pub(crate) fn is_of_writing(self) -> bool {
        matches!(self, Quota::Puts | Quota::PutSize | Quota::Scratch)
    }

    /// The failure of a session of which it has cut something that is to be whole.
    pub(super) fn cut(self, what: &str, alias: &str) -> Failure {
        let refused = match self {
            Quota::Puts | Quota::PutSize => format!("its quota {self} refused a write"),
            Quota::Gets | Quota::GetSize => {
                format!("its quota {self} refused to copy what was to be changed")
            }
            Quota::Scratch => "the scratch space had no room for a write".to_owned(),
        };
        let alias = Shown(alias);
        let text = format!("{what} {alias}: {refused}, and it is to be whole, so nothing is committed");
        Failure::new(ExitCode::NotCommitted, text)
    }
}

impl fmt::Display for Quota {
    /// The field's name in the manifest's grammar.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quota::Gets => "gets",
            Quota::GetSize => "get_size",
            Quota::Puts => "puts",
            Quota::PutSize => "put_size",
            Quota::Scratch => "scratch",
        })
    }
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The guest's reads that reached a provider.
    pub gets: u64,
    /// Bytes that the guest read.
    pub get_bytes: u64,
    /// The guest's writes that reached a provider.
    pub puts: u64,
    /// Bytes that the guest wrote, once however many sources took them.
    pub put_bytes: u64,
}

impl Counters {
    /// Takes a copy.
    pub fn counts(&self) -> Counts {
        Counts {
            gets: self.gets.load(Relaxed),
            get_bytes: self.get_bytes.load(Relaxed),
            puts: self.puts.load(Relaxed),
            put_bytes: self.put_bytes.load(Relaxed),
        }
    }

    /// Says that a call on the sources begins.
    pub(super) fn begin(&self, call: Operation) {
        self.call.store(call as u8, Relaxed);
    }

    /// Says that it is over.
    pub(super) fn done(&self) {
        self.call.store(0, Relaxed);
    }

    /// The verb of the call in progress.
    pub(super) fn call(&self) -> Option<&'static str> {
        let at = self.call.load(Relaxed);
        Operation::ALL.into_iter().find(|call| *call as u8 == at).map(Operation::verb)
    }

    /// The quotas that a call was refused by.
    pub fn exhausted(&self) -> Vec<Quota> {
        Quota::among(self.exhausted.load(Relaxed)).collect()
    }

    /// The first that refused what was to be written, before those that refused a read for it.
    pub(super) fn cut_by(&self) -> Option<Quota> {
        Quota::among(self.cut.load(Relaxed)).min_by_key(|quota| !quota.is_of_writing())
    }

    /// Notes that a call was refused.
    pub(crate) fn note_exhausted(&self, quota: Quota) {
        self.exhausted.fetch_or(quota as u8, Relaxed);
        if quota.is_of_writing() {
            self.cut.fetch_or(quota as u8, Relaxed);
        }
    }

    /// Notes that the last refusal was of a read that a write needed.
    pub(crate) fn note_cut_by_reading(&self) {
        self.cut.fetch_or(self.exhausted.load(Relaxed), Relaxed);
    }

    pub(super) fn count_get(&self) {
        add(&self.gets, 1);
    }

    pub(super) fn count_get_bytes(&self, bytes: usize) {
        add(&self.get_bytes, bytes as u64);
    }

    pub(super) fn count_put(&self) {
        add(&self.puts, 1);
    }

    pub(super) fn count_put_bytes(&self, bytes: usize) {
        add(&self.put_bytes, bytes as u64);
    }
}

impl Operation {
    const ALL: [Operation; 12] = [
        Operation::Read,
        Operation::Write,
        Operation::Size,
        Operation::Sync,
        Operation::End,
        Operation::Commit,
        Operation::Discard,
        Operation::Close,
        Operation::List,
        Operation::Open,
        Operation::MakeFolder,
        Operation::Remove,
    ];

    /// The word for it, as failures have it.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::Size => "size of",
            Operation::Sync => "sync",
            Operation::End => "end",
            Operation::Commit => "commit",
            Operation::Discard => "discard",
            Operation::Close => "close",
            Operation::List => "list",
            Operation::Open => "open a file of",
            Operation::MakeFolder => "make folders of",
            Operation::Remove => "remove files of",
        }
    }
}

/// Load and store instead of an atomic addition: only the session's thread writes, and a bus lock at each call costs
/// more than all other checks together.
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(amount), Relaxed);
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.gets = self.gets.saturating_add(other.gets);
        self.get_bytes = self.get_bytes.saturating_add(other.get_bytes);
        self.puts = self.puts.saturating_add(other.puts);
        self.put_bytes = self.put_bytes.saturating_add(other.put_bytes);
    }
}
