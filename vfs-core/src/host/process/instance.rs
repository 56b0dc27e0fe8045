//! An instance of a provider in a process. When the process dies, the next open starts another one.

use super::file::ProcessFile;
use super::lent::Caller;
use super::running::{Blueprint, Running};
use super::tracked::Tracked;
use super::wire::{self, Call, NameCall, NameEntry, Reply, Time};
use crate::context::Context;
use crate::entry::{self, Entry, Name};
use crate::error::{Error, Result};
use crate::file::{File, Stat};
use crate::host::work::Work;
use crate::lock::Mutex;
use crate::provider::{Host, Info, Instance, Level, Namespace, Request};
use crate::settings::Settings;
use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(super) struct ProcessInstance {
    recipe: Arc<Recipe>,
    slot: Mutex<Slot>,
}

/// What a process of the instance is started with.
pub(super) struct Recipe {
    pub(super) blueprint: Arc<Blueprint>,
    /// What the library said first; that of each later process must be the same.
    pub(super) info: Info,
    pub(super) host: Host,
    pub(super) settings: Settings,
}

struct Slot {
    now: Arc<Work<Running>>,
    pauses: Pauses,
}

/// How long to wait before the next process is started: a library that dies at each call must not use up the machine.
struct Pauses {
    next: Duration,
    /// When the last process was started.
    since: Instant,
}

const PAUSE_LEAST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(10);
/// A process that lived so long is no reason for a pause.
const LONG: Duration = Duration::from_secs(60);

impl Recipe {
    /// Starts an instance in a process that has loaded the library.
    pub(super) fn start(&self, running: &Running, context: &Context) -> Result<()> {
        running.start(context, &self.host, &self.settings)
    }

    pub(super) fn start_another(&self, context: &Context) -> Result<Running> {
        let (running, info) = self.blueprint.launch(context)?;
        if info != self.info {
            return Err(running.child().death.error("has another library than the first one had".to_owned()));
        }
        self.start(&running, context)?;
        Ok(running)
    }
}

impl ProcessInstance {
    pub(super) fn new(recipe: Recipe, running: Running) -> ProcessInstance {
        let pauses = Pauses { next: PAUSE_LEAST, since: Instant::now() };
        let slot = Mutex::new(Slot { now: Work::of(running), pauses });
        ProcessInstance { recipe: Arc::new(recipe), slot }
    }

    /// The process, or the next one.
    fn running(&self, context: &Context) -> Result<Arc<Running>> {
        let work = self.current()?;
        if let Some(running) = work.get() {
            return Ok(running.clone());
        }
        let provider = &self.recipe.blueprint.name;
        let started = work.wait(context, format_args!("the start of provider `{provider}`"));
        started.map_err(|error| if work.failed() { self.in_start(error) } else { error })
    }

    fn current(&self) -> Result<Arc<Work<Running>>> {
        let mut slot = self.slot.lock();
        let dead = slot.now.get().is_some_and(|running| running.is_dead());
        if !dead && !slot.now.failed() {
            return Ok(slot.now.clone());
        }
        let work = Work::leavable("its process has not started");
        let pause = slot.pauses.take();
        let dead = mem::replace(&mut slot.now, work.clone());
        drop(slot);
        drop(dead); // without the lock
        let recipe = self.recipe.clone();
        work.begin(move |work| {
            work.context().sleep(pause)?;
            recipe.start_another(&work.context())
        });
        Ok(work)
    }

    fn in_start(&self, error: Error) -> Error {
        error.context(format!("start provider `{}`", self.recipe.blueprint.name))
    }

    /// Makes one call on a name.
    fn named<'n, T>(
        &self,
        name_call: NameCall,
        request: &'n Request<'_>,
        each: Option<&'n mut dyn FnMut(Vec<NameEntry>) -> bool>,
        result: impl FnOnce(Reply) -> Option<T>,
    ) -> Result<T> {
        let running = self.running(request.context())?;
        let tracked = Tracked::new(running.child(), request.context())?;
        let mut caller = Caller::of(request.context()).listing(each);
        let mut connection = running.connection()?;
        let (reply, _) = connection.call(&Call::Name(name_call, asked(&tracked, request)), &mut caller)?;
        result(reply).ok_or_else(|| connection.broken("a reply is not one to its call"))
    }

    /// Makes a call that lists. What it left out is told to the log, as that of a library in the host is.
    fn listed(
        &self,
        name_call: NameCall,
        request: &Request<'_>,
        each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut left_out = 0;
        let mut take = |names: Vec<NameEntry>| take_all(&names, &mut left_out, each);
        let listed = self.named(name_call, request, Some(&mut take), done);
        if left_out > 0 {
            let text = entry::left_out(request.shown(), left_out);
            self.recipe.host.log(Level::Warning, &Level::line(&text));
        }
        listed
    }
}

impl Pauses {
    fn take(&mut self) -> Duration {
        if self.since.elapsed() >= LONG {
            self.next = PAUSE_LEAST;
        }
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE_MOST);
        self.since = Instant::now();
        pause
    }
}

/// A request as it travels.
fn asked(tracked: &Tracked, request: &Request<'_>) -> wire::Request {
    wire::Request {
        file: tracked.file(),
        scheme: request.scheme().to_owned(),
        descriptor: request.descriptor().as_written().to_owned(),
        flags: request.flags().bits(),
        expected_size: request.expected_size(),
        settings: request.settings().clone(),
        control: tracked.control(),
    }
}

impl Instance for ProcessInstance {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let running = self.running(request.context())?;
        let tracked = Tracked::new(running.child(), request.context())?;
        let mut connection = running.connection()?;
        let call = Call::Open(asked(&tracked, request));
        let (reply, _) = connection.call(&call, &mut Caller::of(request.context()))?;
        let Reply::Opened { capabilities, .. } = reply else {
            return Err(connection.broken("a reply is not one to its call"));
        };
        drop(connection);
        Ok(Box::new(ProcessFile::new(running, tracked, request.shown().to_owned(), capabilities)))
    }

    /// Whether the provider knows names is for its process to say: ENOTSUP.
    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for ProcessInstance {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        self.named(NameCall::Stat, request, None, |reply| match reply {
            Reply::Stat(stat) => Some(stat.into()),
            _ => None,
        })
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let mut each = |name: Name<'_>| name.entry().map_or(ControlFlow::Continue(()), &mut *each);
        self.listed(NameCall::List, request, &mut each)
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        self.listed(NameCall::Names, request, each)
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        self.named(NameCall::Remove, request, None, done)
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        self.named(NameCall::MakeFolder, request, None, done)
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        self.named(NameCall::RemoveFolder, request, None, done)
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        self.named(NameCall::SetModified(Time::new(time)?), request, None, done)
    }
}

fn done(reply: Reply) -> Option<()> {
    matches!(reply, Reply::Done).then_some(())
}

/// Takes some names, and counts what is none. Returns whether more are wanted.
fn take_all(
    names: &[NameEntry],
    left_out: &mut u64,
    each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>,
) -> bool {
    names.iter().all(|entry| {
        let stat = entry.stat.clone().map(Stat::from);
        let name = Name { bytes: &entry.bytes, stat: stat.as_ref() };
        if name.is_one() {
            return each(name).is_continue();
        }
        *left_out += 1;
        true
    })
}
