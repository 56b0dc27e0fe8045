//! Opening: at once, either side first, in one direction.

use super::bytes::ends_with;
use super::case::{Case, meet};
use super::subject::Subject;
use crate::step::Step;
use crate::steps::{ensure, refused};
use std::time::Instant;
use vfs_core::{Capabilities, Code, OpenFlags, OpenOptions};

pub fn open_returns_at_once(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for (flags, what) in [
        (OpenFlags::READ, "opening the reading end alone"),
        (OpenFlags::WRITE, "opening the writing end alone"),
    ] {
        let pair = case.pipe()?;
        let (host, descriptor) = match flags {
            OpenFlags::READ => (case.reading.clone(), pair.reader),
            _ => (case.writing.clone(), pair.writer),
        };
        let start = Instant::now();
        // Kept until here: a close would be one more thing that could wait.
        let file = case.begin(what, move || Ok(host.open(&descriptor, &OpenOptions::new(flags))?))?.done()?;
        let took = start.elapsed();
        ensure!(took < subject.patience, "{what} took {took:?}");
        drop(file);
    }
    Ok(())
}

pub fn either_side_may_be_first(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for writer_first in [true, false] {
        let pair = case.pipe()?;
        let (mut reader, mut writer) = if writer_first {
            let writer = case.writer(&pair)?;
            (case.reader(&pair)?, writer)
        } else {
            (case.reader(&pair)?, case.writer(&pair)?)
        };
        ends_with(&mut writer, &mut reader, b"hello", "what arrived")?;
    }
    Ok(())
}

pub fn both_ends_may_be_in_one_host(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for writer_first in [true, false] {
        let pair = case.pipe()?;
        let early = if writer_first { Some(case.writer(&pair)?) } else { None };
        let mut reader = case.open(&case.writing, &pair.reader, OpenFlags::READ)?;
        let mut writer = early.map_or_else(|| case.writer(&pair), Ok)?;
        ends_with(&mut writer, &mut reader, b"to itself", "what a host wrote to itself")?;
    }
    Ok(())
}

pub fn ends_claim_their_direction(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let never = Capabilities::SEEKABLE
        | Capabilities::TRUNCATABLE
        | Capabilities::POSITIONAL_READ
        | Capabilities::POSITIONAL_WRITE;
    for (file, wanted, other) in [
        (case.reader(&pair)?, Capabilities::READABLE, Capabilities::WRITABLE),
        (case.writer(&pair)?, Capabilities::WRITABLE, Capabilities::READABLE),
    ] {
        let claimed = file.capabilities();
        ensure!(
            claimed.contains(wanted | Capabilities::CANCEL),
            "{} claims {claimed:?}, without {wanted:?} or CANCEL",
            file.shown()
        );
        ensure!(
            claimed.without(never | other) == claimed,
            "{} claims {claimed:?}: a pipe goes one way and has no positions",
            file.shown()
        );
    }
    Ok(())
}

pub fn the_descriptor_says_the_direction(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let mut reader = case.open(&case.reading, &pair.reader, OpenFlags::empty())?;
    let mut writer = case.open(&case.writing, &pair.writer, OpenFlags::empty())?;
    meet(&mut reader, &mut writer)
}

pub fn wrong_direction_is_ebadf(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    let (to_read, to_write) = (OpenOptions::new(OpenFlags::READ), OpenOptions::new(OpenFlags::WRITE));
    let opened = case.reading.open(&pair.reader, &to_write).map(drop);
    refused(opened, &[Code::EBADF], "opening the reader's descriptor for writing")?;
    let opened = case.writing.open(&pair.writer, &to_read).map(drop);
    refused(opened, &[Code::EBADF], "opening the writer's descriptor for reading")?;
    let (mut reader, mut writer) = case.met()?;
    refused(reader.write(b"x"), &[Code::EBADF], "writing to the reading end")?;
    refused(writer.read(&mut [0; 8]), &[Code::EBADF], "reading from the writing end")
}

pub fn zero_sized_calls_return_zero(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let pair = case.pipe()?;
    // Nobody is there yet, then both are, then the pipe is at its end.
    let mut reader = case.reader(&pair)?;
    ensure!(reader.read(&mut [])? == 0, "a read of nothing gives something");
    let mut writer = case.writer(&pair)?;
    ensure!(writer.write(&[])? == 0, "a write of nothing takes something");
    meet(&mut reader, &mut writer)?;
    ensure!(reader.read(&mut [])? == 0, "a read of nothing gives something");
    ensure!(writer.write(&[])? == 0, "a write of nothing takes something");
    ends_with(&mut writer, &mut reader, b"rest", "what arrived after calls of no bytes")?;
    ensure!(reader.read(&mut [])? == 0, "a read of nothing gives something");
    Ok(())
}
