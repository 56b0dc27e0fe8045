//! Waiting for the other side, and what ends a wait: the other side, the deadline, a cancel.

use super::bytes::{ends_with, fill, read_exactly, read_to_end, times_out, write_whole};
use super::case::{Case, SLACK, meet};
use super::deadline::{SOON, deadline};
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, refused, same};
use std::time::Instant;
use vfs_core::{Code, Finish, OpenFile};

pub fn write_waits_for_a_reader_to_open(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    let call = case.begin("a write without a reader", move || {
        write_whole(&mut writer, b"bytes")?;
        Ok(writer)
    })?;
    call.waits()?;
    let mut reader = case.reader(&pair)?;
    // It does not read yet: that it is open is enough.
    let mut writer = call.done()?;
    write_whole(&mut writer, b" more")?;
    writer.finish(Finish::End)?;
    same(&read_to_end(&mut reader)?, b"bytes more", "what arrived")
}

pub fn write_without_reader_times_out(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut writer = case.writer(&pair)?;
    times_out(&mut writer, "a write without a reader", |writer| writer.write(b"bytes"))?;
    deadline(&writer, subject.patience);
    let mut reader = case.reader(&pair)?;
    ends_with(&mut writer, &mut reader, b"bytes", "what arrived of a write that had timed out")
}

pub fn write_without_reader_is_cancelled(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer(&case.pipe()?)?;
    let control = writer.control().clone();
    let call = case.begin("a write without a reader", move || Ok(writer.write(b"bytes")))?;
    call.cancelled(&control)
}

pub fn write_into_a_full_pipe_is_cancelled(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (_reader, mut writer) = case.met()?;
    let bytes = vec![7; 64 << 10];
    fill(&mut writer, &bytes, subject.held_max)?;
    deadline(&writer, subject.patience);
    let control = writer.control().clone();
    let call = case.begin("a write into a full pipe", move || {
        loop {
            if let Err(error) = writer.write(&bytes) {
                return Ok(Err::<(), _>(error));
            }
        }
    })?;
    call.cancelled(&control)
}

pub fn read_waits_for_data(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (reader, mut writer) = case.met()?;
    let call = case.begin("a read without data", read_once(reader))?;
    call.waits()?;
    write_whole(&mut writer, b"late")?;
    let (reader, bytes) = call.done()?;
    same(&bytes, b"late", "what a waiting read got")?;
    let call = case.begin("a read before the end", read_once(reader))?;
    call.waits()?;
    writer.finish(Finish::End)?;
    let (_, bytes) = call.done()?;
    same(&bytes, b"", "what a read that waited for the end got")
}

fn read_once(mut reader: OpenFile) -> impl FnOnce() -> Step<(OpenFile, Vec<u8>)> {
    move || {
        let mut buffer = vec![0; 100];
        let count = reader.read(&mut buffer)?;
        buffer.truncate(count);
        Ok((reader, buffer))
    }
}

pub fn read_without_data_times_out(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut reader = case.reader(&pair)?;
    times_out(&mut reader, "a read without a writer", |reader| reader.read(&mut [0; 8]))?;
    deadline(&reader, subject.patience);
    let mut writer = case.writer(&pair)?;
    meet(&mut reader, &mut writer)?;
    times_out(&mut reader, "a read without data", |reader| reader.read(&mut [0; 8]))?;
    deadline(&reader, subject.patience);
    ends_with(&mut writer, &mut reader, b"bytes", "what a reader got after its deadlines")
}

pub fn read_without_data_is_cancelled(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut alone = case.reader(&case.pipe()?)?;
    let control = alone.control().clone();
    case.begin("a read without a writer", move || Ok(alone.read(&mut [0; 8])))?.cancelled(&control)?;
    let (mut reader, _writer) = case.met()?;
    let control = reader.control().clone();
    case.begin("a read without data", move || Ok(reader.read(&mut [0; 8])))?.cancelled(&control)
}

pub fn partial_arrival_keeps_the_deadline(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (mut reader, mut writer) = case.met()?;
    let limit = SOON * 4;
    let start = Instant::now();
    deadline(&reader, limit);
    let call = case.begin("a read of 100 bytes of which one came", move || {
        let mut came = 0;
        loop {
            match reader.read(&mut [0; 100]) {
                Ok(count) => came += count,
                Err(error) => return Ok((came, error, reader)),
            }
        }
    })?;
    write_whole(&mut writer, b"1")?;
    let (came, error, mut reader) = call.done()?;
    let took = start.elapsed();
    refused(Err::<(), _>(error), &[Code::ETIMEDOUT], "a read after a partial arrival")?;
    // A machine that sleeps through the deadline delivers the byte after it.
    ensure!(came <= 1, "{came} bytes arrived of one");
    ensure!(took >= limit && took < limit + SLACK, "the deadline of {limit:?} came after {took:?}");
    deadline(&reader, subject.patience);
    write_whole(&mut writer, b"23")?;
    let rest = read_exactly(&mut reader, 3 - came)?;
    same(&rest, &b"123"[came..], "what arrived after the deadline")
}

pub fn commit_is_ended_by_deadline_and_cancel(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut alone = case.writer(&case.pipe()?)?;
    times_out(&mut alone, "a COMMIT without a reader", |alone| alone.finish(Finish::Commit))?;
    let (_reader, mut writer) = case.met()?;
    write_whole(&mut writer, b"bytes")?;
    times_out(&mut writer, "a COMMIT of what nobody takes", |writer| writer.finish(Finish::Commit))?;

    let mut alone = case.writer(&case.pipe()?)?;
    let control = alone.control().clone();
    let call = case.begin("a COMMIT without a reader", move || Ok(alone.finish(Finish::Commit)))?;
    call.cancelled(&control)?;
    let (_reader, mut writer) = case.met()?;
    write_whole(&mut writer, b"bytes")?;
    let control = writer.control().clone();
    let call = case.begin("a COMMIT of what nobody takes", move || Ok(writer.finish(Finish::Commit)))?;
    call.cancelled(&control)
}

pub fn writer_may_open_while_the_reader_is_blocked(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let call = case.begin("a read without a writer", read_once(case.reader(&pair)?))?;
    call.waits()?;
    let mut writer = case.writer(&pair)?;
    write_whole(&mut writer, b"came")?;
    let (mut reader, bytes) = call.done()?;
    same(&bytes, b"came", "what the blocked read got")?;
    ends_with(&mut writer, &mut reader, b"", "what followed")
}

pub fn idle_ends_do_not_expire(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let silence = subject.silence;
    let reader = case.reader(&pair)?;
    deadline(&reader, silence * 2 + subject.patience);
    let call = case.begin("a read without a writer", read_once(reader))?;
    call.waits_for(silence)?;
    let mut writer = case.writer(&pair)?;
    deadline(&writer, silence + subject.patience);
    write_whole(&mut writer, b"1")?;
    let (reader, bytes) = call.done()?;
    same(&bytes, b"1", "what came after a silence")?;
    let call = case.begin("a read without data", read_once(reader))?;
    call.waits_for(silence)?;
    write_whole(&mut writer, b"2")?;
    same(&call.done()?.1, b"2", "what came after another silence")
}
