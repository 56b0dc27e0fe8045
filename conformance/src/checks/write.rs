//! Writing from start to end, appending and reserving.

use crate::case::Case;
use crate::memory::Against;
use crate::step::Step;
use crate::steps::{claims, ensure, read_only, refused, same, same_or_none, sample, skip, write_all};
use crate::subject::Subject;
use std::io::SeekFrom;
use vfs_core::{Capabilities, Code, Control, Finish, OpenFlags};

pub fn write_is_read_back(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for length in [0, 1, 4096, 100_000, (1 << 20) + 13] {
        let content = sample(length);
        let mut writer = case.writer()?;
        write_all(&mut *writer.file, &content)?;
        case.commit(writer.file, &writer.descriptor, &content)?;
    }
    Ok(())
}

pub fn write_takes_any_size(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let content = sample(20_011);
    for size in [1, 7, 4095, 4096, 4097, 1 << 20] {
        let mut writer = case.writer()?;
        for chunk in content.chunks(size) {
            write_all(&mut *writer.file, chunk)?;
        }
        case.commit(writer.file, &writer.descriptor, &content)?;
    }
    Ok(())
}

pub fn write_leaves_its_buffer_alone(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for against in [Against::FrontGuard, Against::BackGuard] {
        for size in [1, 3, 64, 4096, 5000, 70_000] {
            let content = sample(size);
            let memory = read_only(&content, against)?;
            let mut writer = case.writer()?;
            let mut rest = memory.as_slice();
            while !rest.is_empty() {
                let count = writer.file.write(rest)?;
                let length = rest.len();
                ensure!((1..=length).contains(&count), "write of {length} bytes returned the count {count}");
                rest = &rest[count..];
            }
            writer.file.finish(Finish::Commit)?;
            same(memory.as_slice(), &content, "the buffer after a write")?;
        }
    }
    Ok(())
}

pub fn append_writes_at_the_end(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::APPEND)?;
    let descriptor = case.written(b"old ")?;
    let mut file = case.open(&descriptor, OpenFlags::WRITE | OpenFlags::APPEND)?;
    write_all(&mut *file, b"new ")?;
    if file.capabilities().contains(Capabilities::SEEKABLE) {
        file.seek(SeekFrom::Start(0))?;
    }
    write_all(&mut *file, b"newer")?;
    if file.capabilities().contains(Capabilities::SEEKABLE) {
        let position = file.tell()?;
        ensure!(position == 13, "after an append the position is {position}, expected the end, 13");
    }
    case.commit(file, &descriptor, b"old new newer")
}

pub fn append_follows_other_writers(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::APPEND)?;
    let descriptor = case.written(b"0")?;
    let appending = OpenFlags::WRITE | OpenFlags::APPEND;
    let mut one = case.open(&descriptor, appending)?;
    let mut other = match case.open(&descriptor, appending) {
        Err(error) if error.code() == Code::EBUSY => {
            return skip("a second writer is refused: EBUSY");
        }
        opened => opened?,
    };
    write_all(&mut *one, b"1")?;
    write_all(&mut *other, b"2")?;
    write_all(&mut *one, b"3")?;
    for file in [&mut one, &mut other] {
        file.finish(Finish::Commit)?;
    }
    drop((one, other));
    case.expect(&descriptor, b"0123")
}

pub fn preallocate_changes_no_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::PREALLOCATE)?;
    for expected in [None, Some(0), Some(100_000)] {
        let descriptor = case.absent()?;
        let flags = case.write_flags() | OpenFlags::PREALLOCATE;
        let mut file = case.request(&descriptor, &Control::new(), |request| {
            case.instance.open(&request.with_flags(flags).with_expected_size(expected))
        })?;
        write_all(&mut *file, b"short")?;
        if claims(&*file, Capabilities::STAT).is_ok()
            && let Some(size) = file.stat()?.size
        {
            let wanted = case.back(b"short")?.len() as u64;
            let reserved = expected.unwrap_or(0);
            ensure!(
                size == wanted,
                "with {reserved} bytes reserved and 5 written the size is {size}, expected {wanted}"
            );
        }
        case.commit(file, &descriptor, b"short")?;
    }
    Ok(())
}

pub fn preallocate_refuses_what_cannot_be(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::PREALLOCATE)?;
    let flags = case.write_flags() | OpenFlags::PREALLOCATE;
    let reserve = |descriptor: &str| {
        let opened = case.request(descriptor, &Control::new(), |request| {
            case.instance.open(&request.with_flags(flags).with_expected_size(Some(1 << 62)))
        });
        refused(opened, &[Code::ENOSPC, Code::EFBIG], "reserving 2^62 bytes")
    };
    let absent = case.absent()?;
    reserve(&absent)?;
    if subject.can_look() && case.supports(OpenFlags::CREATE) {
        ensure!(case.look(&absent)?.is_none(), "an open that was refused left a new name");
        let taken = case.written(b"old")?;
        reserve(&taken)?;
        let (found, old) = (case.look(&taken)?, case.back(b"old")?);
        same_or_none(found.as_deref(), Some(&old), "what is there after an open that was refused")?;
    }
    Ok(())
}
