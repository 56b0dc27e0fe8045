//! The calls of an open file that wait for nothing, and what a provider must keep to in them: `zvfs.poll/1`.

use super::file::OpenFile;
use crate::bridge::outcome::broken_rule;
use crate::code::Code;
use crate::error::{Error, Result};
use crate::file::{COUNT_MAX, Finish, Interest};
use crate::flags::{Capabilities, Wanted};

impl OpenFile {
    /// What must happen before the wanted calls are worth trying. Await `events` on `fd`, `after` at most, only if nothing is ready;
    /// the control is not in the descriptor. Waits for nothing, as the three calls after it.
    ///
    /// # Errors
    /// ENOTSUP: not POLL; the provider's.
    pub fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.begin_polling("wait for")?;
        let OpenFile { file, control, promises, .. } = self;
        let interest = control.call_ended(file.interest(wanted))?;
        promises.check(&interest, wanted)?;
        Ok(interest)
    }

    /// Reads what can be read now; `None`: that would have to wait. The next call may come with another buffer.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. Else as [`read`](OpenFile::read).
    pub fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.begin(Capabilities::READABLE, Code::EBADF, "read", "not open for reading")?;
        self.begin_polling("read")?;
        let asked = buf.len().min(COUNT_MAX);
        if asked == 0 {
            return Ok(Some(0));
        }
        let result = self.file.try_read(&mut buf[..asked]);
        self.promises.tried(Wanted::READ, &result);
        result.transpose().map(|result| self.counted(result, 0, asked)).transpose()
    }

    /// Writes what can be written now; `None`: that would have to wait, and nothing was taken.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. Else as [`write`](OpenFile::write).
    pub fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.begin(Capabilities::WRITABLE, Code::EBADF, "write", "not open for writing")?;
        self.begin_polling("write")?;
        self.begin_writing("write")?;
        let asked = buf.len().min(COUNT_MAX);
        if asked == 0 {
            return Ok(Some(0));
        }
        let result = self.file.try_write(&buf[..asked]);
        self.promises.tried(Wanted::WRITE, &result);
        result.transpose().map(|result| self.remember(self.counted(result, 1, asked))).transpose()
    }

    /// Ends the writing side, as [`finish`](OpenFile::finish) does for END and COMMIT; `None`: the COMMIT goes on, and is to be
    /// repeated. To discard, drop the file.
    ///
    /// # Errors
    /// ENOTSUP: not POLL. EINVAL: DISCARD, which waits. Else as [`finish`](OpenFile::finish).
    pub fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        if how == Finish::Discard {
            return Err(OpenFile::discard_waits());
        }
        if let Some(answer) = self.ending.answer(how) {
            return answer.map(Some);
        }
        self.begin_polling(how.verb())?;
        self.earlier_failure()?;
        let result = self.file.try_finish(how);
        self.promises.tried(Wanted::FINISH, &result);
        match self.control.call_ended(result) {
            Ok(None) if how == Finish::End => Err(broken_rule("try_finish: END is to be tried again")),
            Ok(None) => {
                self.ending.begin_commit();
                Ok(None)
            }
            result => {
                let result = result.map(drop);
                self.ending.note(how, &result);
                result.map(Some)
            }
        }
    }

    #[cold]
    pub(crate) fn discard_waits() -> Error {
        let text = "try_finish: DISCARD: it waits up to 5 s: close the file instead, which leaves no trace";
        Error::new(Code::EINVAL, text)
    }

    fn begin_polling(&self, verb: &str) -> Result<()> {
        if !self.capabilities().contains(Capabilities::POLL) {
            return Err(self.refused(verb, Code::ENOTSUP, "not POLL: this file has only calls that wait"));
        }
        self.control().call_begins(verb, self.shown())
    }
}
