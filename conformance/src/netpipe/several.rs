//! Several writers, and one too many at either end.

use super::bytes::{ends_with, read_exactly, read_to_end, read_up_to, times_out, write_whole};
use super::case::{Call, Case, all_done, meet};
use super::deadline::deadline;
use super::subject::{Subject, Writers};
use crate::random::Random;
use crate::step::Step;
use crate::steps::{ensure, refused, same};
use vfs_core::{Code, Finish, OpenFile, OpenFlags};

pub fn a_second_writer_is_ebusy(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    meet(&mut reader, &mut writer)?;
    refused(case.writer(&pair)?.write(b"x"), &[Code::EBUSY], "a second writer's write")?;
    refused(case.writer(&pair)?.finish(Finish::Commit), &[Code::EBUSY], "a second writer's COMMIT")?;
    // From another host too.
    let other = subject.host()?;
    let mut second = case.open(&other, &pair.writer, OpenFlags::WRITE)?;
    refused(second.write(b"x"), &[Code::EBUSY], "the write of a second writer in another host")?;
    drop(second);
    ends_with(&mut writer, &mut reader, b"still", "what the first writer wrote")
}

pub fn a_second_reader_is_ebusy(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    meet(&mut reader, &mut writer)?;
    let mut second = case.reader(&pair)?;
    refused(second.read(&mut [0; 8]), &[Code::EBUSY], "a second reader's read")?;
    drop(second);
    ends_with(&mut writer, &mut reader, b"still", "what the first reader got")
}

pub fn the_end_counts_after_as_many_ends_as_writers(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = subject.pipe(Writers::Exactly(3))?;
    let mut reader = case.reader(&pair)?;
    for round in 0..3 {
        let mut writer = case.writer(&pair)?;
        write_whole(&mut writer, &[round; 10])?;
        writer.finish(Finish::End)?;
        drop(writer);
        same(&read_exactly(&mut reader, 10)?, &[round; 10], "what a writer wrote before it ENDed")?;
        if round < 2 {
            times_out(&mut reader, "a read before all writers ENDed", |reader| reader.read(&mut [0; 8]))?;
            deadline(&reader, subject.patience);
        }
    }
    same(&read_to_end(&mut reader)?, b"", "what followed")
}

pub fn several_writers_may_come_before_the_reader(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = subject.pipe(Writers::Exactly(3))?;
    let mut calls = Vec::new();
    for number in 0..3 {
        let mut writer = case.writer(&pair)?;
        calls.push(case.begin("a write without a reader", move || {
            write_whole(&mut writer, &[number; 10])?;
            Ok(writer.finish(Finish::End)?)
        })?);
    }
    calls.iter().try_for_each(Call::waits)?;
    let mut bytes = read_to_end(&mut case.reader(&pair)?)?;
    bytes.sort_unstable();
    same(&bytes, &[[0; 10], [1; 10], [2; 10]].concat(), "what writers wrote that came first")?;
    all_done(calls, Call::done)
}

pub fn one_writer_more_than_expected_is_ebusy(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = subject.pipe(Writers::Exactly(2))?;
    let mut reader = case.reader(&pair)?;
    let (mut one, mut other) = (case.writer(&pair)?, case.writer(&pair)?);
    meet(&mut reader, &mut one)?;
    meet(&mut reader, &mut other)?;
    refused(case.writer(&pair)?.write(b"x"), &[Code::EBUSY], "a third writer's write, of two")?;
    // An END makes no room for one more: the two were these.
    one.finish(Finish::End)?;
    refused(case.writer(&pair)?.write(b"x"), &[Code::EBUSY], "a third writer's write after an END")?;
    write_whole(&mut other, b"still")?;
    other.finish(Finish::End)?;
    same(&read_to_end(&mut reader)?, b"still", "what the last writer wrote")
}

pub fn any_number_of_writers_ends_at_zero(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = subject.pipe(Writers::Any)?;
    let mut reader = case.reader(&pair)?;
    let mut writers = (0..4).map(|_| case.writer(&pair)).collect::<Step<Vec<_>>>()?;
    for writer in &mut writers {
        meet(&mut reader, writer)?;
    }
    for mut writer in writers {
        times_out(&mut reader, "a read while a writer is there", |reader| reader.read(&mut [0; 8]))?;
        deadline(&reader, subject.patience);
        write_whole(&mut writer, b"bye")?;
        same(&read_exactly(&mut reader, 3)?, b"bye", "what a writer wrote last")?;
        writer.finish(Finish::End)?;
    }
    same(&read_to_end(&mut reader)?, b"", "what followed the last END")
}

pub fn writes_arrive_whole(subject: &Subject) -> Step {
    // All of the largest; then all sizes, the largest among them.
    records(subject, |_| 64 << 10)?;
    records(subject, |random| match random.up_to(4) {
        1 => 64 << 10,
        _ => random.up_to(64 << 10) as usize,
    })
}

pub fn order_is_kept_per_writer(subject: &Subject) -> Step {
    records(subject, |random| HEAD + random.up_to(200) as usize)?;
    records(subject, |random| HEAD + random.up_to(30_000) as usize)
}

/// Writer, number and length of a record.
const HEAD: usize = 12;
const WRITERS: u32 = 4;
const RECORDS: u32 = 40;

/// Several writers write records, one a write; the reader checks each and its place among its writer's.
fn records(subject: &Subject, size: fn(&mut Random) -> usize) -> Step {
    let case = Case::start(subject)?;
    let pair = subject.pipe(Writers::Exactly(WRITERS))?;
    let mut reader = case.reader(&pair)?;
    let mut calls = Vec::new();
    for number in 0..WRITERS {
        let writer = case.writer(&pair)?;
        calls.push(case.begin("a writer of records", move || write_records(writer, number, size))?);
    }
    let mut next = [0; WRITERS as usize];
    loop {
        let head = read_up_to(&mut reader, HEAD)?;
        if head.is_empty() {
            break;
        }
        ensure!(head.len() == HEAD, "the pipe ended within a record");
        let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (number, record, length) = (field(0), field(4), field(8) as usize);
        ensure!(number < WRITERS && length <= 64 << 10, "two writes are mixed: {head:?} is no record's head");
        let body = read_exactly(&mut reader, length.saturating_sub(HEAD))?;
        let odd = body.iter().any(|byte| *byte != tag(number, record));
        ensure!(!odd, "two writes are mixed in record {record} of writer {number}, of {length} bytes");
        let due = next[number as usize];
        ensure!(record == due, "record {record} of writer {number} arrived when {due} was due");
        next[number as usize] += 1;
    }
    ensure!(next == [RECORDS; WRITERS as usize], "{next:?} records arrived, {RECORDS} of each were written");
    all_done(calls, Call::done)
}

fn write_records(mut writer: OpenFile, number: u32, size: fn(&mut Random) -> usize) -> Step {
    let mut random = Random(u64::from(number));
    for record in 0..RECORDS {
        let length = size(&mut random).max(HEAD);
        let mut bytes = vec![tag(number, record); length];
        bytes[0..4].copy_from_slice(&number.to_le_bytes());
        bytes[4..8].copy_from_slice(&record.to_le_bytes());
        bytes[8..12].copy_from_slice(&(length as u32).to_le_bytes());
        let count = writer.write(&bytes)?;
        ensure!(count == length, "a write of {length} bytes is short: {count}");
    }
    Ok(writer.finish(Finish::Commit)?)
}

fn tag(number: u32, record: u32) -> u8 {
    (number * 61 + record * 7 + 1) as u8
}
