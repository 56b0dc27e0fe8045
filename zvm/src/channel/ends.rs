//! How a channel's files end: END, COMMIT, DISCARD.

use super::counters::Call;
use super::sources::Source;
use super::{CallError, Channel};
use std::time::Instant;
use vfs_core::{Code, Error, Finish, Result};

impl Channel {
    /// Tells the channel that the guest closed its last writing descriptor: END, unless the channel has positions, where a
    /// later open may go on writing.
    ///
    /// # Errors
    /// [`CallError::Failed`].
    pub fn writer_closed(&mut self) -> Result<(), CallError> {
        if !self.writable() || self.writing_ended || self.sources.seekable() {
            return Ok(());
        }
        self.end()
    }

    /// END on every source that is written. Waits for nobody.
    pub(super) fn end(&mut self) -> Result<(), CallError> {
        if !self.writable() || self.writing_ended {
            return Ok(());
        }
        self.writing_ended = true;
        self.finish_each(Call::End, |source| source.file.finish(Finish::End))
    }

    /// COMMIT on every source that is written, until the deadline.
    pub(super) fn commit(&mut self, deadline: Option<Instant>) -> Result<(), CallError> {
        if !self.writable() {
            return Ok(());
        }
        self.finish_each(Call::Commit, |source| {
            source.file.control().set_deadline(deadline);
            source.file.finish(Finish::Commit)?;
            source.committed = true;
            Ok(())
        })
    }

    /// DISCARD on every source that is written and was not committed, while `until` lasts; later ones are only closed. All
    /// files are closed. Errors are of no use any more: the session failed for another reason.
    pub(super) fn discard(&mut self, until: Instant) {
        if self.writable() {
            self.counters.begin(Call::Discard);
            for source in self.sources.iter_mut().filter(|source| !source.committed) {
                if Instant::now() < until {
                    let _ = source.file.finish(Finish::Discard);
                }
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
        self.counters.begin(Call::Close);
        self.sources.close();
        self.counters.done();
    }

    /// Whether closing it takes no writer away.
    pub(super) fn only_reads(&self) -> bool {
        !self.writable()
    }

    /// Does `finish` to each source that has a reader. A reader that closed meanwhile is noted; another error breaks the
    /// channel, after all sources had their turn.
    fn finish_each(
        &mut self,
        call: Call,
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
