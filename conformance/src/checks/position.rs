//! The one position, and the size.

use crate::case::Case;
use crate::step::Step;
use crate::steps::{claims, ensure, read_all, read_some, refused, same, sample, seeking, skip, write_all};
use crate::subject::Subject;
use std::io::SeekFrom;
use vfs_core::{Capabilities, Code, File, Finish};

/// What a position or size may be refused with when it is too large to be one.
const TOO_LARGE: [Code; 5] = [Code::EINVAL, Code::EFBIG, Code::ENOSPC, Code::EOVERFLOW, Code::EDQUOT];

fn seek(file: &mut dyn File, to: SeekFrom, wanted: u64) -> Step {
    let position = file.seek(to)?;
    let seek = seeking(to);
    ensure!(position == wanted, "{seek} returned {position}, expected {wanted}");
    let told = file.tell()?;
    ensure!(told == wanted, "tell after {seek} returned {told}, expected {wanted}");
    Ok(())
}

pub fn seek_goes_where_it_says(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::SEEKABLE, &sample(10_000))?;
    let (file, content) = (&mut *reader.file, &reader.content);
    let size = content.len() as u64;
    let told = file.tell()?;
    ensure!(told == 0, "the position of a file just opened is {told}");
    let third = size / 3;
    for (to, wanted) in [
        (SeekFrom::Start(third), third),
        (SeekFrom::Start(0), 0),
        (SeekFrom::End(0), size),
        (SeekFrom::End(-(third as i64)), size - third),
    ] {
        seek(file, to, wanted)?;
        same(&read_all(file, 1000)?, &content[wanted as usize..], &format!("read after {}", seeking(to)))?;
        let told = file.tell()?;
        ensure!(told == size, "tell at the end returned {told}, expected {size}");
    }
    seek(file, SeekFrom::Start(third), third)?;
    seek(file, SeekFrom::Current(third as i64), 2 * third)?;
    seek(file, SeekFrom::Current(-(third as i64)), third)?;
    let some = read_some(file, third as usize)?;
    same(&some, &content[third as usize..2 * third as usize], "read after a seek backwards")?;
    seek(file, SeekFrom::Current(0), 2 * third)
}

pub fn seek_before_the_start_is_einval(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::SEEKABLE, &sample(100))?;
    let (file, size) = (&mut *reader.file, reader.content.len() as i64);
    let position = file.seek(SeekFrom::Start(1))?;
    for to in [SeekFrom::Current(-2), SeekFrom::End(-size - 1), SeekFrom::Current(i64::MIN)] {
        refused(file.seek(to), &[Code::EINVAL], &seeking(to))?;
        let told = file.tell()?;
        ensure!(told == position, "a refused seek moved the position from {position} to {told}");
    }
    Ok(())
}

pub fn seek_to_extremes_is_no_panic(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::SEEKABLE, &sample(100))?;
    let file = &mut *reader.file;
    let largest = i64::MAX as u64;
    for to in [
        SeekFrom::Start(largest),
        SeekFrom::Start(largest + 1),
        SeekFrom::Start(u64::MAX),
        SeekFrom::Current(i64::MAX),
        SeekFrom::End(i64::MAX),
        SeekFrom::End(i64::MIN),
    ] {
        file.seek(SeekFrom::Start(7))?;
        match file.seek(to) {
            Ok(position) => {
                let seek = seeking(to);
                ensure!(position <= largest, "{seek} returned {position}, beyond 2^63 - 1");
                let told = file.tell()?;
                ensure!(told == position, "{seek} returned {position}, and tell {told}");
                same(&read_some(file, 10)?, b"", "read near 2^63")?;
            }
            Err(error) => refused::<()>(Err(error), &TOO_LARGE, &seeking(to))?,
        }
    }
    seek(file, SeekFrom::Start(0), 0)?;
    same(&read_all(file, 4096)?, &reader.content, "read after seeking to extremes")
}

pub fn read_beyond_the_end_is_zero(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::SEEKABLE, &sample(100))?;
    let beyond = reader.content.len() as u64 + 1000;
    seek(&mut *reader.file, SeekFrom::Start(beyond), beyond)?;
    same(&read_some(&mut *reader.file, 10)?, b"", "read beyond the end")?;
    let told = reader.file.tell()?;
    ensure!(told == beyond, "a read beyond the end moved the position from {beyond} to {told}");
    Ok(())
}

pub fn position_is_shared_by_read_and_write(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut both = case.both(Capabilities::SEEKABLE)?;
    let file = &mut *both.file;
    write_all(file, b"abcdefgh")?;
    seek(file, SeekFrom::Current(0), 8)?;
    seek(file, SeekFrom::Start(2), 2)?;
    same(&read_some(file, 2)?, &case.back(b"cd")?, "read after a write and a seek")?;
    write_all(file, b"XY")?;
    same(&read_some(file, 10)?, &case.back(b"gh")?, "read after a write")?;
    case.commit(both.file, &both.descriptor, b"abcdXYgh")
}

pub fn write_beyond_the_end_fills_zeros(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::SEEKABLE)?;
    write_all(&mut *writer.file, b"head")?;
    seek(&mut *writer.file, SeekFrom::Start(10_000), 10_000)?;
    write_all(&mut *writer.file, b"tail")?;
    seek(&mut *writer.file, SeekFrom::Current(0), 10_004)?;
    let mut wanted = vec![0; 10_004];
    wanted[..4].copy_from_slice(b"head");
    wanted[10_000..].copy_from_slice(b"tail");
    case.commit(writer.file, &writer.descriptor, &wanted)
}

pub fn truncate_shortens_and_fills_zeros(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::TRUNCATABLE)?;
    let file = &mut *writer.file;
    write_all(file, b"0123456789")?;
    file.truncate(4)?;
    if claims(file, Capabilities::SEEKABLE).is_ok() {
        let told = file.tell()?;
        ensure!(told == 10, "truncate moved the position from 10 to {told}");
        seek(file, SeekFrom::Start(2), 2)?;
        file.truncate(8)?;
        write_all(file, b"XY")?;
    } else {
        file.truncate(8)?;
    }
    let head: &[u8] =
        if claims(file, Capabilities::SEEKABLE).is_ok() { b"01XY\0\0\0\0" } else { b"0123\0\0\0\0" };
    case.commit(writer.file, &writer.descriptor, head)
}

pub fn extremes_of_size_are_errors(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer()?;
    let file = &mut *writer.file;
    let claimed = file.capabilities();
    let sizing = Capabilities::SEEKABLE | Capabilities::TRUNCATABLE | Capabilities::POSITIONAL_WRITE;
    if !claimed.intersects(sizing) {
        return skip(format!("none of {sizing:?} is claimed"));
    }
    write_all(file, b"kept")?;
    for extreme in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        if claimed.contains(Capabilities::TRUNCATABLE) {
            refused(file.truncate(extreme), &TOO_LARGE, &format!("truncate to {extreme}"))?;
        }
        if claimed.contains(Capabilities::POSITIONAL_WRITE) {
            refused(file.write_at(b"bytes", extreme), &TOO_LARGE, &format!("write_at {extreme}"))?;
        }
        if claimed.contains(Capabilities::SEEKABLE) && file.seek(SeekFrom::Start(extreme)).is_ok() {
            refused(file.write(b"bytes"), &TOO_LARGE, &format!("write at {extreme}"))?;
        }
    }
    match file.finish(Finish::Commit) {
        // A failed write is final: a provider may say so itself, as a layer's inner file does.
        Err(error) if TOO_LARGE.contains(&error.code()) => {}
        finished => finished?,
    }
    drop(writer.file);
    case.expect(&writer.descriptor, b"kept")
}
