//! The reading end, as an open file.

use crate::inflow::Flow;
use crate::node::Node;
use crate::plan::Plan;
use crate::reader_end::ReaderEnd;
use netpipe::Name;
use std::sync::Arc;
use std::time::Instant;
use vfs_core::{Capabilities, Code, File, Result};
use zvfs_net::awaited::{Awaited, Beside, Watch};
use zvfs_net::caller::{Caller, WaitedFor};
use zvfs_net::failure::Failure;
use zvfs_runtime::Task;

/// An open reader.
pub struct Reader {
    pipe: Arc<Awaited<ReaderEnd>>,
    name: Name,
    node: Arc<Node>,
    caller: Caller,
    /// Peers that do not know where this side is are dialled.
    _seeking: Vec<Task<()>>,
}

impl Reader {
    /// A reader of a name. Where another one has it, every read says so.
    pub fn open(plan: Plan, node: Arc<Node>, caller: Caller) -> Result<Reader> {
        let Plan { name, others, writers, window, digest, same_host, .. } = plan;
        let end = ReaderEnd::new(others.clone(), window, writers, digest).with_same_host(same_host);
        let cannot = |errno| Failure::system(errno).error("open", &caller.shown);
        let pipe = Arc::new(Awaited::new(end).map_err(cannot)?);
        if !node.names.claim(&name, &pipe) {
            let text = "the pipe has a reader already";
            pipe.with(|end| end.fail(Failure::new(Code::EBUSY, text)));
        }
        let noted = pipe.clone();
        let seeking = node.seek(&others, move |peer, trouble| {
            if noted.with(|end| end.troubles.note(peer, trouble)) {
                noted.tell(|_| ());
            }
        });
        Ok(Reader { pipe, name, node, caller, _seeking: seeking })
    }
}

/// What a reader waits for.
fn wanted(end: &ReaderEnd) -> WaitedFor {
    match end.has_writers() {
        true => "data".into(),
        false => WaitedFor { object: "a writer".into(), refusal: end.troubles.told(), is_sought: true },
    }
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
        let ready = |end: &mut ReaderEnd| match end.read(Instant::now(), buf) {
            Flow::Nothing => None,
            flow => Some(flow),
        };
        let beside = Beside {
            moment: |end: &mut ReaderEnd| end.moment().map(|moment| || moment.pass()),
            sleep: |end: &mut ReaderEnd, watch: &mut Watch<'_>| end.sleep(watch),
        };
        let flow = self.pipe.wait_beside(&self.caller, "read", wanted, ready, beside)?;
        match flow {
            Flow::Bytes(count) => Ok(count),
            Flow::Broken(failure) => Err(failure.error("read", &self.caller.shown)),
            Flow::End | Flow::Nothing => Ok(0),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Its last words leave later: an instance that stops waits for them.
        self.pipe.with(ReaderEnd::close);
        self.node.names.leave(&self.name, &self.pipe);
    }
}
