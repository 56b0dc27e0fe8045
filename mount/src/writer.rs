//! A file that is open for writing. It is complete when the program that opened it closes it: that close brings the COMMIT, and its
//! error. The kernel says of each close, of every process that shares the file, but not which is the last; so what counts is whose it is.
//! A program that closes it with nothing written, and has started another one that has it too, leaves that to it. One that a signal
//! ended has not closed anything: its file is given up, and the old one stays.

use crate::calls::Call;
use crate::handle::{Turns, read_all};
use crate::holders::{Moment, Sought};
use crate::log;
use crate::opening::{anew, appended, not_in_place};
use crate::tree::Tree;
use fuser::{OpenAccMode, OpenFlags as Asked};
use parking_lot::Mutex;
use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Error, Finish, Flush, Kind, OpenFile, OpenFlags, Result, Shown, Stat};

/// open(2)'s flags, as the kernel passes them on.
const EXCLUSIVE: i32 = libc::O_EXCL;
const TRUNCATE: i32 = libc::O_TRUNC;
const APPEND: i32 = libc::O_APPEND;

/// What a program writes.
pub struct Writer {
    descriptor: String,
    /// Its inode's number, as programs see it.
    ino: OnceLock<u64>,
    /// The process whose close counts: the one that opened it, or has it from that; 0: not known.
    opener: AtomicU32,
    /// That process has closed it.
    is_closed: AtomicBool,
    /// When it was opened.
    since: Option<Moment>,
    /// Its size as long as it is open, and when it was changed: whoever asks must not wait for a write.
    seen: Mutex<Option<(u64, SystemTime)>>,
    /// The time that a program has given it, if nothing was written since.
    modified: Mutex<Option<SystemTime>>,
    state: Mutex<State>,
}

struct State {
    /// `None`: it is complete, or given up.
    file: Option<(OpenFile, Arc<Turns>)>,
    /// Where the next byte goes of a file that is written in order.
    position: u64,
    size: u64,
    /// Something was written since it was opened, or was complete.
    is_dirty: bool,
    /// Its content changes as it is written, at any position: then it is complete when nobody has it open.
    in_place: bool,
    /// Each write goes to the end of that moment, wherever the kernel takes that to be.
    appends: bool,
    reads: bool,
    /// Its provider was given a time, which stays whatever is written.
    is_timed: bool,
    /// Why a call failed before anything was written: without a byte it is not to appear.
    refused: Option<Error>,
    /// Why it is given up.
    failed: Option<Error>,
}

impl Writer {
    /// Opens a file, or makes one: as a whole where its provider can, so that nothing is seen of it before it is complete.
    ///
    /// # Errors
    /// ENOTSUP: its provider only writes a file anew. The provider's.
    pub fn open(tree: &Tree, descriptor: &str, asked: Asked, makes: bool, call: &Call) -> Result<Writer> {
        let options = tree.options(call);
        let is_anew = makes || asked.0 & TRUNCATE != 0;
        let reads = asked.acc_mode() == OpenAccMode::O_RDWR;
        let appends = asked.0 & APPEND != 0;
        let direction = if reads { OpenFlags::READ | OpenFlags::WRITE } else { OpenFlags::WRITE };
        let appended = match makes && appends && asked.0 & TRUNCATE == 0 {
            true => appended(tree, descriptor, &options, direction, asked.0 & EXCLUSIVE != 0)?,
            false => None,
        };
        let is_anew = is_anew && appended.is_none();
        let (mut file, in_place) = match appended {
            Some(file) => (file, true),
            None if is_anew => anew(tree, descriptor, &options, asked.0 & EXCLUSIVE != 0 && makes, reads)?,
            None => {
                let flags = if appends { direction | OpenFlags::APPEND } else { direction };
                let opened = tree.registry().open(descriptor, &options.with_flags(flags));
                (opened.map_err(|error| not_in_place(error, descriptor))?, true)
            }
        };
        call.opened();
        let can = file.capabilities();
        let stat = match is_anew {
            false if can.contains(Capabilities::STAT) => file.stat()?,
            _ => Stat::of_kind(Kind::Regular),
        };
        let size = stat.size.unwrap_or(0);
        let turns = Turns::new(file.control().clone());
        let state = State {
            position: if appends { size } else { 0 },
            size,
            is_dirty: false,
            appends: appends && !is_anew,
            in_place: in_place && can.contains(Capabilities::POSITIONAL_WRITE),
            reads: reads && can.contains(Capabilities::POSITIONAL_READ),
            is_timed: false,
            file: Some((file, turns)),
            refused: None,
            failed: None,
        };
        Ok(Writer {
            descriptor: descriptor.to_owned(),
            ino: OnceLock::new(),
            opener: AtomicU32::new(call.caller().process().unwrap_or(0)),
            is_closed: AtomicBool::new(false),
            since: Moment::now(),
            seen: Mutex::new(Some((size, stat.modified.unwrap_or_else(SystemTime::now)))),
            modified: Mutex::new(None),
            state: Mutex::new(state),
        })
    }

    /// What is written.
    pub fn descriptor(&self) -> &str {
        &self.descriptor
    }

    /// Its inode has this number.
    pub fn has_number(&self, ino: u64) {
        self.ino.get_or_init(|| ino);
    }

    /// Whether whoever opens the file so can write it by this one, since a provider may let nobody else write it: it is open in place, and
    /// for the same. From then on each close counts.
    pub fn is_joined(&self, asked: Asked) -> bool {
        let state = self.state.lock();
        let joins = state.file.is_some()
            && state.failed.is_none()
            && (state.in_place || state.appends)
            && asked.0 & TRUNCATE == 0
            && (asked.0 & APPEND != 0) == state.appends
            && (asked.acc_mode() == OpenAccMode::O_WRONLY || state.reads);
        if joins {
            self.opener.store(0, Ordering::SeqCst);
        }
        joins
    }

    /// What is known of it while it is written; `None`: it is complete, or given up.
    pub fn stat(&self) -> Option<Stat> {
        let (size, changed) = (*self.seen.lock())?;
        let time = self.modified.lock().unwrap_or(changed);
        Some(Stat::of_kind(Kind::Regular).size(size).modified(time))
    }

    /// Writes at an offset.
    ///
    /// # Errors
    /// ESPIPE: its provider writes in order, and this is not what comes next. EIO: it is complete by now. The provider's.
    pub fn write(&self, tree: &Tree, call: &Call, bytes: &[u8], offset: u64) -> Result<u32> {
        let mut held = self.state.lock();
        let state = &mut *held;
        self.go_on(state)?;
        if state.file.is_none() {
            self.reopen(tree, state, call)?;
        }
        self.forget_time(state, call);
        let Some((file, turns)) = &mut state.file else { return Err(self.is_complete()) };
        let offset = if state.appends { state.size } else { offset };
        let result = turns.during(call, || match state.appends {
            true => file.write_all(bytes),
            false => write_at(file, &mut state.position, bytes, offset),
        });
        result.map_err(|error| self.refused(state, error))?;
        state.is_dirty = true;
        state.size = state.size.max(offset + bytes.len() as u64);
        self.changed(state.size);
        Ok(bytes.len() as u32)
    }

    /// Reads at an offset, of a file that was opened for both.
    ///
    /// # Errors
    /// EBADF: its provider does not do both. The provider's.
    pub fn read(&self, call: &Call, offset: u64, size: usize) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        let Some((file, turns)) = state.file.as_ref().filter(|_| state.reads) else {
            let text = format!(
                "read {}: it is written as a whole, and can be read once it is complete",
                self.shown()
            );
            let error = Error::new(Code::EBADF, text);
            if !state.is_dirty {
                // What was to be read and written at once, such as a database, is not left behind as an empty file.
                state.refused = Some(again(&error));
            }
            return Err(error);
        };
        let mut buf = vec![0; size];
        let count =
            turns.during(call, || read_all(&mut buf, |rest, done| file.read_at(rest, offset + done)))?;
        buf.truncate(count);
        Ok(buf)
    }

    /// Whether others can read it before it is complete.
    pub fn can_be_read_so_far(&self) -> bool {
        let state = self.state.lock();
        let is_hidden = !state.in_place && !state.appends;
        is_hidden && state.file.as_ref().is_some_and(|(file, _)| reads_too(file))
    }

    /// Reads at an offset what has been written so far; `None`: it is complete by now.
    ///
    /// # Errors
    /// Why it was given up. The provider's.
    pub fn read_so_far(&self, call: &Call, offset: u64, size: usize) -> Result<Option<Vec<u8>>> {
        let state = self.state.lock();
        self.go_on(&state)?;
        let Some((file, turns)) = state.file.as_ref().filter(|(file, _)| reads_too(file)) else {
            return Ok(None);
        };
        let mut buf = vec![0; size];
        let read = || read_all(&mut buf, |rest, done| file.read_at(rest, offset + done));
        let count = turns.during(call, read)?;
        buf.truncate(count);
        Ok(Some(buf))
    }

    /// Sets its size.
    ///
    /// # Errors
    /// ENOTSUP: its provider cannot.
    pub fn truncate(&self, call: &Call, size: u64) -> Result<()> {
        let mut held = self.state.lock();
        let state = &mut *held;
        self.go_on(state)?;
        if size == state.size {
            return Ok(());
        }
        self.forget_time(state, call);
        let Some((file, turns)) = &mut state.file else { return Err(self.is_complete()) };
        if !file.capabilities().contains(Capabilities::TRUNCATABLE) {
            let text = format!("truncate {}: its provider sets no size of a file", self.shown());
            return Err(self.refused(state, Error::new(Code::ENOTSUP, text)));
        }
        let result = turns.during(call, || file.truncate(size));
        result.map_err(|error| self.refused(state, error))?;
        (state.size, state.is_dirty) = (size, true);
        self.changed(size);
        Ok(())
    }

    /// Sets the time that it is to have until something is written. Where that cannot be, or not this one, it has its own: programs would
    /// fail otherwise. `false`: it is complete by now, and nothing is done.
    ///
    /// # Errors
    /// The provider's.
    pub fn set_modified(&self, call: &Call, time: SystemTime) -> Result<bool> {
        let mut held = self.state.lock();
        let state = &mut *held;
        self.go_on(state)?;
        let Some((file, turns)) = &mut state.file else { return Ok(false) };
        match turns.during(call, || file.set_modified(time)) {
            Err(error) if matches!(error.code(), Code::ENOTSUP | Code::EOVERFLOW) => {}
            set => {
                set?;
                state.is_timed = true;
                *self.modified.lock() = Some(time);
            }
        }
        Ok(true)
    }

    /// It has this size as of now.
    fn changed(&self, size: u64) {
        *self.seen.lock() = Some((size, SystemTime::now()));
    }

    /// It is about to be written: a time that it was given is no longer its own.
    fn forget_time(&self, state: &mut State, call: &Call) {
        if self.modified.lock().take().is_some() {
            renew_time(state, call);
        }
    }

    /// Makes what was written durable, as far as that is possible before it is complete.
    ///
    /// # Errors
    /// The provider's.
    pub fn sync(&self, call: &Call) -> Result<()> {
        let mut held = self.state.lock();
        let state = &mut *held;
        self.go_on(state)?;
        let Some((file, turns)) = &mut state.file else { return Ok(()) };
        turns.during(call, || file.flush(Flush::Sync))?;
        // Of what is written in place nothing is left to be said.
        state.is_dirty &= !state.in_place;
        Ok(())
    }

    /// Whether another writer is of the same file, and the program that opened both has not closed that.
    pub fn is_beside(&self, other: &Writer) -> bool {
        let opener = |writer: &Writer| writer.opener.load(Ordering::SeqCst);
        !std::ptr::eq(self, other)
            && self.ino == other.ino
            && opener(self) == opener(other)
            && !other.is_closed.load(Ordering::SeqCst)
    }

    /// Some process closes it: `file`, as that sees it, of which the process that opened it has so many `others` open.
    ///
    /// # Errors
    /// It is not complete, and nothing of it is there: of this close, if it is the one that counts.
    pub fn close(&self, call: &Call, file: Option<Sought>, others: impl FnOnce() -> usize) -> Result<()> {
        let caller = call.caller();
        let mut state = self.state.lock();
        // Without knowing whose it is, each close counts.
        let (process, opener) = (caller.process(), self.opener.load(Ordering::SeqCst));
        if process.is_some_and(|process| opener != 0 && process != opener) {
            return self.go_on(&state);
        }
        if caller.is_killed() && !state.in_place && !state.appends {
            let text = format!("write {}: the program that wrote it was ended by a signal", self.shown());
            log::say(&text);
            self.give_up(&mut state, Error::new(Code::EIO, text));
            return Ok(());
        }
        self.go_on(&state)?;
        let others = others();
        let known = file.zip(process);
        let found = known.and_then(|(file, process)| file.opened_by(process, others + 1));
        // A shell gives each of its own commands another number of a file that it has open, and closes that after it.
        if found.is_some_and(|found| found > others) {
            return Ok(());
        }
        if state.is_dirty {
            self.is_closed.store(true, Ordering::SeqCst);
            return if state.in_place { settle(&mut state, call) } else { self.complete(&mut state, call) };
        }
        // Nothing was written. Another program may have been started for that: one that cannot be seen, perhaps.
        let (Some((file, _)), Some(_), Some(since)) = (known, found, &self.since) else { return Ok(()) };
        if let Some(heir) = file.inherited_since(since) {
            self.opener.store(heir, Ordering::SeqCst);
            return Ok(());
        }
        self.is_closed.store(true, Ordering::SeqCst);
        match &state.refused {
            None if !state.in_place => self.complete(&mut state, call),
            _ => Ok(()),
        }
    }

    /// One of several that share it closes it, or has closed it.
    ///
    /// # Errors
    /// The provider's.
    pub fn close_shared(&self, call: &Call) -> Result<()> {
        let mut state = self.state.lock();
        self.go_on(&state)?;
        settle(&mut state, call)
    }

    /// Nobody has it open any more.
    ///
    /// # Errors
    /// It is not complete, which nobody will be told but by a message.
    pub fn release(&self, call: &Call) -> Result<()> {
        let mut state = self.state.lock();
        match state.refused.take() {
            _ if state.failed.is_some() => Ok(()),
            Some(why) if !state.is_dirty => {
                self.give_up(&mut state, why);
                Ok(())
            }
            _ => self.complete(&mut state, call),
        }
    }

    /// Somebody removed it before it was complete: nothing of it is to appear. Whether it was so.
    pub fn remove(&self) -> bool {
        let mut state = self.state.lock();
        let was_open = state.file.is_some() && !state.in_place;
        if was_open {
            self.give_up(
                &mut state,
                Error::new(Code::ENOENT, format!("write {}: it was removed", self.shown())),
            );
        }
        was_open
    }

    fn complete(&self, state: &mut State, call: &Call) -> Result<()> {
        if self.modified.lock().take().is_none() {
            renew_time(state, call);
        }
        state.is_timed = false;
        let Some((mut file, turns)) = state.file.take() else { return Ok(()) };
        state.is_dirty = false;
        let done = turns.during(call, || file.finish(Finish::Commit));
        *self.seen.lock() = None;
        done.inspect_err(|error| state.failed = Some(again(error)))
    }

    /// A call failed. Of what is only to appear as a whole nothing does then, since a part is missing; unless it is empty, and the program
    /// goes on in another way.
    fn refused(&self, state: &mut State, error: Error) -> Error {
        if state.in_place || state.appends {
            // What is there stays.
        } else if state.is_dirty {
            self.give_up(state, again(&error));
        } else {
            state.refused = Some(again(&error));
        }
        error
    }

    fn give_up(&self, state: &mut State, why: Error) {
        if let Some((mut file, _)) = state.file.take() {
            // What it says is of no use to anybody: the file was to leave nothing.
            let _ = file.finish(Finish::Discard);
        }
        *self.seen.lock() = None;
        state.failed = Some(why);
    }

    /// A process writes on that shared the file with the one that closed it: a shell does so for each of its commands.
    fn reopen(&self, tree: &Tree, state: &mut State, call: &Call) -> Result<()> {
        let direction = if state.appends { OpenFlags::WRITE | OpenFlags::APPEND } else { OpenFlags::WRITE };
        let options = tree.options(call).with_flags(direction);
        let file = tree.registry().open(&self.descriptor, &options).map_err(|_| self.is_complete())?;
        call.opened();
        let anywhere = Capabilities::POSITIONAL_WRITE | Capabilities::SEEKABLE;
        if !state.appends && !file.capabilities().intersects(anywhere) {
            return Err(self.is_complete());
        }
        let turns = Turns::new(file.control().clone());
        (state.file, state.position) = (Some((file, turns)), 0);
        self.changed(state.size);
        Ok(())
    }

    fn go_on(&self, state: &State) -> Result<()> {
        state.failed.as_ref().map_or(Ok(()), |error| Err(again(error)))
    }

    fn is_complete(&self) -> Error {
        let text = format!(
            "write {}: the program that opened it has closed it, so it is complete; its provider only writes a file anew",
            self.shown()
        );
        Error::new(Code::EIO, text)
    }

    fn shown(&self) -> Shown<'_> {
        Shown(&self.descriptor)
    }
}

fn reads_too(file: &OpenFile) -> bool {
    file.capabilities().contains(Capabilities::POSITIONAL_READ)
}

/// Has the provider say what became of what was written in place, which it may not have said yet. The kernel has, of a file of its own at each
/// write: that each close should wait for the disk is more than any folder does, and made rsync slow.
fn settle(state: &mut State, call: &Call) -> Result<()> {
    let Some((file, turns)) = state.file.as_mut().filter(|_| state.is_dirty) else { return Ok(()) };
    let level = if file.capabilities().contains(Capabilities::FD) { Flush::Push } else { Flush::Sync };
    match turns.during(call, || file.flush(level)) {
        // It has been taken; that it is durable as well was not asked for.
        Err(error) if error.code() == Code::ENOTSUP => {}
        done => done?,
    }
    state.is_dirty = false;
    Ok(())
}

/// Gives a file whose provider was given a time the present one.
fn renew_time(state: &mut State, call: &Call) {
    if let Some((file, turns)) = state.file.as_mut().filter(|_| state.is_timed) {
        // A store that is told with the first bytes refuses it after them, and has been told before them.
        let _ = turns.during(call, || file.set_modified(SystemTime::now()));
    }
}

fn write_at(file: &mut OpenFile, position: &mut u64, bytes: &[u8], offset: u64) -> Result<()> {
    let can = file.capabilities();
    if *position != offset && can.contains(Capabilities::POSITIONAL_WRITE) {
        let mut done = 0;
        while done < bytes.len() {
            done += file.write_at(&bytes[done..], offset + done as u64)?;
        }
        return Ok(());
    }
    if *position != offset {
        if !can.contains(Capabilities::SEEKABLE) {
            let text = format!(
                "write {} at {offset}: its provider writes in order, and stands at {position}",
                file.shown()
            );
            return Err(Error::new(Code::ESPIPE, text));
        }
        *position = file.seek(SeekFrom::Start(offset))?;
    }
    file.write_all(bytes)?;
    *position += bytes.len() as u64;
    Ok(())
}

/// An error once more, for the next call that meets it.
fn again(error: &Error) -> Error {
    Error::new(error.code(), error.chain())
}
