//! The reading end, as an open file.

use crate::inflow::Flow;
use crate::link::Wanted;
use crate::node::Node;
use crate::pipe::Pipe;
use crate::reader_end::ReaderEnd;
use netpipe::Name;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Events, File, Result};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;

/// For the writers to hear that all was taken.
const LEAVE: Duration = Duration::from_secs(1);

/// An open reader.
pub struct Reader {
    pipe: Arc<Pipe<ReaderEnd>>,
    name: Name,
    node: Arc<Node>,
    caller: Caller,
    /// Peers that do not know where this side is are dialled.
    _wanted: Vec<Wanted>,
    at_end: bool,
}

impl Reader {
    /// A reader of a name. Where another one has it, every read says so.
    pub fn open(
        end: ReaderEnd,
        name: Name,
        wanted: Vec<Wanted>,
        node: Arc<Node>,
        caller: Caller,
    ) -> Result<Reader> {
        let cannot = |errno| Failure::system(errno).error("open", &caller.shown);
        let pipe = Arc::new(Pipe::new(end).map_err(cannot)?);
        if !node.names.claim(&name, &pipe) {
            let text = "the pipe has a reader already";
            pipe.with(|end| end.fail(Failure::new(Code::EBUSY, text)));
        }
        Ok(Reader { pipe, name, node, caller, _wanted: wanted, at_end: false })
    }

    /// At the end: a process may end when it has read that. So its writers' commits come first, unless they take longer than a moment.
    fn take_leave(&mut self) {
        if !std::mem::replace(&mut self.at_end, true) {
            let context = &self.caller.context;
            self.pipe.settle(LEAVE, ReaderEnd::has_taken_leave, |fd, left| {
                context.wait(Some(fd), Events::READ, Some(left)).is_ok()
            });
        }
    }
}

/// What a reader waits for.
fn wanted(end: &ReaderEnd) -> WaitedFor {
    if end.has_writers() { "data" } else { "a writer" }.into()
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        Capabilities::READABLE | Capabilities::CANCEL
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        self.caller.context.status()?;
        let flow = self.pipe.wait_until(&self.caller, "read", wanted, |end| {
            match end.read(Instant::now(), buf) {
                Flow::Nothing => None,
                flow => Some(flow),
            }
        })?;
        match flow {
            Flow::Bytes(count) => Ok(count),
            Flow::Broken(failure) => Err(failure.error("read", &self.caller.shown)),
            Flow::End | Flow::Nothing => {
                self.take_leave();
                Ok(0)
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pipe.with(ReaderEnd::close);
        self.node.names.leave(&self.name, &self.pipe);
        self.pipe.part(ReaderEnd::has_taken_leave);
    }
}
