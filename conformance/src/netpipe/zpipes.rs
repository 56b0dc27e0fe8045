//! The cases that the tests of zpipes, ZeroVM's broker, had.

use super::bytes::{at_end, ends_with, read_to_end, read_up_to, write_until_it_fails, write_whole};
use super::case::{Case, meet};
use super::deadline::{SOON, deadline};
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, refused, same};
use vfs_core::{Code, Finish};

pub fn reads_cut_what_was_written(subject: &Subject) -> Step {
    cut(subject, &[b"ABCDEFGHIJKL"], &[1, 2, 3, 3, 100], &[1, 2, 3, 3, 3])
}

pub fn reads_join_what_was_written(subject: &Subject) -> Step {
    cut(subject, &[b"CHUNK1", b"CHUNK2", b"CHUNK3"], &[1, 10, 50], &[1, 10, 7])
}

/// Writes, ENDs, and reads in these sizes. A single read may be short; all that there is of a size comes in the end.
fn cut(subject: &Subject, writes: &[&[u8]], sizes: &[usize], wanted: &[usize]) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    for bytes in writes {
        write_whole(&mut writer, bytes)?;
    }
    writer.finish(Finish::End)?;
    let mut all = Vec::new();
    for (size, wanted) in sizes.iter().zip(wanted) {
        let bytes = read_up_to(&mut reader, *size)?;
        ensure!(bytes.len() == *wanted, "asked for {size}, {} bytes came, not {wanted}", bytes.len());
        all.extend(bytes);
    }
    at_end(&mut reader)?;
    same(&all, &writes.concat(), "what arrived")
}

pub fn a_read_of_1000_gets_what_there_is(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let call = case.begin("a read of 1000 bytes", move || {
        let mut buffer = vec![0; 1000];
        let count = reader.read(&mut buffer)?;
        buffer.truncate(count);
        Ok((reader, buffer))
    })?;
    call.waits()?;
    write_whole(&mut writer, b"short")?;
    writer.finish(Finish::End)?;
    drop(writer);
    let (mut reader, mut bytes) = call.done()?;
    ensure!(!bytes.is_empty(), "the end before the data");
    bytes.extend(read_to_end(&mut reader)?);
    same(&bytes, b"short", "what a pending read of 1000 and those after it got")
}

pub fn a_new_writer_leaves_the_old_reader_alone(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    write_whole(&mut writer, b"old data")?;
    writer.finish(Finish::End)?;
    drop(writer);
    // Until its reader is at the end the pipe is the old one: the new writer is one too many, or waits for the next reader.
    let mut early = case.writer(&pair)?;
    deadline(&early, SOON);
    let outcome = early.write(b"new data");
    let waits = matches!(&outcome, Err(error) if error.code() == Code::ETIMEDOUT);
    refused(outcome, &[Code::ETIMEDOUT, Code::EBUSY], "a new writer's write before the old pipe's end")?;
    same(&read_to_end(&mut reader)?, b"old data", "what the old reader got")?;
    let mut writer = if waits { early } else { case.writer(&pair)? };
    deadline(&writer, subject.patience);
    let mut next = case.reader(&pair)?;
    ends_with(&mut writer, &mut next, b"new data", "what the next reader got")?;
    at_end(&mut reader)
}

pub fn close_with_a_call_pending(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    // A host ends the call by a cancel, and closes.
    let (mut reader, mut writer) = case.met()?;
    let control = reader.control().clone();
    let call = case.begin("a read without data", move || Ok(reader.read(&mut [0; 8])))?;
    call.cancelled(&control)?;
    let error = write_until_it_fails(&mut writer, b"x", subject.patience)?;
    refused(Err::<(), _>(error), &[Code::EPIPE], "a write after its reader was cancelled and closed")?;

    let pair = case.pipe()?;
    let mut alone = case.reader(&pair)?;
    let control = alone.control().clone();
    let call = case.begin("a read without a writer", move || Ok(alone.read(&mut [0; 8])))?;
    call.cancelled(&control)?;
    // Nothing of it is left: a new reader of the name is the only one.
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    meet(&mut reader, &mut writer)?;
    ends_with(&mut writer, &mut reader, b"", "what followed")
}
