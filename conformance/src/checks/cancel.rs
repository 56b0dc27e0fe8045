//! Cancel and deadline of the context that came with the open.

use crate::case::Case;
use crate::hosted::Hosted;
use crate::step::{Step, Stop};
use crate::steps::{beside, ensure, refused, same, sample, skip};
use crate::subject::{Blocking, Subject};
use crate::task::Task;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use vfs_core::{Capabilities, Code, Control, Finish, OpenFile, OpenFlags, written_duration};

/// A call that has slept for so long blocks.
const BLOCKS_AFTER: Duration = Duration::from_millis(100);

pub fn cancelled_calls_return(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut tried = 0;
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let (descriptor, _) = case.source(&sample(100))?;
        tried += cancelled(&case, &descriptor, OpenFlags::READ)?;
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        tried += cancelled(&case, &case.target()?, case.write_flags())?;
    }
    if tried == 0 { skip("CANCEL is not claimed") } else { Ok(()) }
}

/// Opens, cancels, and calls; returns how many files it was tried on.
fn cancelled(case: &Case<'_>, descriptor: &str, flags: OpenFlags) -> Step<u32> {
    let control = Control::new();
    let mut file = case.open_under(&control, descriptor, flags)?;
    if !file.capabilities().contains(Capabilities::CANCEL) {
        return Ok(0);
    }
    control.cancel();
    let start = Instant::now();
    let result =
        if flags.contains(OpenFlags::WRITE) { file.write(b"bytes") } else { file.read(&mut [0; 100]) };
    let took = start.elapsed();
    ensure!(took < case.subject.patience, "a call on a cancelled file took {}", written_duration(took));
    if result.is_err() {
        refused(result, &[Code::ECANCELED], "a call on a cancelled file")?;
    }
    Ok(1)
}

pub fn lifted_files_go_on(subject: &Subject) -> Step {
    let hosted = Hosted::start(subject)?;
    let case = &hosted.case;
    let ends: [fn(&Control); 2] =
        [|control| control.cancel(), |control| control.set_deadline(Some(Instant::now()))];
    let mut tried = 0;
    for (end, code) in ends.into_iter().zip([Code::ECANCELED, Code::ETIMEDOUT]) {
        let control = Control::new();
        let lift = || {
            control.lift();
            control.set_deadline(None);
        };
        if case.supports(OpenFlags::READ) && subject.can_read() {
            let (descriptor, content) = case.source(&sample(1000))?;
            let mut file = hosted.open(&control, &descriptor, OpenFlags::READ)?;
            let (half, mut read) = (content.len() / 2, Vec::new());
            let up_to = |file: &mut OpenFile, length: usize, read: &mut Vec<u8>| -> Step {
                let mut buffer = [0; 1000];
                while read.len() < length {
                    let wanted = (length - read.len()).min(1000);
                    let count = file.read(&mut buffer[..wanted])?;
                    ensure!(count > 0, "read: the end after {} of {} bytes", read.len(), content.len());
                    read.extend_from_slice(&buffer[..count]);
                }
                Ok(())
            };
            up_to(&mut file, half, &mut read)?;
            end(&control);
            refused(file.read(&mut [0]), &[code], "a read that has ended")?;
            lift();
            // What has no end is read a little further.
            up_to(&mut file, content.len().min(half + 1000), &mut read)?;
            same(&read, &content[..read.len()], "what was read before and after")?;
            tried += 1;
        }
        if case.supports(OpenFlags::WRITE) && subject.can_write() {
            let descriptor = case.target()?;
            let mut file = hosted.open(&control, &descriptor, case.write_flags())?;
            file.write_all(b"before ")?;
            end(&control);
            refused(file.write(b"never"), &[code], "a write that has ended")?;
            refused(file.finish(Finish::Commit), &[code], "a COMMIT that has ended")?;
            lift();
            file.write_all(b"and after")?;
            file.finish(Finish::Commit)?;
            drop(file);
            if subject.can_look() {
                case.expect(&descriptor, b"before and after")?;
            }
            tried += 1;
        }
    }
    if tried == 0 { skip("the subject can be neither read nor written") } else { Ok(()) }
}

pub fn cancel_ends_a_blocked_call(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let control = Control::new();
    blocked(&case, &control, &[Code::ECANCELED], |control| control.cancel())
}

pub fn deadline_ends_a_blocked_call(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let control = Control::new();
    // A file that cannot go on afterwards says that the other side is lost.
    blocked(&case, &control, &[Code::ETIMEDOUT, Code::ECONNRESET], |control| {
        control.set_deadline(Some(Instant::now()))
    })
}

/// Lets a call block, stops it from another thread, and checks how and when it ends.
fn blocked(case: &Case<'_>, control: &Control, stopped: &[Code], stop: fn(&Control)) -> Step {
    let patience = case.subject.patience;
    let Some(make) = &case.subject.blocking else { return skip("the subject has nothing that blocks") };
    let Blocking { descriptor, flags } = make(&case.subject.fresh_name())?;
    let ((tasks, task), (done, result)) = (channel(), channel());
    thread::scope(|scope| {
        beside(scope, || {
            let _ = tasks.send(Task::current());
            let outcome = block(case, control, &descriptor, flags);
            // Received below, or the check has failed already.
            let _ = done.send((outcome, Instant::now()));
        })?;
        let task = task.recv().map_err(|_| Stop::Fail("the blocked call's thread died".to_owned()))?;
        match task.outcome(&result, BLOCKS_AFTER, patience) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Stop::Fail("the blocked call's thread died".to_owned()));
            }
            Ok((Err(None), _)) => return skip("CANCEL is not claimed"),
            Ok((outcome, _)) => {
                let error = outcome.err().flatten().map_or("no error".to_owned(), |error| error.chain());
                return Err(Stop::Fail(format!("the blocking call did not block: {error}")));
            }
        }
        let stopped_at = Instant::now();
        stop(control);
        let (outcome, ended_at) = result
            .recv_timeout(patience)
            .map_err(|_| Stop::Fail(format!("the call is not back {patience:?} after it was stopped")))?;
        let took = ended_at.saturating_duration_since(stopped_at);
        ensure!(took < patience, "the call ended {} after it was stopped", written_duration(took));
        match outcome {
            Err(Some(error)) => refused::<()>(Err(error), stopped, "the stopped call"),
            _ => Err(Stop::Fail("the stopped call returned as if nobody had stopped it".to_owned())),
        }
    })
}

/// Opens and calls until something ends it. `Err(None)`: the file does not claim CANCEL.
fn block(
    case: &Case<'_>,
    control: &Control,
    descriptor: &str,
    flags: OpenFlags,
) -> Result<usize, Option<vfs_core::Error>> {
    let mut file = case.open_under(control, descriptor, flags)?;
    if !file.capabilities().contains(Capabilities::CANCEL) {
        return Err(None);
    }
    if !flags.contains(OpenFlags::WRITE) {
        return Ok(file.read(&mut [0; 100])?);
    }
    let bytes = vec![0; 64 << 10];
    for _ in 0..1000 {
        file.write(&bytes)?;
    }
    Ok(bytes.len() * 1000)
}
