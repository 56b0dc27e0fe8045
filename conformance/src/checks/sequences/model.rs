//! The header's words on one open file, as the host keeps them for every provider.

use vfs_core::{Capabilities, Code, Finish};

pub(super) struct Model {
    /// What the file holds: as it was written, or for a reader as it is read.
    pub content: Vec<u8>,
    pub position: u64,
    /// What was under the name before; `None`: nothing.
    pub before: Option<Vec<u8>>,
    /// Whether `content` is what was written, of which something else may come back.
    pub as_written: bool,
    /// Whether what is written can be known: not of a device.
    pub keeps: bool,
    pub ended: Option<Finish>,
    pub cancelled: bool,
    pub late: bool,
}

impl Model {
    pub fn new(content: Vec<u8>) -> Model {
        Model {
            content,
            position: 0,
            before: None,
            as_written: true,
            keeps: true,
            ended: None,
            cancelled: false,
            late: false,
        }
    }

    /// Why the control lets no call begin.
    pub fn stopped(&self) -> Option<Code> {
        match (self.cancelled, self.late) {
            (true, _) => Some(Code::ECANCELED),
            (false, true) => Some(Code::ETIMEDOUT),
            (false, false) => None,
        }
    }

    /// Why a call that needs a capability is refused.
    pub fn refusal(&self, claimed: Capabilities, needed: Capabilities, absent: Code) -> Option<Code> {
        if claimed.contains(needed) { self.stopped() } else { Some(absent) }
    }

    /// The same for one that writes.
    pub fn refusal_to_write(
        &self,
        claimed: Capabilities,
        needed: Capabilities,
        absent: Code,
    ) -> Option<Code> {
        self.refusal(claimed, needed, absent).or(self.ended.map(|_| Code::EBADF))
    }

    /// What a finish gives, and whether it is the first of its kind; what was committed or discarded needs no control.
    pub fn finish(&mut self, how: Finish) -> Option<Code> {
        let code = match (self.ended, how) {
            (Some(Finish::Commit), Finish::Discard) => Some(Code::EINVAL),
            (Some(Finish::Discard), Finish::End | Finish::Commit) => Some(Code::EINVAL),
            (Some(Finish::Commit), _) | (Some(Finish::End), Finish::End) | (_, Finish::Discard) => None,
            (None, _) | (Some(Finish::End), Finish::Commit) => self.stopped(),
        };
        if code.is_none() && self.ended != Some(Finish::Commit) {
            self.ended = Some(how);
        }
        code
    }

    /// Up to `count` bytes at an offset.
    pub fn bytes(&self, offset: u64, count: usize) -> std::ops::Range<usize> {
        let start = self.content.len().min(offset as usize);
        start..self.content.len().min(start + count)
    }

    /// Puts bytes at an offset; zeros fill a gap.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.content.len() < end {
            self.content.resize(end, 0);
        }
        self.content[start..end].copy_from_slice(bytes);
    }
}
