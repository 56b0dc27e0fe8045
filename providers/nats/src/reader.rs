//! The reading end, as an open file.

use crate::pipe::{Pipe, of_reason};
use netpipe::lossy::{Flow, ReaderEnd};
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{Capabilities, File, Result};
use zvfs_net::caller::{Caller, WaitedFor};

/// An open reader.
pub struct Reader {
    pipe: Arc<Pipe<ReaderEnd>>,
    caller: Caller,
}

impl Reader {
    /// Begins with a pipe that the service knows.
    pub fn new(pipe: Arc<Pipe<ReaderEnd>>, caller: Caller) -> Reader {
        Reader { pipe, caller }
    }
}

/// What a reader waits for.
fn wanted(end: &ReaderEnd) -> WaitedFor {
    let object = match (end.is_held(), end.has_writers()) {
        (false, _) => "the pipe's name",
        (true, false) => "a writer",
        (true, true) => "data",
    };
    WaitedFor { object: object.into(), refusal: end.refusal(), is_sought: true }
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
            Flow::Broken(why) => Err(of_reason(&why).error("read", &self.caller.shown)),
            Flow::End | Flow::Nothing => Ok(0),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.pipe.close();
    }
}
