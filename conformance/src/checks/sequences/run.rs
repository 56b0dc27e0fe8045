//! One sequence: a call at a time, on the file and on the model.

use super::model::Model;
use crate::case::Case;
use crate::memory::Against;
use crate::random::Random;
use crate::step::{Step, Stop};
use crate::steps::{
    ensure, guarded, read_into, read_only, refused, same, same_or_none, sample, seeking, sized,
};
use std::fmt;
use std::io::SeekFrom;
use std::time::Instant;
use vfs_core::{Capabilities, Code, Control, Finish, Flush, OpenFile, OpenFlags, Result};

/// The largest read and write.
const CHUNK: u64 = 5000;

pub(super) struct Run<'a> {
    case: &'a Case<'a>,
    file: OpenFile,
    control: Control,
    descriptor: String,
    flags: OpenFlags,
    model: Model,
    /// The calls so far, for who has to find out why.
    made: Vec<String>,
}

impl<'a> Run<'a> {
    pub fn new(
        case: &'a Case<'a>,
        file: OpenFile,
        control: Control,
        descriptor: String,
        flags: OpenFlags,
        model: Model,
    ) -> Run<'a> {
        Run { case, file, control, descriptor, flags, model, made: Vec::new() }
    }

    /// How it was opened, and the calls so far.
    pub fn described(&self) -> String {
        let before = self
            .model
            .before
            .as_ref()
            .map_or("nothing there".to_owned(), |it| format!("{} bytes there", it.len()));
        format!("opened with {:?}, {before}: {}", self.flags, self.made.join(", "))
    }

    /// Makes one call.
    pub fn call(&mut self, random: &mut Random) -> Step {
        match random.up_to(24) {
            1..=4 => self.read(size(random)),
            5..=8 => self.write(&sample(size(random))),
            9..=11 => self.seek(random),
            12 => self.tell(),
            13 => self.truncate(self.place(random)),
            14 | 15 => self.read_at(size(random), self.place(random)),
            16 | 17 => self.write_at(&sample(size(random)), self.place(random)),
            18 => self.stat(),
            19 => self.flush(if random.up_to(2) == 1 { Flush::Push } else { Flush::Sync }),
            20 | 21 => self.control(random),
            22 => self.look(),
            _ => match random.up_to(6) {
                1 | 2 => self.finish(Finish::End),
                3 => self.finish(Finish::Commit),
                4 => self.finish(Finish::Discard),
                // Long sequences are wanted, too.
                _ => Ok(()),
            },
        }
    }

    /// Closes the file, and looks at what is left.
    pub fn close(self) -> Step {
        let Run { case, file, descriptor, flags, model, .. } = self;
        drop(file);
        if flags.contains(OpenFlags::WRITE) && case.subject.can_look() {
            if model.ended == Some(Finish::Commit) {
                return case.expect(&descriptor, &model.content);
            }
            if flags.contains(OpenFlags::ATOMIC) {
                return unchanged(case, &descriptor, model.before.as_deref());
            }
        }
        Ok(())
    }

    fn read(&mut self, count: usize) -> Step {
        let refusal = self.model.refusal(self.claimed(), Capabilities::READABLE, Code::EBADF);
        if self.unknown(refusal) {
            return Ok(());
        }
        self.note(format_args!("read {count}"));
        if let Some(code) = refusal {
            return refused(self.file.read(&mut [0]), &[code], "read");
        }
        let at = self.model.position;
        let mut buffer = guarded(count, Against::BackGuard)?;
        let read = read_into(buffer.as_mut_slice(), "read", |buffer| self.file.read(buffer))?;
        self.is_at(&buffer.as_slice()[..read], at, count, "read")?;
        self.model.position += read as u64;
        Ok(())
    }

    fn read_at(&mut self, count: usize, at: u64) -> Step {
        let refusal = self.model.refusal(self.claimed(), Capabilities::POSITIONAL_READ, Code::ENOTSUP);
        if self.unknown(refusal) {
            return Ok(());
        }
        self.note(format_args!("read_at {count} at {at}"));
        if let Some(code) = refusal {
            return refused(self.file.read_at(&mut [0], at), &[code], "read_at");
        }
        let mut buffer = guarded(count, Against::BackGuard)?;
        let read = read_into(buffer.as_mut_slice(), "read_at", |buffer| self.file.read_at(buffer, at))?;
        self.is_at(&buffer.as_slice()[..read], at, count, "read_at")
    }

    fn write(&mut self, bytes: &[u8]) -> Step {
        let refusal = self.model.refusal_to_write(self.claimed(), Capabilities::WRITABLE, Code::EBADF);
        self.note(format_args!("write {}", bytes.len()));
        let memory = read_only(bytes, Against::BackGuard)?;
        let Some(count) = given(self.file.write(memory.as_slice()), refusal, "write")? else { return Ok(()) };
        ensure!(
            (1..=bytes.len()).contains(&count),
            "write of {} bytes returned the count {count}",
            bytes.len()
        );
        let at = if self.flags.contains(OpenFlags::APPEND) {
            self.model.content.len() as u64
        } else {
            self.model.position
        };
        self.model.put(at, &bytes[..count]);
        self.model.position = at + count as u64;
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], at: u64) -> Step {
        let refusal =
            self.model.refusal_to_write(self.claimed(), Capabilities::POSITIONAL_WRITE, Code::ENOTSUP);
        // Where it goes with APPEND the header leaves open.
        if self.unknown(refusal) || self.flags.contains(OpenFlags::APPEND) {
            return Ok(());
        }
        self.note(format_args!("write_at {} at {at}", bytes.len()));
        let memory = read_only(bytes, Against::BackGuard)?;
        let written = self.file.write_at(memory.as_slice(), at);
        let Some(count) = given(written, refusal, "write_at")? else { return Ok(()) };
        ensure!(
            (1..=bytes.len()).contains(&count),
            "write_at of {} bytes returned the count {count}",
            bytes.len()
        );
        self.model.put(at, &bytes[..count]);
        Ok(())
    }

    fn seek(&mut self, random: &mut Random) -> Step {
        let refusal = self.model.refusal(self.claimed(), Capabilities::SEEKABLE, Code::ESPIPE);
        if self.unknown(refusal) {
            return Ok(());
        }
        let offset = self.place(random) as i64;
        let (to, wanted) = match random.up_to(3) {
            1 => (SeekFrom::Start(offset as u64), offset),
            2 => (SeekFrom::Current(-offset / 2), self.model.position as i64 - offset / 2),
            _ => (SeekFrom::End(100 - offset), self.model.content.len() as i64 + 100 - offset),
        };
        let refusal = refusal.or((wanted < 0).then_some(Code::EINVAL));
        self.note(format_args!("{}", seeking(to)));
        let Some(position) = given(self.file.seek(to), refusal, "seek")? else { return Ok(()) };
        ensure!(position as i64 == wanted, "seek returned {position}, expected {wanted}");
        self.model.position = position;
        Ok(())
    }

    fn tell(&mut self) -> Step {
        let refusal = self.model.refusal(self.claimed(), Capabilities::SEEKABLE, Code::ESPIPE);
        if self.unknown(refusal) {
            return Ok(());
        }
        self.note(format_args!("tell"));
        let Some(position) = given(self.file.tell(), refusal, "tell")? else { return Ok(()) };
        ensure!(
            position == self.model.position,
            "tell returned {position}, expected {}",
            self.model.position
        );
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Step {
        let refusal = self.model.refusal_to_write(self.claimed(), Capabilities::TRUNCATABLE, Code::ENOTSUP);
        if self.unknown(refusal) {
            return Ok(());
        }
        self.note(format_args!("truncate {size}"));
        if given(self.file.truncate(size), refusal, "truncate")?.is_some() {
            self.model.content.resize(size as usize, 0);
        }
        Ok(())
    }

    fn stat(&mut self) -> Step {
        let refusal = self.model.refusal(self.claimed(), Capabilities::STAT, Code::ENOTSUP);
        if self.unknown(refusal) {
            return Ok(());
        }
        self.note(format_args!("stat"));
        let Some(stat) = given(self.file.stat(), refusal, "stat")? else { return Ok(()) };
        let (size, wanted) = (sized(stat.size), self.model.content.len() as u64);
        ensure!(stat.size.is_none_or(|size| size == wanted), "stat says {size}, expected {wanted}");
        Ok(())
    }

    fn flush(&mut self, level: Flush) -> Step {
        // What is there to flush after an end the header leaves open.
        if self.model.ended.is_some() {
            return Ok(());
        }
        self.note(format_args!("flush {level:?}"));
        given(self.file.flush(level), self.model.stopped(), "flush").map(drop)
    }

    fn finish(&mut self, how: Finish) -> Step {
        self.note(format_args!("{how:?}"));
        let code = self.model.finish(how);
        given(self.file.finish(how), code, "finish").map(drop)
    }

    /// Cancels, sets a deadline that has passed, or undoes it.
    fn control(&mut self, random: &mut Random) -> Step {
        match random.up_to(4) {
            1 => self.model.cancelled = true,
            2 => self.model.late = true,
            _ => (self.model.cancelled, self.model.late) = (false, false),
        }
        let Model { cancelled, late, .. } = self.model;
        self.note(format_args!(
            "{}",
            match (cancelled, late) {
                (true, true) => "both a cancel and a deadline that has passed",
                (true, false) => "a cancel",
                (false, true) => "a deadline that has passed",
                (false, false) => "neither cancel nor deadline",
            }
        ));
        if cancelled {
            self.control.cancel()
        } else {
            self.control.lift()
        }
        self.control.set_deadline(late.then(Instant::now));
        Ok(())
    }

    /// Looks at what is under the name of what is ATOMIC.
    fn look(&mut self) -> Step {
        if !self.flags.contains(OpenFlags::ATOMIC) || !self.case.subject.can_look() {
            return Ok(());
        }
        self.note(format_args!("look"));
        if self.model.ended == Some(Finish::Commit) {
            return self.case.expect(&self.descriptor, &self.model.content);
        }
        unchanged(self.case, &self.descriptor, self.model.before.as_deref())
    }

    fn note(&mut self, call: fmt::Arguments<'_>) {
        self.made.push(call.to_string());
    }

    fn claimed(&self) -> Capabilities {
        self.file.capabilities()
    }

    /// Whether the header leaves open what such a call gives, unless it is refused: on a device, and after a DISCARD.
    fn unknown(&self, refusal: Option<Code>) -> bool {
        refusal.is_none() && (!self.model.keeps || self.model.ended == Some(Finish::Discard))
    }

    /// Somewhere within the content, or a little beyond.
    fn place(&self, random: &mut Random) -> u64 {
        random.up_to(self.model.content.len() as u64 + 100)
    }

    /// Checks what was read at an offset.
    fn is_at(&self, read: &[u8], at: u64, count: usize, what: &str) -> Step {
        let range = self.model.bytes(at, count);
        ensure!(
            !read.is_empty() || range.is_empty(),
            "{what} returned 0, {} bytes before the end",
            range.len()
        );
        ensure!(
            read.len() <= range.len(),
            "{what} returned {} bytes, where {} are left",
            read.len(),
            range.len()
        );
        let wanted = &self.model.content;
        let back = if self.model.as_written { &self.case.back(wanted)? } else { wanted };
        // A layer whose bytes are others in number claims no positions, and reads nothing that it writes.
        let wanted = back.get(range.start..range.start + read.len()).unwrap_or_default();
        same(read, wanted, what)
    }
}

/// From 1 byte to a few thousand, most of them small.
fn size(random: &mut Random) -> usize {
    let most = if random.up_to(3) == 1 { CHUNK } else { 60 };
    random.up_to(most) as usize
}

/// What a call gave; `None`: it was refused, as it had to be.
fn given<T>(result: Result<T>, refusal: Option<Code>, what: &str) -> Step<Option<T>> {
    match (refusal, result) {
        (Some(code), result) => refused(result, &[code], what).map(|()| None),
        (None, Ok(value)) => Ok(Some(value)),
        (None, Err(error)) => {
            Err(Stop::Fail(format!("{what} failed with {} ({})", error.code(), error.chain())))
        }
    }
}

/// Checks that under a name is what was there.
fn unchanged(case: &Case<'_>, descriptor: &str, before: Option<&[u8]>) -> Step {
    let (found, before) = (case.look(descriptor)?, before.map(|before| case.back(before)).transpose()?);
    same_or_none(found.as_deref(), before.as_deref(), "what is under the name without a COMMIT")
}
