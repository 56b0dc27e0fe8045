//! The writing end, as an open file.

use crate::node::Node;
use crate::plan::Plan;
use crate::seek::serve_writer;
use crate::writer_end::{Outcome, WriterEnd};
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, Finish, Flush, Result};
use zvfs_net::awaited::{Awaited, Beside, Watch};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// An open writer.
pub struct Writer {
    pipe: Arc<Awaited<WriterEnd>>,
    caller: Caller,
}

impl Writer {
    /// A writer whose reader is looked for from now on.
    pub fn open(plan: Plan, node: &Arc<Node>, caller: Caller) -> Result<Writer> {
        let cannot = |errno| Failure::system(errno).error("open", &caller.shown);
        let pipe = Arc::new(Awaited::new(WriterEnd::new(plan.same_host.clone())).map_err(cannot)?);
        node.tasks.spawn_living(serve_writer(pipe.clone(), plan, node.clone()));
        Ok(Writer { pipe, caller })
    }

    fn error(&self, doing: &str, outcome: &Outcome) -> Error {
        let shown = &self.caller.shown;
        match outcome {
            Outcome::Closed => Failure::new(Code::EPIPE, "the reader closed").error(doing, shown),
            Outcome::Failed(failure) => failure.error(doing, shown),
            Outcome::Done => Failure::new(Code::EPIPE, "the pipe has ended").error(doing, shown),
        }
    }

    /// Waits until `ready` gives something, after a look at what memory tells.
    fn wait_until<T>(&self, doing: &str, mut ready: impl FnMut(&mut WriterEnd) -> Option<T>) -> Result<T> {
        let ready = |end: &mut WriterEnd| {
            end.look();
            ready(end)
        };
        let beside = Beside {
            moment: |end: &mut WriterEnd| end.moment().map(|moment| || moment.pass()),
            sleep: |end: &mut WriterEnd, watch: &mut Watch<'_>| end.sleep(watch),
        };
        self.pipe.wait_beside(&self.caller, doing, wanted, ready, beside)
    }

    /// Waits until everything written was taken, END too if it was said.
    fn wait_until_taken(&self, doing: &str, to_the_end: bool) -> Result<()> {
        let outcome = self.wait_until(doing, |end| match end.outcome() {
            Some(outcome) => Some(Some(outcome.clone())),
            None => (!to_the_end && end.is_taken()).then_some(None),
        })?;
        match outcome {
            None | Some(Outcome::Done) => Ok(()),
            Some(outcome) => Err(self.error(doing, &outcome)),
        }
    }
}

/// What a writer waits for.
fn wanted(end: &WriterEnd) -> WaitedFor {
    match end.has_met() {
        true => "the reader to take what is on its way".into(),
        false => WaitedFor { object: "its reader".into(), refusal: end.troubles.told(), is_sought: true },
    }
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
        let written = self.wait_until("write", |end| match end.outcome() {
            Some(outcome) => Some(Err(outcome.clone())),
            None if end.is_finished() => {
                Some(Err(Outcome::Failed(Failure::new(Code::EBADF, "finished already"))))
            }
            None => end.write(buf).map(Ok),
        })?;
        written.map_err(|outcome| self.error("write", &outcome))
    }

    fn flush(&mut self, level: Flush) -> Result<()> {
        match level {
            // What is written is on its way.
            Flush::Push => Ok(()),
            Flush::Sync => self.wait_until_taken("flush", false),
        }
    }

    fn finish(&mut self, how: Finish) -> Result<()> {
        match how {
            Finish::End => self.pipe.with(WriterEnd::end),
            Finish::Commit => {
                self.pipe.with(WriterEnd::end);
                let taken = self.wait_until_taken("commit", true);
                return taken.inspect_err(|_| self.pipe.with(WriterEnd::abandon));
            }
            Finish::Discard => self.pipe.with(|end| end.discard("the writer failed")),
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Its last words leave later: an instance that stops waits for them.
        self.pipe.with(WriterEnd::close);
    }
}
