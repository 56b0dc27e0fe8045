//! The writing end, as an open file.

use crate::pipe::{Pipe, of_reason};
use netpipe::lossy::{Outcome, WriterEnd};
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, Result};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// An open writer.
pub struct Writer {
    pipe: Arc<Pipe<WriterEnd>>,
    caller: Caller,
}

impl Writer {
    /// Begins with a pipe that the service knows.
    pub fn new(pipe: Arc<Pipe<WriterEnd>>, caller: Caller) -> Writer {
        Writer { pipe, caller }
    }

    fn error(&self, doing: &str, outcome: &Outcome) -> Error {
        let failure = match outcome {
            Outcome::Closed => Failure::new(Code::EPIPE, "the reader closed"),
            Outcome::Failed(why) => of_reason(why),
            Outcome::Done => Failure::new(Code::EPIPE, "the pipe has ended"),
        };
        failure.error(doing, &self.caller.shown)
    }

    /// Waits until everything written was taken, END too if it was said.
    fn wait_until_taken(&self, doing: &str, to_the_end: bool) -> Result<()> {
        let outcome = self.pipe.wait_until(&self.caller, doing, wanted, |end| {
            end.look();
            match end.outcome() {
                Some(outcome) => Some(Some(outcome.clone())),
                None => (!to_the_end && end.is_taken()).then_some(None),
            }
        })?;
        match outcome {
            None | Some(Outcome::Done) => Ok(()),
            Some(outcome) => Err(self.error(doing, &outcome)),
        }
    }
}

/// What a writer waits for.
fn wanted(end: &WriterEnd) -> WaitedFor {
    let object = if end.has_met() { "the reader to take what is on its way" } else { "its reader" };
    WaitedFor { object: object.into(), refusal: end.refusal(), is_sought: true }
}

impl File for Writer {
    fn capabilities(&self) -> Capabilities {
        Capabilities::WRITABLE | Capabilities::CANCEL
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.caller.context.status()?;
        self.pipe.wait_until(&self.caller, "write", wanted, |end| {
            end.look();
            match end.outcome() {
                Some(outcome) => Some(Err(self.error("write", outcome))),
                None if end.is_finished() => Some(Err(
                    Failure::new(Code::EBADF, "finished already").error("write", &self.caller.shown)
                )),
                None => end.write(buf).map(Ok),
            }
        })?
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        self.pipe.change(WriterEnd::push);
        match level {
            Flush::Push => Ok(()),
            Flush::Sync => self.wait_until_taken("flush", false),
        }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            Finish::End => self.pipe.change(WriterEnd::end),
            Finish::Commit => {
                self.pipe.change(WriterEnd::end);
                let taken = self.wait_until_taken("commit", true);
                return taken.inspect_err(|_| self.pipe.change(WriterEnd::abandon));
            }
            Finish::Discard => {
                self.pipe.change(|end| end.discard(Instant::now(), "the writer failed"));
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.pipe.close();
    }
}
