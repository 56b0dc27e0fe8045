//! Random sequences of calls, each held against one model of the header's words: position, size and content, what an end leaves
//! possible, and what a cancel and a deadline forbid. As a program makes them, through a registry.

mod model;
mod run;

use crate::hosted::Hosted;
use crate::random::Random;
use crate::step::{Step, Stop};
use crate::steps::{sample, skip};
use crate::subject::{Subject, Targets};
use model::Model;
use run::Run;
use std::env;
use vfs_core::{Code, Control, OpenFlags};

/// Another sequence than the usual one: a number.
const SEED: &str = "ZVFS_SEED";
/// Sequences of each kind of open, and calls of each: seconds over a network, milliseconds in memory.
const SEQUENCES: usize = 16;
const CALLS: usize = 24;
/// Bytes that are there before.
const BEFORE: u64 = 3000;

type Opened<'a> = Step<Option<Run<'a>>>;

pub fn calls_follow_one_model(subject: &Subject) -> Step {
    let hosted = Hosted::start(subject)?;
    let seed = env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let mut tried = 0;
    let kinds: [for<'a> fn(&'a Hosted<'a>, &mut Random) -> Opened<'a>; 3] = [reader, writer, both];
    for kind in kinds {
        for number in 0..SEQUENCES {
            let opened = match kind(&hosted, &mut random) {
                // Nothing of this kind is there.
                Err(Stop::Skip(_)) => break,
                opened => opened?,
            };
            let Some(mut run) = opened else { continue };
            tried += 1;
            let outcome = (0..CALLS).try_for_each(|_| run.call(&mut random));
            let described = run.described();
            let outcome = outcome.and_then(|()| run.close());
            outcome.map_err(|stop| match stop {
                Stop::Fail(how) | Stop::Lost(how) => {
                    Stop::Fail(format!("{described}: {how} ({SEED}={seed}, sequence {number})"))
                }
                skipped => skipped,
            })?;
        }
    }
    if tried == 0 { skip("nothing could be opened for it") } else { Ok(()) }
}

/// A file open for reading, with all of its content.
fn reader<'a>(hosted: &'a Hosted<'a>, random: &mut Random) -> Opened<'a> {
    let case = &hosted.case;
    case.needs(OpenFlags::READ)?;
    let (descriptor, content) = case.source(&sample(random.up_to(BEFORE) as usize))?;
    let control = Control::new();
    let file = hosted.open(&control, &descriptor, OpenFlags::READ)?;
    let model = Model { before: Some(content.clone()), as_written: false, ..Model::new(content) };
    Ok(Some(Run::new(case, file, control, descriptor, OpenFlags::READ, model)))
}

/// A file open for writing only.
fn writer<'a>(hosted: &'a Hosted<'a>, random: &mut Random) -> Opened<'a> {
    hosted.case.needs(OpenFlags::WRITE)?;
    match hosted.case.subject.targets {
        Some(Targets::Sinks(_)) => sink(hosted),
        _ => target(hosted, random, OpenFlags::WRITE),
    }
}

/// A file open in both directions.
fn both<'a>(hosted: &'a Hosted<'a>, random: &mut Random) -> Opened<'a> {
    hosted.case.needs(OpenFlags::READ | OpenFlags::WRITE)?;
    target(hosted, random, OpenFlags::READ | OpenFlags::WRITE)
}

/// What takes bytes, and may keep nothing.
fn sink<'a>(hosted: &'a Hosted<'a>) -> Opened<'a> {
    let (case, control) = (&hosted.case, Control::new());
    let (descriptor, flags) = (case.target()?, case.write_flags());
    let file = hosted.open(&control, &descriptor, flags)?;
    let model = Model { keeps: false, ..Model::new(Vec::new()) };
    Ok(Some(Run::new(case, file, control, descriptor, flags, model)))
}

/// A name that is there or not, with the flags that the provider has. `None`: not these flags at once.
fn target<'a>(hosted: &'a Hosted<'a>, random: &mut Random, directions: OpenFlags) -> Opened<'a> {
    let (case, control) = (&hosted.case, Control::new());
    let may = |random: &mut Random, flag| case.supports(flag) && random.up_to(2) == 1;
    let mut flags = directions | case.write_flags();
    let before = match random.up_to(2) {
        1 => Some(sample(random.up_to(BEFORE) as usize)),
        _ => None,
    };
    // One that does not know TRUNCATE replaces the whole.
    let keeps_old = may(random, OpenFlags::TRUNCATE);
    if keeps_old {
        flags = flags.without(OpenFlags::TRUNCATE);
        if may(random, OpenFlags::APPEND) {
            flags |= OpenFlags::APPEND;
        }
    } else if may(random, OpenFlags::ATOMIC) {
        flags |= OpenFlags::ATOMIC;
    }
    let descriptor = match &before {
        Some(content) => case.written(content)?,
        None => case.absent()?,
    };
    let file = match hosted.open(&control, &descriptor, flags) {
        Err(error) if error.code() == Code::ENOTSUP => return Ok(None),
        opened => opened?,
    };
    let content = if keeps_old { before.clone().unwrap_or_default() } else { Vec::new() };
    let model = Model { before, ..Model::new(content) };
    Ok(Some(Run::new(case, file, control, descriptor, flags, model)))
}
