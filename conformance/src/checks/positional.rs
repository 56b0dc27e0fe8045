//! Reading and writing at offsets, without the position.

use crate::case::Case;
use crate::step::Step;
use crate::steps::{
    beside, claims, ensure, joined, read_all, read_some, read_some_at, same, sample, write_all, write_all_at,
};
use crate::subject::Subject;
use std::thread;
use vfs_core::Capabilities;

const THREADS: usize = 4;

pub fn read_at_reads_at_its_offset(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let reader = case.reader_with(Capabilities::POSITIONAL_READ, &sample(10_000))?;
    let (file, content) = (&*reader.file, &reader.content);
    let size = content.len();
    for (offset, wanted) in [(0, 100), (size / 2, 1), (size / 3, 5000), (size.saturating_sub(1), 10)] {
        let found = read_some_at(file, wanted, offset as u64)?;
        let end = size.min(offset + wanted);
        same(&found, &content[offset.min(size)..end], &format!("read_at {offset}"))?;
    }
    for offset in [size as u64, size as u64 + 1000, i64::MAX as u64] {
        same(&read_some_at(file, 10, offset)?, b"", &format!("read_at {offset}, past the end"))?;
    }
    Ok(())
}

pub fn read_at_leaves_the_position(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::POSITIONAL_READ, &sample(10_000))?;
    let first = read_some(&mut *reader.file, 100)?;
    read_some_at(&*reader.file, 500, 3000)?;
    if claims(&*reader.file, Capabilities::SEEKABLE).is_ok() {
        let told = reader.file.tell()?;
        ensure!(told == first.len() as u64, "read_at moved the position from {} to {told}", first.len());
    }
    let rest = read_all(&mut *reader.file, 4096)?;
    same(&[first, rest].concat(), &reader.content, "read around a read_at")
}

pub fn read_at_may_overlap(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let reader = case.reader_with(Capabilities::POSITIONAL_READ, &sample(64 << 10))?;
    let (file, content) = (&*reader.file, &reader.content);
    thread::scope(|scope| {
        let read = |thread: usize| {
            for round in 0..200 {
                let offset = (thread * 7919 + round * 104_729) % content.len().max(1);
                let found = read_some_at(file, 700, offset as u64)?;
                let end = content.len().min(offset + 700);
                same(&found, &content[offset.min(end)..end], &format!("read_at {offset} beside others"))?;
            }
            Ok(())
        };
        joined((0..THREADS).map(|thread| beside(scope, move || read(thread))).collect())
    })
}

pub fn write_at_writes_at_its_offset(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::POSITIONAL_WRITE)?;
    write_all(&mut *writer.file, b"0123")?;
    write_all_at(&*writer.file, b"tail", 5000)?;
    write_all_at(&*writer.file, b"XY", 1)?;
    if claims(&*writer.file, Capabilities::SEEKABLE).is_ok() {
        let told = writer.file.tell()?;
        ensure!(told == 4, "write_at moved the position from 4 to {told}");
    }
    write_all(&mut *writer.file, b"45")?;
    let mut wanted = vec![0; 5004];
    wanted[..6].copy_from_slice(b"0XY345");
    wanted[5000..].copy_from_slice(b"tail");
    case.commit(writer.file, &writer.descriptor, &wanted)
}

pub fn write_at_may_overlap(subject: &Subject) -> Step {
    const PIECE: usize = 1000;
    let case = Case::start(subject)?;
    let writer = case.writer_with(Capabilities::POSITIONAL_WRITE)?;
    let content = sample(100 * PIECE);
    let file = &*writer.file;
    thread::scope(|scope| {
        let write = |thread: usize| {
            for (at, piece) in content.chunks(PIECE).enumerate().skip(thread).step_by(THREADS) {
                write_all_at(file, piece, (at * PIECE) as u64)?;
            }
            Ok(())
        };
        joined((0..THREADS).map(|thread| beside(scope, move || write(thread))).collect())
    })?;
    case.commit(writer.file, &writer.descriptor, &content)
}
