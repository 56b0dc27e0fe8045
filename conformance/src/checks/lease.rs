//! The kernel file behind a file.

use crate::case::Case;
use crate::step::Step;
use crate::steps::{ensure, read_some, same, sample, skip, write_all};
use crate::subject::Subject;
use vfs_core::{Capabilities, Code, Direction, File};

/// Moves up to `buffer.len()` bytes out of the file through its lease; 0 at the end.
fn read_through(file: &mut dyn File, buffer: &mut [u8]) -> Step<usize> {
    let lease = match file.lease(Direction::Read) {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        lease => lease?,
    };
    let most = usize::try_from(lease.limit).unwrap_or(usize::MAX).min(buffer.len());
    let buffer = &mut buffer[..most];
    let count = match lease.offset {
        Some(offset) => rustix::io::pread(lease.fd, buffer, offset),
        None => rustix::io::retry_on_intr(|| rustix::io::read(lease.fd, &mut *buffer)),
    };
    let count = count.map_err(std::io::Error::from)?;
    file.advance(Direction::Read, count as u64)?;
    Ok(count)
}

pub fn lease_reads_the_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut reader = case.reader_with(Capabilities::FD, &sample(20_000))?;
    let file = &mut *reader.file;
    let mut content = read_some(file, 100)?;
    let mut buffer = vec![0; 3000];
    for round in 0.. {
        let count = read_through(file, &mut buffer)?;
        content.extend_from_slice(&buffer[..count]);
        if file.capabilities().contains(Capabilities::SEEKABLE) {
            let told = file.tell()?;
            ensure!(told == content.len() as u64, "after advance to {} tell says {told}", content.len());
        }
        if count == 0 {
            break;
        }
        ensure!(content.len() <= reader.content.len(), "more bytes came through the lease than there are");
        if round % 2 == 0 {
            let more = read_some(file, 100)?; // a read in between goes on where the lease ended
            content.extend_from_slice(&more);
        }
    }
    same(&content, &reader.content, "read through the lease")
}

pub fn lease_takes_writes(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::FD)?;
    let content = sample(20_000);
    let file = &mut *writer.file;
    write_all(file, &content[..100])?;
    let mut done = 100;
    while done < content.len() {
        let lease = match file.lease(Direction::Write) {
            Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
            lease => lease?,
        };
        let most = usize::try_from(lease.limit).unwrap_or(usize::MAX).min(3000);
        let piece = &content[done..content.len().min(done + most)];
        ensure!(!piece.is_empty(), "the lease's limit is 0");
        let count = match lease.offset {
            Some(offset) => {
                ensure!(offset == done as u64, "the lease's offset is {offset}, the position {done}");
                rustix::io::pwrite(lease.fd, piece, offset)
            }
            None => rustix::io::retry_on_intr(|| rustix::io::write(lease.fd, piece)),
        };
        let count = count.map_err(std::io::Error::from)?;
        file.advance(Direction::Write, count as u64)?;
        done += count;
        let more = &content[done..content.len().min(done + 100)];
        write_all(file, more)?; // a write in between goes on where the lease ended
        done += more.len();
    }
    case.commit(writer.file, &writer.descriptor, &content)
}
