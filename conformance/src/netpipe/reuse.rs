//! A name that is used again: after its end a pipe is over.

use super::bytes::{at_end, drain, ends_with, noise_of, read_to_end, write_whole};
use super::case::Case;
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, same};
use vfs_core::Finish;

pub fn a_name_may_be_used_again(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    for round in 0..5 {
        let (mut reader, mut writer) = if round % 2 == 0 {
            (case.reader(&pair)?, case.writer(&pair)?)
        } else {
            let writer = case.writer(&pair)?;
            (case.reader(&pair)?, writer)
        };
        let content = noise_of(round, 1000);
        write_whole(&mut writer, &content)?;
        let call = case.begin("a COMMIT", move || Ok(writer.finish(Finish::Commit)?))?;
        same(&read_to_end(&mut reader)?, &content, "what arrived in a later round")?;
        call.done()?;
    }
    Ok(())
}

pub fn a_late_writer_waits_for_the_next_reader(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    ends_with(&mut writer, &mut reader, b"first", "what arrived")?;
    let mut late = case.writer(&pair)?;
    let call = case.begin("a late writer's write", move || {
        write_whole(&mut late, b"second")?;
        Ok(late.finish(Finish::End)?)
    })?;
    call.waits()?;
    at_end(&mut reader)?;
    let mut next = case.reader(&pair)?;
    call.done()?;
    same(&read_to_end(&mut next)?, b"second", "what the next reader got")?;
    at_end(&mut reader)
}

pub fn a_name_may_be_used_again_after_a_break(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    write_whole(&mut writer, b"part")?;
    writer.finish(Finish::Discard)?;
    drop(writer);
    let (_, error) = drain(&mut reader)?;
    ensure!(error.is_some(), "a broken pipe ended");
    drop(reader);
    let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
    ends_with(&mut writer, &mut reader, b"whole", "what the next reader got")
}
