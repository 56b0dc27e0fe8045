//! What the tests of ZeroVM had several sessions do over pipes.

use super::bytes::{expect_noise, finish_all, noise, read_up_to, write_noise, write_whole};
use super::case::{Call, Case, all_done};
use super::subject::{Subject, Writers};
use crate::random::Random;
use crate::step::Step;
use crate::steps::ensure;
use std::thread;
use std::time::Duration;
use vfs_core::{Finish, OpenFile, OpenFlags, copy};

/// Odd, so that it divides nothing.
const CHUNK: usize = 99_991;

pub fn two_hops_with_a_slow_last_node(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let total = subject.transfer;
    let (first, second) = (case.pipe()?, case.pipe()?);
    let middle = subject.host()?;
    let mut source = case.writer(&first)?;
    let mut from = case.open(&middle, &first.reader, OpenFlags::READ)?;
    let mut to = case.open(&middle, &second.writer, OpenFlags::WRITE)?;
    let mut sink = case.reader(&second)?;
    for file in [&source, &from, &to, &sink] {
        // As long as it takes; the check's own bound ends it.
        file.control().set_deadline(None);
    }
    let calls = [
        case.begin("the first node", move || {
            write_noise(&mut source, 19, total, CHUNK)?;
            Ok(source.finish(Finish::Commit)?)
        })?,
        case.begin("the middle node", move || {
            pass_on_at_random(&mut from, &mut to)?;
            Ok(to.finish(Finish::Commit)?)
        })?,
        case.begin("the last node", move || {
            let mut reads = 0_u32;
            expect_noise(&mut sink, 19, total, CHUNK, || {
                reads += 1;
                if reads.is_multiple_of(32) {
                    // Not to wait for anything: this is what makes the node slower than those before it.
                    thread::sleep(Duration::from_millis(1));
                }
            })
        })?,
    ];
    all_done(calls, Call::done_at_last)
}

fn pass_on_at_random(from: &mut OpenFile, to: &mut OpenFile) -> Step {
    let (mut random, mut buffer) = (Random(7), vec![0; CHUNK]);
    loop {
        let asked = random.up_to(CHUNK as u64) as usize;
        match from.read(&mut buffer[..asked])? {
            0 => return Ok(()),
            count => write_whole(to, &buffer[..count])?,
        }
    }
}

pub fn bunch_in(subject: &Subject) -> Step {
    const EACH: usize = 300_000;
    for number in [2, 3, 9] {
        let case = Case::start(subject)?;
        let pair = subject.pipe(Writers::Exactly(number))?;
        let mut reader = case.reader(&pair)?;
        let mut calls = Vec::new();
        for seed in 0..number {
            let mut writer = case.writer(&pair)?;
            calls.push(case.begin("a writer of the bunch", move || {
                let mut bytes = [0; 1000];
                for at in (0..EACH).step_by(bytes.len()) {
                    // The first byte says whose block it is.
                    noise(u64::from(seed), at as u64, &mut bytes);
                    bytes[0] = seed as u8;
                    write_whole(&mut writer, &bytes)?;
                }
                Ok(writer.finish(Finish::Commit)?)
            })?);
        }
        let mut at = vec![0; number as usize];
        loop {
            let block = read_up_to(&mut reader, 1000)?;
            if block.is_empty() {
                break;
            }
            let from = usize::from(block[0]);
            ensure!(block.len() == 1000 && from < at.len(), "a block of the bunch that nobody wrote");
            let mut wanted = [0; 1000];
            noise(from as u64, at[from] as u64, &mut wanted);
            ensure!(block[1..] == wanted[1..], "writer {from}'s block at {} is another", at[from]);
            at[from] += 1000;
        }
        ensure!(at.iter().all(|at| *at == EACH), "{at:?} bytes came of {EACH} from each");
        all_done(calls, Call::done)?;
    }
    Ok(())
}

pub fn bunch_out(subject: &Subject) -> Step {
    const EACH: u64 = 2_000_000;
    let case = Case::start(subject)?;
    let (mut writers, mut calls) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let pair = case.pipe()?;
        writers.push(case.writer(&pair)?);
        // Each in a host of its own.
        let host = subject.host()?;
        let mut reader = case.open(&host, &pair.reader, OpenFlags::READ)?;
        calls.push(case.begin("a reader of the bunch", move || {
            let outcome = expect_noise(&mut reader, 21, EACH, CHUNK, || {});
            drop((reader, host));
            outcome
        })?);
    }
    calls.push(case.begin("the writer to the bunch", move || {
        let mut bytes = vec![0; 10_000];
        for at in (0..EACH).step_by(bytes.len()) {
            noise(21, at, &mut bytes);
            writers.iter_mut().try_for_each(|writer| write_whole(writer, &bytes))?;
        }
        finish_all(&mut writers, Finish::End)?;
        finish_all(&mut writers, Finish::Commit)
    })?);
    all_done(calls, Call::done)
}

pub fn a_pipe_is_passed_on_by_copy(subject: &Subject) -> Step {
    const TOTAL: u64 = 3_000_000;
    let case = Case::start(subject)?;
    let (first, second) = (case.pipe()?, case.pipe()?);
    let middle = subject.host()?;
    let mut from = case.open(&middle, &first.reader, OpenFlags::READ)?;
    let mut to = case.open(&middle, &second.writer, OpenFlags::WRITE)?;
    let (mut source, mut sink) = (case.writer(&first)?, case.reader(&second)?);
    let calls = [
        case.begin("the session that reads the file", move || {
            write_noise(&mut source, 22, TOTAL, CHUNK)?;
            Ok(source.finish(Finish::Commit)?)
        })?,
        case.begin("the copy", move || {
            let mut told = 0;
            let count = copy(&mut from, &mut to, None, &mut |done| told = done)?;
            ensure!(count == TOTAL, "copy counts {count} bytes of {TOTAL}");
            ensure!(told <= TOTAL, "copy tells of {told} bytes of {TOTAL}");
            drop(from);
            Ok(to.finish(Finish::Commit)?)
        })?,
        case.begin("the session that writes the file", move || {
            expect_noise(&mut sink, 22, TOTAL, CHUNK, || {})
        })?,
    ];
    all_done(calls, Call::done)
}
