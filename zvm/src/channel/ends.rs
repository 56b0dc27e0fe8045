//! How a channel's files end: END, COMMIT, DISCARD.

use super::counters::{Operation, Quota};
use super::outputs::OutputState;
use super::sources::Source;
use super::{CallError, Channel};
use crate::exit::Failure;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Finish, Flush, Kind, Result};

/// The time that all DISCARDs of a session get together; one has as much, so that a single one is never cut short.
pub(super) const DISCARD_TIME: Duration = Duration::from_secs(5);

impl Channel {
    /// Begins to write: what is written in place is emptied. Until then no target is touched.
    pub(super) fn begin(&mut self) -> Result<(), CallError> {
        self.until_one_fails(Operation::Size, |source, _| {
            let Some(target) = &mut source.output else { return Ok(()) };
            target.placement.begin(&mut source.file)?;
            target.begun = true;
            Ok(())
        })
    }

    /// Makes files durable, before their COMMIT. Pipes are not waited for: their readers may wait for this session's end.
    pub(super) fn sync_files(&mut self) -> Result<(), CallError> {
        self.until_one_fails(Operation::Sync, |source, _| {
            match source.output.is_some() && source.kind == Kind::Regular {
                true => source.file.flush(Flush::Sync).map_err(|error| source.while_doing("sync", error)),
                false => Ok(()),
            }
        })
    }

    /// Tells the channel that the guest closed its last writing descriptor: END, unless the channel has positions, where a
    /// later open may go on writing. DISCARD if a quota cut what was to be whole: a guest that runs on may wait for the answer of
    /// a reader that waits for the end.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    ///
    /// # Blocking
    /// As [`Channels::discard_all`](super::Channels::discard_all), if a quota cut it.
    pub fn writer_closed(&mut self) -> Result<(), CallError> {
        if !self.writable() || self.writing_ended || self.sources.seekable() {
            return Ok(());
        }
        if let Err(cut) = self.check_uncut() {
            self.discard(Instant::now() + DISCARD_TIME);
            self.cut = Some(cut);
            self.writing_ended = true;
            return Ok(());
        }
        self.end()
    }

    /// The quota that cut a target which is to be whole: a write that it refused, even once, is missing for good.
    fn cut_by(&mut self) -> Option<Quota> {
        let quota = self.counters.cut_by()?;
        self.sources.iter_mut().any(|source| source.must_be_whole()).then_some(quota)
    }

    /// Finds out whether its targets are what the guest wrote.
    ///
    /// # Errors
    /// [`ExitCode::NotCommitted`].
    pub(super) fn check_uncut(&mut self) -> Result<(), Failure> {
        if let Some(cut) = &self.cut {
            return Err(cut.clone());
        }
        self.cut_by().map_or(Ok(()), |quota| Err(quota.cut("channel", &self.spec.alias)))
    }

    /// END on every source that is written. Waits for nobody.
    pub(super) fn end(&mut self) -> Result<(), CallError> {
        if !self.writable() || self.writing_ended {
            return Ok(());
        }
        self.writing_ended = true;
        self.finish_each(Operation::End, |source| source.file.finish(Finish::End))
    }

    /// COMMIT on its targets until the deadline: those that are only renamed, or the others. Ends with the first that fails.
    pub(super) fn commit(&mut self, deadline: Option<Instant>, renamed: bool) -> Result<(), CallError> {
        self.until_one_fails(Operation::Commit, |source, notes| match source.is_renamed() == renamed {
            true => source.commit(deadline, notes),
            false => Ok(()),
        })
    }

    /// DISCARD on every target that was not committed, while `until` lasts; later ones are only closed. All files are closed.
    /// Errors are of no use any more: the session failed for another reason.
    pub(super) fn discard(&mut self, until: Instant) {
        let (ended, wrote) = (self.writing_ended, self.counters.counts().put_bytes > 0);
        self.counters.begin(Operation::Discard);
        for source in self.sources.iter_mut() {
            if source.output.as_ref().is_some_and(|target| !target.committed) {
                let discarded = Instant::now() < until && source.file.finish(Finish::Discard).is_ok();
                source.set_state(source.left_as(discarded, ended, wrote));
            }
        }
        self.close();
    }

    /// Closes all files.
    pub(super) fn close(&mut self) {
        if self.ahead.take().is_some_and(|ahead| !ahead.end()) {
            self.notes.push(format!(
                "{}: a read was in progress at the end and ignores its cancel: its thread is left behind",
                self.spec.shown_alias()
            ));
        }
        self.counters.begin(Operation::Close);
        self.sources.close();
        self.counters.done();
    }

    /// Whether closing it takes no writer away.
    pub(super) fn only_reads(&self) -> bool {
        !self.writable()
    }

    /// Does something to each source until one fails, which breaks the channel.
    fn until_one_fails(
        &mut self,
        call: Operation,
        mut work: impl FnMut(&mut Source, &mut Vec<String>) -> Result<()>,
    ) -> Result<(), CallError> {
        self.counters.begin(call);
        let done = self.sources.iter_mut().try_for_each(|source| work(source, &mut self.notes));
        self.counters.done();
        done.map_err(|error| self.fail(error))
    }

    /// Does `finish` to each source that has a reader. A reader that closed meanwhile is noted; another error breaks the
    /// channel, after all sources had their turn.
    fn finish_each(
        &mut self,
        call: Operation,
        mut finish: impl FnMut(&mut Source) -> Result<()>,
    ) -> Result<(), CallError> {
        let mut failed: Option<Error> = None;
        self.counters.begin(call);
        for source in self.sources.iter_mut().filter(|source| !source.reader_closed) {
            match finish(source) {
                Ok(()) => {}
                Err(error) if error.code() == Code::EPIPE => source.note_closed_reader(&mut self.notes),
                Err(error) => failed = failed.or(Some(source.while_doing(call.verb(), error))),
            }
        }
        self.counters.done();
        match failed {
            None => Ok(()),
            Some(error) => Err(self.fail(error)),
        }
    }
}

impl Source {
    /// COMMIT, if it is written. Where the reader closed, which is noted, DISCARD: it has not got the whole.
    fn commit(&mut self, deadline: Option<Instant>, notes: &mut Vec<String>) -> Result<()> {
        if self.reader_closed {
            // Nobody is left to be told of a failure.
            let _ = self.file.finish(Finish::Discard);
            return Ok(());
        }
        let Some(target) = &mut self.output else { return Ok(()) };
        self.file.control().set_deadline(deadline);
        match self.file.finish(Finish::Commit) {
            Ok(()) => {
                target.committed = true;
                target.output.set(OutputState::Committed);
            }
            Err(error) if error.code() == Code::EPIPE => {
                self.note_closed_reader(notes);
                return self.commit(deadline, notes);
            }
            Err(error) => {
                target.unsure = UNSURE.contains(&error.code());
                return Err(self.while_doing("commit", error));
            }
        }
        Ok(())
    }

    /// What is left of a target without COMMIT. `discarded`: a DISCARD succeeded; `ended`: END was told; `wrote`: something
    /// was written to the channel.
    fn left_as(&self, discarded: bool, ended: bool, wrote: bool) -> OutputState {
        let Some(target) = &self.output else { return OutputState::Unknown };
        let stays = self.kind == Kind::Regular;
        match target.output.is_whole() {
            _ if target.unsure => OutputState::Unknown,
            // What needs a COMMIT and had none is not there, though its provider is gone. After END it may have gone on by itself.
            true if discarded || !ended => OutputState::Discarded,
            true => OutputState::Unknown,
            false if !target.begun || !stays && !wrote => OutputState::Discarded,
            // A pipe's reader has heard the end, and may have taken everything.
            false if ended && !stays && !self.reader_closed => OutputState::Unknown,
            false => OutputState::Partial,
        }
    }
}

/// Failures of a COMMIT after which it may be complete all the same.
pub(super) const UNSURE: [Code; 4] = [Code::ETIMEDOUT, Code::ECANCELED, Code::ECONNRESET, Code::EIO];
