//! Sessions that wait for each other, and must come to their ends.

use super::bytes::{ends_with, finish_all, noise_of, read_exactly, read_to_end, read_up_to, write_whole};
use super::case::{Call, Case, all_done};
use super::subject::Subject;
use crate::random::Random;
use crate::step::Step;
use crate::steps::{ensure, same};
use vfs_core::{Finish, Flush, OpenFile, OpenFlags};

pub fn both_sides_may_write_first(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (there, back) = (case.pipe()?, case.pipe()?);
    let sides = [
        (case.writer(&there)?, case.open(&case.writing, &back.reader, OpenFlags::READ)?, 1, 2),
        (case.open(&case.reading, &back.writer, OpenFlags::WRITE)?, case.reader(&there)?, 2, 1),
    ];
    let mut calls = Vec::new();
    for (mut writer, mut reader, ours, theirs) in sides {
        calls.push(case.begin("a side that writes first", move || {
            write_whole(&mut writer, &noise_of(ours, 64 << 10))?;
            writer.finish(Finish::End)?;
            same(&read_to_end(&mut reader)?, &noise_of(theirs, 64 << 10), "what the other side wrote first")?;
            drop(reader);
            Ok(writer.finish(Finish::Commit)?)
        })?);
    }
    all_done(calls, Call::done)
}

pub fn request_and_response_a_thousand_times(subject: &Subject) -> Step {
    const ROUNDS: u32 = 1000;
    let case = Case::start(subject)?;
    let (there, back) = (case.pipe()?, case.pipe()?);
    let mut requests = case.writer(&there)?;
    let mut responses = case.open(&case.writing, &back.reader, OpenFlags::READ)?;
    let mut taken = case.reader(&there)?;
    let mut given = case.open(&case.reading, &back.writer, OpenFlags::WRITE)?;
    for file in [&requests, &responses, &taken, &given] {
        // The check's own bound does.
        file.control().set_deadline(None);
    }
    let server = case.begin("the side that responds", move || {
        loop {
            let request = read_up_to(&mut taken, 64)?;
            if request.is_empty() {
                return Ok(given.finish(Finish::End)?);
            }
            let response: Vec<u8> = request.iter().map(|byte| !byte).collect();
            write_whole(&mut given, &response)?;
            given.flush(Flush::Push)?;
        }
    })?;
    let client = case.begin("the side that requests", move || {
        for round in 0..ROUNDS {
            let request = noise_of(u64::from(round), 64);
            write_whole(&mut requests, &request)?;
            // What is taken is waited for now and then: each time would measure how soon readers report.
            requests.flush(if round % 100 == 0 { Flush::Sync } else { Flush::Push })?;
            let response: Vec<u8> = request.iter().map(|byte| !byte).collect();
            same(&read_exactly(&mut responses, 64)?, &response, "a response")?;
        }
        requests.finish(Finish::End)?;
        same(&read_to_end(&mut responses)?, b"", "what followed the last response")
    })?;
    client.done_at_last()?;
    server.done_at_last()
}

pub fn a_ring_of_three_ends(subject: &Subject) -> Step {
    const ROUNDS: u32 = 100;
    let case = Case::start(subject)?;
    let hosts = [case.reading.clone(), case.writing.clone(), subject.host()?];
    let pipes = [case.pipe()?, case.pipe()?, case.pipe()?];
    let mut calls = Vec::new();
    for (at, host) in hosts.iter().enumerate() {
        let mut reader = case.open(host, &pipes[(at + 2) % 3].reader, OpenFlags::READ)?;
        let mut writer = case.open(host, &pipes[at].writer, OpenFlags::WRITE)?;
        calls.push(case.begin("a node of the ring", move || {
            if at == 0 {
                for round in 0..ROUNDS {
                    write_whole(&mut writer, &round.to_le_bytes())?;
                    same(&read_exactly(&mut reader, 4)?, &round.to_le_bytes(), "what came round")?;
                }
                ends_with(&mut writer, &mut reader, b"", "what came round last")?;
            } else {
                pass_on(&mut reader, &mut writer)?;
                writer.finish(Finish::End)?;
            }
            // As a session ends: END on what it writes, its readers closed, then COMMIT.
            drop(reader);
            Ok(writer.finish(Finish::Commit)?)
        })?);
    }
    all_done(calls, Call::done)
}

fn pass_on(reader: &mut OpenFile, writer: &mut OpenFile) -> Step {
    let mut buffer = [0; 100];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            count => write_whole(writer, &buffer[..count])?,
        }
    }
}

pub fn a_mesh_of_16_by_16_ends(subject: &Subject) -> Step {
    const SIDE: usize = 16;
    const RECORDS: u64 = 50;
    let case = Case::start(subject)?;
    let mut readers: Vec<Vec<OpenFile>> = (0..SIDE).map(|_| Vec::new()).collect();
    let mut writers: Vec<Vec<OpenFile>> = (0..SIDE).map(|_| Vec::new()).collect();
    for mapper in &mut writers {
        for reducer in &mut readers {
            let pair = case.pipe()?;
            mapper.push(case.writer(&pair)?);
            reducer.push(case.reader(&pair)?);
        }
    }
    for file in readers.iter().chain(&writers).flatten() {
        file.control().set_deadline(None);
    }
    let mut calls = Vec::new();
    for (number, mut mapper) in writers.into_iter().enumerate() {
        calls.push(case.begin("a mapper", move || {
            // Each record to any reducer, as a hash would have it; each reducer gets as many.
            for record in 0..RECORDS {
                for step in 0..SIDE {
                    let to = (step * 7 + number + record as usize) % SIDE;
                    write_whole(&mut mapper[to], &record_of(number, to, record))?;
                }
            }
            finish_all(&mut mapper, Finish::End)?;
            finish_all(&mut mapper, Finish::Commit)
        })?);
    }
    for (number, mut reducer) in readers.into_iter().enumerate() {
        calls.push(case.begin("a reducer", move || {
            for (from, reader) in reducer.iter_mut().enumerate() {
                for record in 0..RECORDS {
                    let wanted = record_of(from, number, record);
                    same(&read_exactly(reader, wanted.len())?, &wanted, "a record of the mesh")?;
                }
                let rest = read_to_end(reader)?;
                ensure!(rest.is_empty(), "{} bytes after the last record of the mesh", rest.len());
            }
            Ok(())
        })?);
    }
    all_done(calls, Call::done_at_last)
}

fn record_of(from: usize, to: usize, record: u64) -> Vec<u8> {
    let seed = (from * 1000 + to) as u64 * 1000 + record;
    noise_of(seed, 10 + Random(seed).up_to(90) as usize)
}
