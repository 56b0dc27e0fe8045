//! Reading from start to end.

use crate::case::Case;
use crate::memory::Against;
use crate::step::Step;
use crate::steps::{ensure, guarded, read_all, read_into, read_some, same, sample, skip};
use crate::subject::Subject;
use vfs_core::{Capabilities, OpenFlags};

pub fn read_returns_the_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for length in [0, 1, 4096, 100_000, (1 << 20) + 13] {
        let mut reader = case.reader(&sample(length))?;
        same(&read_all(&mut *reader.file, 64 << 10)?, &reader.content, "read")?;
    }
    Ok(())
}

pub fn read_takes_any_size(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for chunk in [1, 7, 4095, 4096, 4097, 1 << 20] {
        let mut reader = case.reader(&sample(20_011))?;
        let what = format!("read in chunks of {chunk}");
        same(&read_all(&mut *reader.file, chunk)?, &reader.content, &what)?;
    }
    Ok(())
}

pub fn read_end_is_zero_and_stays(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for length in [0, 5000] {
        let mut reader = case.reader(&sample(length))?;
        read_all(&mut *reader.file, 4096)?;
        for again in 1..=3 {
            let mut buffer = guarded(100, Against::BackGuard)?;
            let count = read_into(buffer.as_mut_slice(), "read", |buffer| reader.file.read(buffer))?;
            ensure!(count == 0, "{count} bytes came after the end, at further call {again}");
        }
    }
    Ok(())
}

pub fn read_stays_inside_the_buffer(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for against in [Against::FrontGuard, Against::BackGuard] {
        for size in [1, 3, 64, 4096, 5000, 70_000] {
            let mut reader = case.reader(&sample(6000))?;
            let mut content = Vec::new();
            let mut buffer = guarded(size, against)?;
            loop {
                match read_into(buffer.as_mut_slice(), "read", |buffer| reader.file.read(buffer))? {
                    0 => break,
                    count => content.extend_from_slice(&buffer.as_slice()[..count]),
                }
                ensure!(content.len() <= reader.content.len(), "read returned more than there is");
            }
            same(&content, &reader.content, &format!("read into {size} bytes"))?;
        }
    }
    Ok(())
}

pub fn readers_do_not_share_a_position(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut one = case.reader_with(Capabilities::SEEKABLE, &sample(10_000))?;
    if one.content.len() < 2 {
        return skip("the content is too short to tell");
    }
    let mut other = case.open(&one.descriptor, OpenFlags::READ)?;
    let half = one.content.len() / 2;
    let first = read_some(&mut *one.file, half)?;
    same(&read_all(&mut *other, 4096)?, &one.content, "the second file")?;
    let rest = read_all(&mut *one.file, 4096)?;
    same(&[first, rest].concat(), &one.content, "the first file")
}
