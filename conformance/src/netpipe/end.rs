//! How a pipe ends well: END, the end that a reader sees, SYNC and COMMIT.

use super::bytes::{at_end, ends_with, fill, noise_of, read_exactly, read_to_end, write_whole};
use super::case::{Case, meet};
use super::deadline::deadline;
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, same};
use vfs_core::{Finish, Flush, OpenFlags};

pub fn end_is_zero_and_stays(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let content = noise_of(1, 10_000);
    ends_with(&mut writer, &mut reader, &content, "what arrived before the end")?;
    at_end(&mut reader)?;
    drop(writer);
    at_end(&mut reader)
}

pub fn end_before_any_reader_returns_and_is_delivered(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    let call = case.begin("END without a reader", move || {
        writer.finish(Finish::End)?;
        Ok(writer)
    })?;
    drop(call.done()?);
    let mut reader = case.reader(&pair)?;
    same(&read_to_end(&mut reader)?, b"", "what arrived from a writer that ENDed")?;
    at_end(&mut reader)?;

    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    writer.finish(Finish::End)?;
    let call =
        case.begin("a COMMIT after END, without a reader", move || Ok(writer.finish(Finish::Commit)?))?;
    call.waits()?;
    let mut reader = case.reader(&pair)?;
    same(&read_to_end(&mut reader)?, b"", "what arrived from a writer that ENDed")?;
    call.done()
}

pub fn end_and_push_never_wait(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let bytes = noise_of(2, 10_000);
    let written = fill(&mut writer, &bytes, subject.held_max)?;
    // With a deadline in force, a call that waits fails; without it, it would hang.
    deadline(&writer, subject.patience);
    let call = case.begin("PUSH and END into a full pipe", move || {
        writer.flush(Flush::Push)?;
        writer.finish(Finish::End)?;
        Ok(())
    })?;
    call.done()?;
    let arrived = read_to_end(&mut reader)?;
    ensure!(arrived.len() == written, "{} bytes arrived of {written}", arrived.len());
    Ok(())
}

pub fn data_arrives_after_end_and_close(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let content = noise_of(3, 60_000);
    write_whole(&mut writer, &content)?;
    writer.finish(Finish::End)?;
    drop(writer);
    same(&read_to_end(&mut reader)?, &content, "what arrived from a writer that had ENDed and closed")
}

pub fn stopping_delivers_what_was_ended(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut reader = case.reader(&pair)?;
    let leaving = subject.host()?;
    let mut writer = case.open(&leaving, &pair.writer, OpenFlags::WRITE)?;
    meet(&mut reader, &mut writer)?;
    let content = noise_of(4, 60_000);
    write_whole(&mut writer, &content)?;
    writer.finish(Finish::End)?;
    let call = case.begin("close and the stop of a host", move || {
        drop(writer);
        // The last clone of the registry stops its instances.
        drop(leaving);
        Ok(())
    })?;
    // It may wait for the reader, for 5 s, or be over: the data arrive either way.
    let call = call.given_a_moment()?;
    same(&read_to_end(&mut reader)?, &content, "what arrived from a host that stopped after END")?;
    call.done()
}

pub fn commit_waits_for_a_reader(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    let call = case.begin("a COMMIT without a reader", move || Ok(writer.finish(Finish::Commit)?))?;
    call.waits()?;
    let mut reader = case.reader(&pair)?;
    same(&read_to_end(&mut reader)?, b"", "what arrived")?;
    call.done()
}

pub fn commit_waits_until_all_is_taken(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    write_whole(&mut writer, b"bytes")?;
    let call = case.begin("a COMMIT of what nobody has taken", move || Ok(writer.finish(Finish::Commit)?))?;
    call.waits()?;
    read_exactly(&mut reader, 4)?;
    call.waits()?;
    same(&read_to_end(&mut reader)?, b"s", "what was left")?;
    call.done()
}

pub fn commit_is_done_with_the_last_byte(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    write_whole(&mut writer, b"bytes")?;
    let call = case.begin("a COMMIT of what was taken", move || Ok(writer.finish(Finish::Commit)?))?;
    // It knows how much comes, and closes when it has it.
    read_exactly(&mut reader, 5)?;
    drop(reader);
    call.done()
}

pub fn commit_needs_no_read_of_the_end(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    write_whole(&mut writer, b"bytes")?;
    let call = case.begin("a COMMIT of what was taken", move || Ok(writer.finish(Finish::Commit)?))?;
    read_exactly(&mut reader, 5)?;
    call.done()?;
    same(&read_to_end(&mut reader)?, b"", "what followed")
}

pub fn sync_waits_until_all_is_taken(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    for round in 0..3 {
        write_whole(&mut writer, &[round; 100])?;
        let call = case.begin("a SYNC of what nobody has taken", move || {
            writer.flush(Flush::Sync)?;
            Ok(writer)
        })?;
        call.waits()?;
        same(&read_exactly(&mut reader, 100)?, &[round; 100], "what arrived before SYNC")?;
        writer = call.done()?;
    }
    ends_with(&mut writer, &mut reader, b"", "what arrived after SYNC")
}
