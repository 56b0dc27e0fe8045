//! How much a pipe takes before its reader reads.

use super::bytes::{fill, noise_of, read_exactly, read_to_end, write_whole};
use super::case::Case;
use super::deadline::deadline;
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, same};
use vfs_core::Finish;

pub fn at_least_64_kib_are_buffered(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let content = noise_of(6, 64 << 10);
    let (mut reader, mut writer) = case.met()?;
    write_whole(&mut writer, &content)?;
    same(&read_exactly(&mut reader, content.len())?, &content, "what was buffered of one write")?;
    // In small writes a kilobyte may go to what each costs.
    let (mut reader, mut writer) = case.met()?;
    for chunk in content[..63 << 10].chunks(1000) {
        write_whole(&mut writer, chunk)?;
    }
    same(&read_exactly(&mut reader, 63 << 10)?, &content[..63 << 10], "what was buffered of many writes")
}

pub fn buffering_is_bounded(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for size in [1000, 64 << 10] {
        let content = noise_of(7, size);
        let (mut reader, mut writer) = case.met()?;
        let written = fill(&mut writer, &content, subject.held_max)?;
        // And it goes on as soon as the reader does.
        deadline(&writer, subject.patience);
        let call = case.begin("a write into a pipe that was full", move || {
            write_whole(&mut writer, &content)?;
            Ok(writer.finish(Finish::End)?)
        })?;
        let arrived = read_to_end(&mut reader)?;
        call.done()?;
        ensure!(arrived.len() == written + size, "{} bytes arrived of {}", arrived.len(), written + size);
    }
    Ok(())
}

pub fn a_timed_out_write_moved_nothing(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for size in [1000, 64 << 10] {
        let (mut reader, mut writer) = case.met()?;
        let content = noise_of(8, size);
        let written = fill(&mut writer, &content, subject.held_max)?;
        deadline(&writer, subject.patience);
        let call =
            case.begin("a COMMIT after a write that timed out", move || Ok(writer.finish(Finish::Commit)?))?;
        let arrived = read_to_end(&mut reader)?;
        call.done()?;
        ensure!(arrived.len() == written, "{} bytes arrived, the writes reported {written}", arrived.len());
        for chunk in arrived.chunks(size) {
            same(chunk, &content[..chunk.len()], "what arrived of writes before one timed out")?;
        }
    }
    Ok(())
}
