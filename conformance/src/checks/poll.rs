//! Work without waiting: `zvfs.poll/1`.

use crate::case::Case;
use crate::step::{Step, Stop};
use crate::steps::{beside, claims, ensure, read_into, read_some, same, sample, skip, write_all};
use crate::subject::{Blocking, Subject};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::channel;
use std::thread;
use vfs_core::{Capabilities, Control, Events, File, Finish, OpenFlags, Wanted};

/// How long a file that says what to wait for may let one wait.
const PATIENCE: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// So many tries that move nothing, and a file does not do as it says.
const TRIES_MAX: u32 = 100_000;

/// A file as a host with an event loop has it: what its interests have said so far.
struct Polled<'a> {
    file: &'a mut dyn File,
    /// The number and the kernel file of what it lends.
    lent: Option<(RawFd, (u64, u64))>,
    tries: u32,
}

impl Polled<'_> {
    fn new(file: &mut dyn File) -> Polled<'_> {
        Polled { file, lent: None, tries: 0 }
    }

    /// Asks what to wait for, checks the answer, and waits for it.
    fn wait(&mut self, wanted: Wanted) -> Step {
        self.tries += 1;
        ensure!(self.tries < TRIES_MAX, "{TRIES_MAX} tries for {wanted:?} moved nothing");
        let interest = self.file.interest(wanted)?;
        ensure!(wanted.contains(interest.ready), "{wanted:?} is wanted, and {:?} is ready", interest.ready);
        if let Some(fd) = interest.fd {
            let stat = rustix::fs::fstat(fd).map_err(std::io::Error::from)?;
            let now = (fd.as_raw_fd(), (stat.st_dev, stat.st_ino));
            let earlier = *self.lent.get_or_insert(now);
            ensure!(earlier == now, "interest lent fd {}, then fd {} of another file", earlier.0, now.0);
        }
        if !interest.ready.is_empty() {
            return Ok(());
        }
        let mut polled = Vec::new();
        if let Some(fd) = interest.fd {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, interest.events.contains(Events::READ));
            flags.set(PollFlags::OUT, interest.events.contains(Events::WRITE));
            polled.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let after = interest.after.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        let timed = after.is_some_and(|after| after < PATIENCE);
        let limit = after.filter(|_| timed).unwrap_or(PATIENCE);
        let came =
            rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit))).map_err(std::io::Error::from)?;
        ensure!(came > 0 || timed, "interest: nothing occurred within {} s, for {wanted:?}", PATIENCE.tv_sec);
        Ok(())
    }

    /// Reads something, or the end, in as many tries as it takes.
    fn read(&mut self, buf: &mut [u8]) -> Step<usize> {
        loop {
            let mut now = true;
            let count = read_into(buf, "try_read", |buf| {
                let count = self.file.try_read(buf)?;
                now = count.is_some();
                Ok(count.unwrap_or(0))
            })?;
            if now {
                self.tries = 0;
                return Ok(count);
            }
            self.wait(Wanted::READ)?;
        }
    }

    /// Writes something, in as many tries as it takes.
    fn write(&mut self, buf: &[u8]) -> Step<usize> {
        loop {
            if let Some(count) = self.file.try_write(buf)? {
                self.tries = 0;
                let taken = (1..=buf.len()).contains(&count);
                ensure!(taken, "try_write of {} bytes returned the count {count}", buf.len());
                return Ok(count);
            }
            self.wait(Wanted::WRITE)?;
        }
    }

    fn commit(&mut self) -> Step {
        while self.file.try_finish(Finish::Commit)?.is_none() {
            self.wait(Wanted::FINISH)?;
        }
        Ok(())
    }
}

pub fn tries_read_the_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::POLL, &sample(200_000))?;
    let (mut content, mut buffer) = (Vec::new(), vec![0; 7000]);
    loop {
        let count = Polled::new(&mut *reader.file).read(&mut buffer)?;
        content.extend_from_slice(&buffer[..count]);
        ensure!(content.len() <= reader.content.len(), "try_read: more bytes than there are");
        if count == 0 {
            break;
        }
        // One that waits goes on where the try ended.
        content.extend_from_slice(&read_some(&mut *reader.file, 100)?);
    }
    ensure!(Polled::new(&mut *reader.file).read(&mut buffer)? == 0, "try_read: no end after the end");
    same(&content, &reader.content, "read in tries")
}

pub fn tries_write_what_is_read_back(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::POLL)?;
    let (content, mut done) = (sample(200_000), 0);
    while done < content.len() {
        done += Polled::new(&mut *writer.file).write(&content[done..content.len().min(done + 7000)])?;
        let more = &content[done..content.len().min(done + 100)];
        write_all(&mut *writer.file, more)?;
        done += more.len();
    }
    Polled::new(&mut *writer.file).commit()?;
    drop(writer.file);
    case.expect(&writer.descriptor, &content)
}

pub fn an_interest_is_one_descriptor(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut tried = 0;
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut reader = case.reader(&sample(50_000))?;
        if claims(&*reader.file, Capabilities::POLL).is_ok() {
            let (mut file, mut buffer) = (Polled::new(&mut *reader.file), [0; 1000]);
            while file.read(&mut buffer)? > 0 {
                file.wait(Wanted::READ)?;
            }
            tried += 1;
        }
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let mut writer = case.writer()?;
        if claims(&*writer.file, Capabilities::POLL).is_ok() {
            let mut file = Polled::new(&mut *writer.file);
            for piece in sample(50_000).chunks(1000) {
                file.write(piece)?;
                file.wait(Wanted::WRITE)?;
            }
            file.commit()?;
            tried += 1;
        }
    }
    if tried == 0 { skip("POLL is not claimed") } else { Ok(()) }
}

pub fn a_try_waits_for_nothing(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let Some(make) = &subject.blocking else { return skip("the subject has nothing that blocks") };
    let Blocking { descriptor, flags } = make(&subject.fresh_name())?;
    let control = Control::new();
    let ((opened, open), (done, result)) = (channel(), channel());
    thread::scope(|scope| {
        beside(scope, || {
            // Received below, or the check has failed already.
            let file = case.open_under(&control, &descriptor, flags);
            let _ = opened.send(());
            let _ = done.send(file.map_err(Stop::from).and_then(|mut file| blocks(&mut *file, flags)));
        })?;
        if open.recv_timeout(subject.patience).is_err() {
            control.cancel();
            return skip("the open waits");
        }
        match result.recv_timeout(subject.patience) {
            Ok(step) => step,
            Err(_) => {
                control.cancel();
                Err(Stop::Fail(format!("a try is not back after {:?}", subject.patience)))
            }
        }
    })
}

/// Tries what blocks until it says so, and twice more: nothing changes.
fn blocks(file: &mut dyn File, flags: OpenFlags) -> Step {
    claims(file, Capabilities::POLL)?;
    let (mut buffer, mut refused) = (vec![0; 64 << 10], 0);
    for _ in 0..TRIES_MAX {
        let moved = match flags.contains(OpenFlags::WRITE) {
            true => file.try_write(&buffer)?,
            false => file.try_read(&mut buffer[..100])?,
        };
        ensure!(moved != Some(0), "what blocks came to an end");
        refused = if moved.is_some() { 0 } else { refused + 1 };
        if refused == 3 {
            return Ok(());
        }
    }
    Err(Stop::Fail("what blocks never returned EAGAIN".to_owned()))
}
