//! The calls that a guest makes on a channel, and the order of their checks.

use super::ahead::Ahead;
use super::counters::Operation;
use super::sources::Moved;
use super::{CallError, Channel, Quota};
use crate::exit::{ExitCode, Failure};
use vfs_core::{Code, Error};

impl Channel {
    /// Reads into `buf`, in this order of checks: negative offset EINVAL; empty buffer 0; not readable EDQUOT; the end was
    /// seen before (sequential) 0; quotas. A quota cuts the count short; when none is left the answer is 0 if the source
    /// is at its end, else EDQUOT.
    ///
    /// A short count means the end or a quota: providers' short reads are joined. A sequential direction ignores `offset`; a
    /// random read at or past the end gives 0.
    ///
    /// # Errors
    /// [`CallError::Refused`] as above; [`CallError::Failed`] when the source fails.
    ///
    /// # Blocking
    /// Until the count, the end, an error, or the end by the session's control.
    pub fn read_at(&mut self, buf: &mut [u8], offset: i64) -> Result<usize, CallError> {
        let offset = u64::try_from(offset).map_err(|_| Code::EINVAL)?;
        if buf.is_empty() {
            return Ok(0);
        }
        self.unbroken()?;
        if !self.readable() {
            return Err(Code::EDQUOT.into());
        }
        if !self.random_read && self.ended() {
            return Ok(0);
        }
        let count = self.get_quota(buf.len());
        if count == 0 {
            return self.end_or_quota(offset);
        }
        self.counters.count_get();
        self.counters.begin(Operation::Read);
        let buf = &mut buf[..count];
        let moved = match self.random_read {
            true => self.sources.read_at(buf, offset),
            false if self.spec.interactive => self.read_once(buf),
            false => self.sources.read(buf),
        };
        self.counters.done();
        self.counters.count_get_bytes(moved.count);
        if let Some(digest) = &mut self.digest {
            digest.update(&buf[..moved.count]);
        }
        match moved.error {
            None => Ok(moved.count),
            Some(error) => Err(self.fail(error)),
        }
    }

    /// Writes from `buf`, in this order of checks: negative offset EINVAL; empty buffer 0; not writable EDQUOT; ended or
    /// all readers closed EPIPE; puts used up EDQUOT; random at or past `put_size` EINVAL; bytes used up EDQUOT. A quota
    /// cuts the count short. A sequential direction ignores `offset`.
    ///
    /// With several sources each takes all of it; one whose reader closed drops out with a note, and EPIPE is the answer
    /// when none is left.
    ///
    /// # Errors
    /// [`CallError::Refused`] as above; [`CallError::Failed`] when a source fails.
    ///
    /// # Blocking
    /// Until the count, an error, or the end by the session's control.
    pub fn write_at(&mut self, buf: &[u8], offset: i64) -> Result<usize, CallError> {
        let offset = u64::try_from(offset).map_err(|_| Code::EINVAL)?;
        if buf.is_empty() {
            return Ok(0);
        }
        self.unbroken()?;
        if !self.writable() {
            return Err(Code::EDQUOT.into());
        }
        if self.writing_ended || self.sources.all_readers_closed() {
            return Err(Code::EPIPE.into());
        }
        let count = self.put_quota(buf.len(), offset)?;
        self.counters.count_put();
        let at = self.random_write.then_some(offset);
        self.counters.begin(Operation::Write);
        let moved = self.sources.write(&buf[..count], at, &mut self.notes);
        self.counters.done();
        self.counters.count_put_bytes(moved.count);
        if let Some(digest) = &mut self.digest {
            digest.update(&buf[..moved.count]);
        }
        match moved {
            Moved { count, error: None } => Ok(count),
            // What was taken before the reader closed is told first; the next call gives EPIPE.
            Moved { count, error: Some(error) } if error.code() == Code::EPIPE => match count {
                0 => Err(Code::EPIPE.into()),
                count => Ok(count),
            },
            Moved { error: Some(error), .. } => Err(self.fail(error)),
        }
    }

    /// The size that the guest sees, in bytes: 0 for a sequential channel, the real one for a random one.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    pub fn size(&mut self) -> Result<u64, CallError> {
        if !self.is_random() {
            return Ok(0);
        }
        self.unbroken()?;
        self.counters.begin(Operation::Size);
        let size = self.sources.size();
        self.counters.done();
        size.map_err(|error| self.fail(error))
    }

    /// Sets the size of a random channel, at most `put_size` bytes.
    ///
    /// # Errors
    /// ENOTSUP: sequential or append writes, or the source cannot. EDQUOT: not writable, or over `put_size`.
    pub fn set_size(&mut self, size: u64) -> Result<(), CallError> {
        self.unbroken()?;
        if !self.writable() {
            return Err(Code::EDQUOT.into());
        }
        if size > self.spec.limits.put_size {
            self.counters.note_exhausted(Quota::PutSize);
            return Err(Code::EDQUOT.into());
        }
        if !self.random_write || !self.sources.truncatable() {
            return Err(Code::ENOTSUP.into());
        }
        self.counters.begin(Operation::Size);
        let done = self.sources.truncate(size);
        self.counters.done();
        done.map_err(|error| self.fail(error))
    }

    /// Makes the channel at least `offset + length` bytes long, as [`set_size`](Channel::set_size) does.
    ///
    /// # Errors
    /// As `set_size`; EFBIG: the sum overflows.
    pub fn allocate(&mut self, offset: u64, length: u64) -> Result<(), CallError> {
        let end = offset.checked_add(length).ok_or(Code::EFBIG)?;
        if self.size()? < end { self.set_size(end) } else { Ok(()) }
    }

    /// Empties the channel for an open with truncation. Sequential and append writes start nothing anew, so it does nothing
    /// there: C's `fopen` with `"w"` always asks for it.
    ///
    /// # Errors
    /// EACCES: not writable. ENOTSUP: it has content and the source cannot.
    pub fn empty(&mut self) -> Result<(), CallError> {
        if !self.writable() {
            return Err(Code::EACCES.into());
        }
        if !self.random_write || self.size()? == 0 {
            return Ok(());
        }
        self.set_size(0)
    }

    /// Makes what was written durable, or taken by the reader.
    ///
    /// # Errors
    /// EPIPE: the reader closed. [`CallError::Failed`].
    ///
    /// # Blocking
    /// As the provider does.
    pub fn sync(&mut self) -> Result<(), CallError> {
        self.unbroken()?;
        if !self.writable() || self.writing_ended {
            return Ok(());
        }
        self.counters.begin(Operation::Sync);
        let synced = self.sources.sync(&mut self.notes);
        self.counters.done();
        match synced {
            Ok(()) => Ok(()),
            Err(error) if error.code() == Code::EPIPE => Err(Code::EPIPE.into()),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// How much of a read of `count` bytes the quotas allow.
    pub(super) fn get_quota(&self, count: usize) -> usize {
        let (limits, counts) = (&self.spec.limits, self.counters.counts());
        if counts.gets >= limits.gets {
            return 0;
        }
        clamp(count, limits.get_size.saturating_sub(counts.get_bytes))
    }

    /// How much of a write of `count` bytes the quotas allow: at least one.
    fn put_quota(&self, count: usize, offset: u64) -> Result<usize, Code> {
        let (limits, counts) = (&self.spec.limits, self.counters.counts());
        let refused = |quota: Quota, code: Code| {
            self.counters.note_exhausted(quota);
            Err(code)
        };
        if counts.puts >= limits.puts {
            return refused(Quota::Puts, Code::EDQUOT);
        }
        let mut left = limits.put_size.saturating_sub(counts.put_bytes);
        if self.random_write {
            if offset >= limits.put_size {
                return refused(Quota::PutSize, Code::EINVAL);
            }
            left = left.min(limits.put_size - offset);
        }
        match clamp(count, left) {
            0 => refused(Quota::PutSize, Code::EDQUOT),
            count => Ok(count),
        }
    }

    /// The answer to a read that no quota is left for: a quota as large as the source must not turn its end into an error,
    /// and a smaller one must not look like the end. What the look behind it costs is not counted.
    fn end_or_quota(&mut self, offset: u64) -> Result<usize, CallError> {
        let used_up = match self.counters.counts().gets >= self.spec.limits.gets {
            true => Quota::Gets,
            false => Quota::GetSize,
        };
        if self.more_behind_quota {
            self.counters.note_exhausted(used_up);
            return Err(Code::EDQUOT.into());
        }
        self.counters.begin(Operation::Read);
        let more = match (self.random_read, &self.ahead) {
            (true, _) => self.sources.more_at(offset),
            (false, None) => self.sources.more(),
            (false, Some(_)) if self.terminal => Ok(true),
            (false, Some(ahead)) => ahead.take(&mut [0]).map(|count| count > 0),
        };
        self.counters.done();
        match more.map_err(|error| self.fail(error))? {
            false => Ok(0),
            true => {
                // The look took a byte that no read may give any more, so its answer stays.
                self.more_behind_quota = !self.random_read;
                self.counters.note_exhausted(used_up);
                Err(Code::EDQUOT.into())
            }
        }
    }

    pub(super) fn unbroken(&self) -> Result<(), CallError> {
        match &self.failure {
            None => Ok(()),
            Some(failure) => Err(CallError::Failed(failure.clone())),
        }
    }

    /// Whether this session's end was asked for.
    fn is_cancelled(&self) -> bool {
        self.ahead.as_ref().is_some_and(Ahead::is_cancelled) || self.sources.is_cancelled()
    }

    /// Breaks the channel.
    pub(super) fn fail(&mut self, error: Error) -> CallError {
        let exit = match error.code() {
            // Not the other end's cancel, nor one that a provider made up.
            Code::ECANCELED if self.is_cancelled() => ExitCode::Stopped,
            // The provider compares with the other end, or found a damage on the way there.
            Code::EBADMSG if self.digest.is_some() => ExitCode::Digest,
            _ => ExitCode::Io,
        };
        let failure = Failure::new(exit, format!("channel {}: {}", self.spec.shown_alias(), error.chain()))
            .of(error.code());
        // A session that was stopped reports that; that a provider's process was killed for it, this tells.
        if error.code() == Code::EIO && self.failure.is_none() && self.is_cancelled() {
            self.notes.push(failure.text().to_owned());
        }
        CallError::Failed(self.failure.get_or_insert(failure).clone())
    }
}

fn clamp(count: usize, left: u64) -> usize {
    usize::try_from(left).map_or(count, |left| count.min(left))
}
