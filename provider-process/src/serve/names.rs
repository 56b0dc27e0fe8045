//! The calls on names.

use super::link::{Route, other_reply};
use super::process::Process;
use std::mem;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};
use vfs_core::process::wire::{self, NameCall, NameEntry, Reply, Upcall};
use vfs_core::{Code, Error, Name, Namespace, Request, Result};

/// So many bytes of names go to the host at once, or fewer if they come slowly.
const BATCH: usize = 16 << 10;
const SLOWLY: Duration = Duration::from_millis(100);
/// About what an entry takes besides its name.
const BESIDE: usize = 64;

impl Process {
    pub(super) fn name(&self, what: NameCall, asked: &wire::Request) -> Result<Reply> {
        let reply = self.with_request(asked, |instance, request| {
            let absent = || {
                let text = format!("provider `{}` does not support names", self.provider());
                Error::new(Code::ENOTSUP, text)
            };
            let names = instance.namespace().ok_or_else(absent)?;
            match what {
                NameCall::Stat => Ok(Reply::Stat((&names.stat(request)?).into())),
                NameCall::List | NameCall::Names => self.list(what, names, request),
                NameCall::Remove => names.remove(request).map(|()| Reply::Done),
                NameCall::MakeFolder => names.make_folder(request).map(|()| Reply::Done),
                NameCall::RemoveFolder => names.remove_folder(request).map(|()| Reply::Done),
                NameCall::SetModified(time) => names.set_modified(request, time.get()?).map(|()| Reply::Done),
            }
        });
        if reply.is_ok() {
            self.files().leave(asked.file);
        }
        reply
    }

    fn list(&self, what: NameCall, names: &dyn Namespace, request: &Request<'_>) -> Result<Reply> {
        let mut batch = Batch::new(self.link().route(request.context())?);
        let listed = match what {
            NameCall::List => names.list(request, &mut |entry| batch.add(entry.into())),
            _ => names.names(request, &mut |name| batch.add(name)),
        };
        batch.end(listed).map(|()| Reply::Done)
    }
}

/// Names that go to the host together.
struct Batch<'a> {
    route: Route<'a>,
    names: Vec<NameEntry>,
    bytes: usize,
    since: Instant,
    /// What the host did not take.
    failure: Option<Error>,
}

impl<'a> Batch<'a> {
    fn new(route: Route<'a>) -> Batch<'a> {
        Batch { route, names: Vec::new(), bytes: 0, since: Instant::now(), failure: None }
    }

    fn add(&mut self, name: Name<'_>) -> ControlFlow<()> {
        self.bytes += name.bytes.len() + BESIDE;
        self.names.push(NameEntry { bytes: name.bytes.to_owned(), stat: name.stat.map(Into::into) });
        if self.bytes < BATCH && self.since.elapsed() < SLOWLY {
            return ControlFlow::Continue(());
        }
        match self.send() {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                self.failure = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Sends what there is. Returns whether the host wants more.
    fn send(&mut self) -> Result<bool> {
        (self.bytes, self.since) = (0, Instant::now());
        match self.route.ask(Upcall::Names(mem::take(&mut self.names)))? {
            Reply::Number(goes_on) => Ok(goes_on != 0),
            _ => Err(other_reply()),
        }
    }

    /// Sends the rest.
    fn end(mut self, listed: Result<()>) -> Result<()> {
        match self.failure.take() {
            Some(error) => Err(error),
            None if self.names.is_empty() => listed,
            None => self.send().and(listed),
        }
    }
}
