//! What outlives a file: descriptors, other files, other instances; and the errors.

use crate::case::Case;
use crate::step::{Step, Stop};
use crate::steps::{
    beside, ensure, joined, read_all, read_some, refused, same, sample, skip, well_said, write_all,
};
use crate::subject::Subject;
use crate::task::Task;
use std::io::SeekFrom;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, File, Finish, OpenFlags, Threads};

const OPENS: usize = 200;
/// So many will do where each takes long: over a network, say, on a machine that has other things to do.
const OPENS_MIN: usize = 50;
const OPENS_TAKE: Duration = Duration::from_secs(10);

fn open_descriptors() -> Step<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

pub fn opens_leak_no_descriptors(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let open = |case: &Case<'_>| -> Step {
        if case.supports(OpenFlags::WRITE) && subject.can_write() {
            let mut writer = case.writer()?;
            write_all(&mut *writer.file, b"bytes")?;
            writer.file.finish(Finish::Commit)?;
        }
        if case.supports(OpenFlags::READ) && subject.can_read() {
            let mut reader = case.reader(b"bytes")?;
            read_some(&mut *reader.file, 3)?;
        }
        if let Ok(absent) = case.absent() {
            drop(case.open(&absent, OpenFlags::READ));
        }
        Ok(())
    };
    open(&case)?;
    let before = open_descriptors()?;
    let (start, mut opens) = (Instant::now(), 0);
    while opens < OPENS_MIN || opens < OPENS && start.elapsed() < OPENS_TAKE {
        open(&case)?;
        opens += 1;
    }
    let after = open_descriptors()?;
    // Other tests of the process come and go meanwhile; a leak is one for each open.
    ensure!(
        after < before + opens / 2,
        "{before} descriptors were open, {after} after {opens} opens and closes"
    );
    Ok(())
}

/// A close that sleeps for so long waits for something. The rule is that it waits for nothing.
const CLOSE_SLEEPS: Duration = Duration::from_millis(500);
/// For a thread that never gets to sleep, on a machine that has other things to do.
const CLOSE_TAKES: Duration = Duration::from_secs(20);

pub fn close_waits_for_nothing(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut closed = 0;
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut reader = case.reader(&sample(1000))?;
        read_some(&mut *reader.file, 100)?;
        closes("a file that was read", reader.file)?;
        closed += 1;
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        for (what, how) in [
            ("a file that was written", None),
            ("a file that was ended", Some(Finish::End)),
            ("a file that was committed", Some(Finish::Commit)),
            ("a file that was discarded", Some(Finish::Discard)),
        ] {
            let mut writer = case.writer()?;
            write_all(&mut *writer.file, b"bytes")?;
            how.map_or(Ok(()), |how| writer.file.finish(how))?;
            closes(what, writer.file)?;
            closed += 1;
        }
    }
    if closed == 0 { skip("nothing can be opened") } else { Ok(()) }
}

/// Closes a file on a thread of its own, and sees whether that sleeps.
fn closes(what: &str, file: Box<dyn File>) -> Step {
    let ((tasks, task), (done, closed)) = (channel(), channel());
    let closing = thread::Builder::new().name("close".to_owned()).spawn(move || {
        // Received below, or the check has failed already.
        let _ = tasks.send(Task::current());
        drop(file);
        let _ = done.send(());
    })?;
    let task = task.recv().map_err(|_| Stop::Fail("the closing thread died".to_owned()))?;
    match task.outcome(&closed, CLOSE_SLEEPS, CLOSE_TAKES) {
        Ok(()) => {
            drop(closing.join());
            Ok(())
        }
        Err(RecvTimeoutError::Timeout) => {
            Err(Stop::Fail(format!("close of {what} waits: it has slept for {CLOSE_SLEEPS:?}")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Stop::Fail(format!("close of {what} panicked"))),
    }
}

pub fn files_work_in_parallel(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    if case.info.threads != Threads::PerFile {
        return skip(format!("threads is {:?}", case.info.threads));
    }
    thread::scope(|scope| {
        let work = || -> Step {
            for round in 0..10 {
                if case.supports(OpenFlags::WRITE) && subject.can_write() {
                    let mut writer = case.writer()?;
                    write_all(&mut *writer.file, &sample(1000 + round))?;
                    writer.file.finish(Finish::Commit)?;
                }
                if case.supports(OpenFlags::READ) && subject.can_read() {
                    let mut reader = case.reader(&sample(5000 + round))?;
                    same(&read_all(&mut *reader.file, 700)?, &reader.content, "read beside other files")?;
                }
            }
            Ok(())
        };
        joined((0..4).map(|_| beside(scope, work)).collect())
    })
}

pub fn instances_are_isolated(subject: &Subject) -> Step {
    if !subject.isolated {
        return skip("the subject does not say so");
    }
    let (one, other) = (Case::start(subject)?, Case::start(subject)?);
    let descriptor = one.written(b"of the first instance")?;
    let opened = other.open(&descriptor, OpenFlags::READ);
    refused(opened, &[Code::ENOENT], "opening another instance's name")?;
    one.expect(&descriptor, b"of the first instance")
}

pub fn errors_say_what_happened(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut errors = Vec::new();
    if let Ok(absent) = case.absent() {
        errors.push(("opening an absent name", case.open(&absent, OpenFlags::READ).err()));
    }
    let scheme = case.info.schemes.first().map_or("", String::as_str);
    for rest in ["", "/../..", "%", "%00", "?", "//", "\u{fffd}", "a\u{202e}b"] {
        let descriptor = format!("{scheme}:{rest}");
        errors.push(("opening an odd descriptor", case.open(&descriptor, OpenFlags::READ).err()));
    }
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut file = case.reader(&sample(10))?.file;
        errors.push(("writing to a reader", file.write(b"bytes").err()));
        errors.push(("seeking before the start", file.seek(SeekFrom::Current(-100)).err()));
        if !file.capabilities().contains(Capabilities::TRUNCATABLE) {
            errors.push(("truncating a reader", file.truncate(0).err()));
        }
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let mut file = case.writer()?.file;
        errors.push(("reading from a writer", file.read(&mut [0; 10]).err()));
    }
    let mut seen = 0;
    for (what, error) in &errors {
        if let Some(error) = error {
            well_said(error, what)?;
            seen += 1;
        }
    }
    if seen == 0 { skip("nothing could be made to fail") } else { Ok(()) }
}
