//! A reader that closes before the end.

use super::bytes::{read_exactly, write_until_it_fails, write_whole};
use super::case::Case;
use super::subject::Subject;
use crate::step::Step;
use crate::steps::refused;
use vfs_core::{Code, Finish, Flush};

pub fn reader_close_ends_a_blocked_write(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (reader, mut writer) = case.met()?;
    let patience = subject.patience;
    let call = case.begin("a write into a full pipe", move || {
        write_until_it_fails(&mut writer, &[0; 60_000], patience)
    })?;
    call.waits()?;
    drop(reader);
    refused(Err::<(), _>(call.done()?), &[Code::EPIPE], "a write that waited while its reader closed")
}

pub fn reader_close_fails_the_next_write(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (reader, mut writer) = case.met()?;
    drop(reader);
    // The news takes its time; what is written until then is lost, and COMMIT says so.
    let error = write_until_it_fails(&mut writer, b"x", subject.patience)?;
    refused(Err::<(), _>(error), &[Code::EPIPE], "a write after its reader closed")?;
    refused(writer.write(b"x"), &[Code::EPIPE], "the write after that")?;
    refused(writer.finish(Finish::Commit), &[Code::EPIPE], "a COMMIT after its reader closed")
}

pub fn reader_close_fails_commit_and_sync(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for commit in [true, false] {
        let (reader, mut writer) = case.met()?;
        write_whole(&mut writer, b"never taken")?;
        let what = "a COMMIT or SYNC of what nobody takes";
        let call = case.begin(what, move || {
            Ok(if commit { writer.finish(Finish::Commit) } else { writer.flush(Flush::Sync) })
        })?;
        call.waits()?;
        drop(reader);
        refused(call.done()?, &[Code::EPIPE], "a COMMIT or SYNC that waited while its reader closed")?;
    }
    Ok(())
}

pub fn reader_that_takes_less_ends_the_writer(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let more = vec![1; subject.held_max + (1 << 20)];
    let call = case.begin("a write of more than its reader takes", move || Ok(writer.write_all(&more)))?;
    read_exactly(&mut reader, 100_000)?;
    call.waits()?;
    drop(reader);
    refused(call.done()?, &[Code::EPIPE], "a write of more than its reader took")?;

    // So little more that it was written long before the reader closed: COMMIT knows.
    let (mut reader, mut writer) = case.met()?;
    write_whole(&mut writer, &[1; 1000])?;
    read_exactly(&mut reader, 999)?;
    drop(reader);
    refused(writer.finish(Finish::Commit), &[Code::EPIPE], "a COMMIT of one byte more than its reader took")
}
