//! A writer that fails: never an end.

use super::bytes::{drain, fill, noise_of, write_until_it_fails, write_whole};
use super::case::{Case, meet};
use super::deadline::deadline;
use super::subject::{Subject, Writers};
use crate::step::{Step, Stop};
use crate::steps::{ensure, refused, same};
use vfs_core::{Code, Finish, OpenFile};

pub fn discard_before_the_reader_is_remembered(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    writer.finish(Finish::Discard)?;
    drop(writer);
    let mut reader = case.reader(&pair)?;
    is_broken(&mut reader, b"")
}

pub fn discard_is_never_an_end(subject: &Subject) -> Step {
    breaks(subject, |mut writer| Ok(writer.finish(Finish::Discard)?))
}

pub fn close_without_end_is_never_an_end(subject: &Subject) -> Step {
    breaks(subject, |writer| {
        drop(writer);
        Ok(())
    })
}

/// Breaks a pipe after some data: taken already, or still on its way.
fn breaks(subject: &Subject, fail: fn(OpenFile) -> Step) -> Step {
    let case = Case::start(subject)?;
    for size in [0, 5, 60_000] {
        let (mut reader, mut writer) = case.met()?;
        let part = noise_of(5, size);
        write_whole(&mut writer, &part)?;
        fail(writer)?;
        is_broken(&mut reader, &part)?;
    }
    Ok(())
}

/// Checks that the reader gets what arrived, and then ECONNRESET for good.
fn is_broken(reader: &mut OpenFile, part: &[u8]) -> Step {
    let (bytes, error) = drain(reader)?;
    let Some(error) = error else {
        return Err(Stop::Fail(format!("a broken pipe ended after {} bytes", bytes.len())));
    };
    refused(Err::<(), _>(error), &[Code::ECONNRESET], "reading a broken pipe")?;
    same(&bytes, part, "what arrived before the pipe broke")?;
    for _ in 0..3 {
        refused(reader.read(&mut [0; 8]), &[Code::ECONNRESET], "reading on after a break")?;
    }
    Ok(())
}

pub fn a_cancelled_writer_can_discard(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let part = noise_of(9, 10_000);
    let written = fill(&mut writer, &part, subject.held_max)?;
    deadline(&writer, subject.patience);
    let (control, patience) = (writer.control().clone(), subject.patience);
    let call = case.begin("a write into a full pipe", move || {
        let error = write_until_it_fails(&mut writer, &part, patience)?;
        // Broken by the host, which gives it time for this.
        writer.finish(Finish::Discard)?;
        Ok(error)
    })?;
    call.waits()?;
    control.cancel();
    refused(Err::<(), _>(call.done()?), &[Code::ECANCELED], "a write that was cancelled")?;
    let (bytes, error) = drain(&mut reader)?;
    let Some(error) = error else {
        return Err(Stop::Fail(format!(
            "a pipe whose writer was cancelled ended after {} bytes",
            bytes.len()
        )));
    };
    refused(Err::<(), _>(error), &[Code::ECONNRESET], "reading where the writer was cancelled")?;
    ensure!(bytes.len() >= written, "{} bytes arrived of the {written} before the break", bytes.len());
    Ok(())
}

pub fn breaking_ends_a_blocked_read(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for discard in [true, false] {
        let (mut reader, mut writer) = case.met()?;
        let call = case.begin("a read without data", move || Ok(reader.read(&mut [0; 8])))?;
        call.waits()?;
        if discard {
            writer.finish(Finish::Discard)?;
        }
        drop(writer);
        refused(call.done()?, &[Code::ECONNRESET], "a read that waited while the writer broke")?;
    }
    Ok(())
}

pub fn a_broken_writer_breaks_the_others(subject: &Subject) -> Step {
    for discard in [true, false] {
        let case = Case::start(subject)?;
        let pair = subject.pipe(Writers::Exactly(2))?;
        let mut reader = case.reader(&pair)?;
        let (mut one, mut other) = (case.writer(&pair)?, case.writer(&pair)?);
        meet(&mut reader, &mut one)?;
        meet(&mut reader, &mut other)?;
        if discard {
            one.finish(Finish::Discard)?;
        }
        drop(one);
        let (_, error) = drain(&mut reader)?;
        ensure!(error.is_some(), "a pipe of which one writer broke ended");
        refused(error.map_or(Ok(()), Err), &[Code::ECONNRESET], "reading where one writer broke")?;
        let error = write_until_it_fails(&mut other, b"x", subject.patience)?;
        refused(Err::<(), _>(error), &[Code::ECONNRESET], "writing where another writer broke")?;
        let committed = other.finish(Finish::Commit);
        refused(committed, &[Code::ECONNRESET], "a COMMIT where another writer broke")?;
    }
    Ok(())
}
