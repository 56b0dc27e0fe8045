//! An open file for a host with an event loop: one with POLL as it is; of any other, and of an open, a thread of a pool makes the
//! calls.

mod errand;
mod jobs;
mod worked;

use crate::code::Code;
use crate::control::Control;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::file::{Finish, Interest};
use crate::flags::{Capabilities, Events, Wanted};
use crate::host::open::{OpenFile, OpenOptions};
use crate::host::registry::Registry;
use errand::{Bell, Errand};
pub use jobs::Jobs;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use worked::Worked;

/// An open file, or one that is being opened, on which nothing waits.
///
/// `try_read`, `try_write`, `try_finish` and `interest` are those of [`OpenFile`], for every file. For one without POLL a thread reads
/// 64 KiB ahead, or writes what was taken: then a write that counts may fail later, at the next one or at COMMIT. Such a file is
/// tried in one direction, and each call that waits has a thread of its [`Jobs`]. Dropping it waits for nothing: a thread that is at
/// work is told to end, and closes the file.
pub struct PolledFile {
    state: State,
    jobs: Jobs,
    /// Of one that was opened here: the descriptor that stays the same when the file is there.
    lent: Option<Lent>,
    /// Likewise: what the open and then the file follow. It follows the caller's, and nothing else keeps it.
    control: Option<Control>,
}

/// An open on its way.
struct Opening {
    open: Errand<Result<OpenFile>>,
    bell: Bell,
    /// The descriptor for messages.
    shown: String,
}

enum State {
    Opening(Opening),
    Failed(Error),
    Open(OpenFile),
    Worked(Box<Worked>),
}

impl State {
    /// Why there is no file for calls that wait.
    #[cold]
    fn refusal(&self) -> Error {
        match self {
            State::Opening(_) => Error::new(Code::EBUSY, "it is being opened: wait for its interest"),
            State::Failed(error) => error.flattened(),
            State::Open(_) | State::Worked(_) => being_tried(),
        }
    }
}

impl Opening {
    /// Refuses whoever waits for it once its control has ended it.
    fn goes_on(&self, control: Option<&Control>) -> Result<()> {
        control.map_or(Ok(()), |control| control.call_begins("open", &self.shown))
    }
}

impl PolledFile {
    /// Takes over an open file.
    pub fn new(file: OpenFile, jobs: Jobs) -> PolledFile {
        PolledFile { state: State::Open(file), jobs, lent: None, control: None }
    }

    /// Begins to open a descriptor. Until that is done every try is "not now"; if it fails, every call gives its error.
    ///
    /// # Errors
    /// EINVAL: not a descriptor. EMFILE: no thread of the pool is free, or no descriptor.
    pub fn open(
        registry: &Registry,
        descriptor: &str,
        options: OpenOptions,
        jobs: Jobs,
    ) -> Result<PolledFile> {
        let shown = Descriptor::parse(descriptor)?.to_string();
        let (bell, lent, seat) = (Bell::new()?, Lent::new()?, jobs.seat()?);
        // Of its own: a drop ends this open, and nothing else under the caller's.
        let control = Control::new();
        if let Some(leader) = &options.leader {
            control.follow(leader)?;
        }
        let (registry, descriptor, options) =
            (registry.clone(), descriptor.to_owned(), options.control(&control));
        let open = Errand::begin(seat, &bell, move || registry.open(&descriptor, &options));
        let state = State::Opening(Opening { open, bell, shown });
        Ok(PolledFile { state, jobs, lent: Some(lent), control: Some(control) })
    }

    /// What the file can do; nothing until it is there.
    pub fn capabilities(&self) -> Capabilities {
        match &self.state {
            State::Open(file) => file.capabilities(),
            State::Worked(file) => file.capabilities(),
            State::Opening(_) | State::Failed(_) => Capabilities::empty(),
        }
    }

    /// The file, for calls that wait.
    ///
    /// # Errors
    /// EBUSY: it is being opened, or a thread makes its calls. The error of the open, if that has failed.
    pub fn file(&self) -> Result<&OpenFile> {
        match &self.state {
            State::Open(file) => Ok(file),
            other => Err(other.refusal()),
        }
    }

    /// The same, to be changed. An open that is done is noticed.
    ///
    /// # Errors
    /// As [`file`](PolledFile::file).
    pub fn file_mut(&mut self) -> Result<&mut OpenFile> {
        self.look();
        match &mut self.state {
            State::Open(file) => Ok(file),
            other => Err(other.refusal()),
        }
    }

    /// What must happen before the wanted calls are worth trying: [`OpenFile::interest`].
    ///
    /// # Errors
    /// The open's. EMFILE: no thread of the pool is free. As there.
    pub fn interest(&mut self, wanted: Wanted) -> Result<Interest<'_>> {
        self.begin_try();
        let interest = match &mut self.state {
            State::Opening(opening) => {
                opening.goes_on(self.control.as_ref())?;
                Interest::event(opening.bell.as_fd(), Events::READ)
            }
            State::Failed(error) => return Err(error.flattened()),
            State::Open(file) => file.interest(wanted)?,
            State::Worked(file) => file.interest(wanted)?,
        };
        match &mut self.lent {
            Some(lent) => lent.instead_of(interest),
            None => Ok(interest),
        }
    }

    /// Reads what can be read now: [`OpenFile::try_read`].
    ///
    /// # Errors
    /// As [`interest`](PolledFile::interest), and as there.
    pub fn try_read(&mut self, buf: &mut [u8]) -> Result<Option<usize>> {
        self.begin_try();
        match &mut self.state {
            State::Opening(opening) => opening.goes_on(self.control.as_ref()).map(|()| None),
            State::Failed(error) => Err(error.flattened()),
            State::Open(file) => file.try_read(buf),
            State::Worked(file) => file.try_read(buf),
        }
    }

    /// Writes what can be written now: [`OpenFile::try_write`].
    ///
    /// # Errors
    /// As [`interest`](PolledFile::interest), and as there.
    pub fn try_write(&mut self, buf: &[u8]) -> Result<Option<usize>> {
        self.begin_try();
        match &mut self.state {
            State::Opening(opening) => opening.goes_on(self.control.as_ref()).map(|()| None),
            State::Failed(error) => Err(error.flattened()),
            State::Open(file) => file.try_write(buf),
            State::Worked(file) => file.try_write(buf),
        }
    }

    /// Ends the writing side: [`OpenFile::try_finish`]. Where a thread makes the calls, END may be "not now" too.
    ///
    /// # Errors
    /// As [`interest`](PolledFile::interest), and as there.
    pub fn try_finish(&mut self, how: Finish) -> Result<Option<()>> {
        self.begin_try();
        match &mut self.state {
            State::Opening(opening) => opening.goes_on(self.control.as_ref()).map(|()| None),
            State::Failed(error) => Err(error.flattened()),
            State::Open(file) => file.try_finish(how),
            State::Worked(_) if how == Finish::Discard => Err(OpenFile::discard_waits()),
            State::Worked(file) => file.try_finish(how),
        }
    }

    /// Notices an open that is done.
    fn look(&mut self) {
        if let State::Opening(opening) = &self.state
            && let Some(opened) = opening.open.take()
        {
            // Its bell goes with it, and the next descriptor may have its number.
            if let Some(lent) = &mut self.lent {
                lent.on = None;
            }
            self.state = match opened.and_then(|opened| opened) {
                Ok(file) => State::Open(file),
                Err(error) => State::Failed(error),
            };
        }
    }

    /// The same; and gives a file without POLL to threads.
    fn begin_try(&mut self) {
        self.look();
        let without =
            matches!(&self.state, State::Open(file) if !file.capabilities().contains(Capabilities::POLL));
        if !without {
            return;
        }
        let bell = Bell::new();
        let state = std::mem::replace(&mut self.state, State::Failed(being_tried()));
        self.state = match (state, bell) {
            (State::Open(file), Ok(bell)) => {
                State::Worked(Box::new(Worked::new(file, self.jobs.clone(), bell)))
            }
            (_, Err(error)) => State::Failed(error),
            (state, _) => state,
        };
    }
}

impl Drop for PolledFile {
    fn drop(&mut self) {
        if let (State::Opening(_), Some(control)) = (&self.state, &self.control) {
            // The thread drops what it opens.
            control.cancel();
        }
    }
}

#[cold]
fn being_tried() -> Error {
    Error::new(
        Code::EBUSY,
        "it has no POLL and was tried, so that a thread makes its calls: go on with tries",
    )
}

/// One descriptor for a file that is opened here, with what its interests lend in it.
struct Lent {
    epoll: OwnedFd,
    on: Option<(RawFd, Events)>,
}

impl Lent {
    fn new() -> Result<Lent> {
        Ok(Lent { epoll: epoll::create(CreateFlags::CLOEXEC).map_err(system)?, on: None })
    }

    fn instead_of<'a>(&'a mut self, interest: Interest<'_>) -> Result<Interest<'a>> {
        let Interest { ready, fd, events, after } = interest;
        let Some(fd) = fd else { return Ok(Interest { ready, fd: None, events, after }) };
        if self.on != Some((fd.as_raw_fd(), events)) {
            let mut flags = EventFlags::empty();
            flags.set(EventFlags::IN, events.contains(Events::READ));
            flags.set(EventFlags::OUT, events.contains(Events::WRITE));
            let data = EventData::new_u64(0);
            // Of the open's bell nothing is left: it went with its descriptor.
            match epoll::modify(&self.epoll, fd, data, flags) {
                Err(Errno::NOENT) => epoll::add(&self.epoll, fd, data, flags),
                changed => changed,
            }
            .map_err(system)?;
            self.on = Some((fd.as_raw_fd(), events));
        }
        Ok(Interest { ready, fd: Some(self.epoll.as_fd()), events: Events::READ, after })
    }
}

fn system(errno: Errno) -> Error {
    Error::from(io::Error::from(errno))
}
