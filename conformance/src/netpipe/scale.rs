//! Many pipes in one process.

use super::bytes::{at_end, read_exactly, write_whole};
use super::case::Case;
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, same, skip};
use std::fs;
use vfs_core::Finish;

const PIPES: usize = 200;
/// Whatever a back-end starts for its first pipes is there after these.
const FIRST: usize = 10;

pub fn many_pipes_need_few_threads(subject: &Subject) -> Step {
    let Ok(_) = fs::read_dir(TASKS) else { return skip(format!("there is no {TASKS}")) };
    let case = Case::start(subject)?;
    let (mut ends, mut before) = (Vec::with_capacity(PIPES), 0);
    for number in 0..PIPES {
        let pair = case.pipe()?;
        let (mut reader, mut writer) = (case.reader(&pair)?, case.writer(&pair)?);
        reader.control().set_deadline(None);
        writer.control().set_deadline(None);
        let bytes = number.to_le_bytes();
        write_whole(&mut writer, &bytes)?;
        same(&read_exactly(&mut reader, bytes.len())?, &bytes, "what arrived in one of many pipes")?;
        ends.push((reader, writer));
        if number + 1 == FIRST {
            before = threads()?;
        }
    }
    let more = threads()?.saturating_sub(before);
    let allowed = subject.threads_max;
    ensure!(more <= allowed, "{more} threads more for {PIPES} pipes than for {FIRST}; {allowed} are allowed");
    // All are still alive.
    for (number, (reader, writer)) in ends.iter_mut().enumerate() {
        write_whole(writer, b"last")?;
        writer.finish(Finish::End)?;
        let bytes = read_exactly(reader, 4)?;
        ensure!(bytes == b"last", "{bytes:?} arrived in pipe {number}");
        at_end(reader)?;
    }
    Ok(())
}

const TASKS: &str = "/proc/self/task";

fn threads() -> Step<usize> {
    Ok(fs::read_dir(TASKS)?.count())
}
