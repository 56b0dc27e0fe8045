//! Opening, and what an open file claims.

use crate::case::Case;
use crate::step::{Step, Stop};
use crate::steps::{claims, ensure, read_some, refused, same, sample, skip, write_all};
use crate::subject::Subject;
use std::io::SeekFrom;
use std::time::SystemTime;
use vfs_core::{Capabilities, Code, Direction, File, Finish, Flush, OpenFlags, Wanted};

pub fn claims_something(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let explain = |stop: Stop, direction: &str| match stop {
        Stop::Skip(reason) => {
            Stop::Fail(format!("{direction} is supported and cannot be exercised: {reason}"))
        }
        fail => fail,
    };
    let mut claimed = Capabilities::empty();
    if case.supports(OpenFlags::READ) && !subject.write_only {
        let reader = case.reader(&sample(100)).map_err(|stop| explain(stop, "READ"))?;
        let capabilities = reader.file.capabilities();
        ensure!(
            capabilities.contains(Capabilities::READABLE),
            "open for READ claims {capabilities:?}: not READABLE"
        );
        let other = Capabilities::WRITABLE | Capabilities::TRUNCATABLE | Capabilities::POSITIONAL_WRITE;
        let other = capabilities & other;
        ensure!(other.is_empty(), "open for READ claims {other:?} too");
        claimed |= capabilities;
    }
    if case.supports(OpenFlags::WRITE) && !subject.read_only {
        let writer = case.writer().map_err(|stop| explain(stop, "WRITE"))?;
        let capabilities = writer.file.capabilities();
        ensure!(
            capabilities.contains(Capabilities::WRITABLE),
            "open for WRITE claims {capabilities:?}: not WRITABLE"
        );
        let other = capabilities & (Capabilities::READABLE | Capabilities::POSITIONAL_READ);
        ensure!(other.is_empty(), "open for WRITE claims {other:?} too");
        claimed |= capabilities;
    }
    ensure!(
        claimed.intersects(Capabilities::READABLE | Capabilities::WRITABLE),
        "it claims nothing: {claimed:?}"
    );
    Ok(())
}

pub fn capabilities_are_constant(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    if case.supports(OpenFlags::READ) && subject.can_read() {
        keeps_its_capabilities(&mut *case.reader(&sample(5000))?.file)?;
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        keeps_its_capabilities(&mut *case.writer()?.file)?;
    }
    Ok(())
}

/// Makes one call after another, whatever comes of it, and looks at the capabilities after each.
fn keeps_its_capabilities(file: &mut dyn File) -> Step {
    type Call = fn(&mut dyn File);
    let calls: [(&str, Call); 6] = [
        ("read", |file| drop(file.read(&mut [0; 100]))),
        ("write", |file| drop(file.write(b"bytes"))),
        ("seek", |file| drop(file.seek(SeekFrom::Start(3)))),
        ("stat", |file| drop(file.stat())),
        ("flush", |file| drop(file.flush(Flush::Push))),
        ("finish", |file| drop(file.finish(Finish::End))),
    ];
    let before = file.capabilities();
    for (name, call) in calls {
        call(file);
        let after = file.capabilities();
        ensure!(before == after, "capabilities were {before:?} and are {after:?} after {name}");
    }
    Ok(())
}

pub fn no_direction_lets_the_descriptor_decide(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let (descriptor, content) = match case.source(&sample(100)) {
        Err(Stop::Skip(_)) => (case.target()?, Vec::new()),
        source => source?,
    };
    let mut file = match case.open(&descriptor, OpenFlags::empty()) {
        Err(error) if error.code() == Code::EINVAL => return skip(error.chain()),
        opened => opened?,
    };
    let capabilities = file.capabilities();
    let directions = Capabilities::READABLE | Capabilities::WRITABLE;
    ensure!(capabilities.intersects(directions), "opened without a direction it claims {capabilities:?}");
    if capabilities.contains(Capabilities::READABLE) && !content.is_empty() {
        let read = read_some(&mut *file, content.len())?;
        same(&read, &content, "read without a direction")?;
    }
    Ok(())
}

pub fn unknown_hints_are_ignored(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let hints = OpenFlags::SEQUENTIAL
        | OpenFlags::RANDOM
        | OpenFlags::from_bits(1 << 47)
        | OpenFlags::from_bits(1 << 63);
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let (descriptor, content) = case.source(&sample(100))?;
        let mut file = case.open(&descriptor, OpenFlags::READ | hints)?;
        same(&read_some(&mut *file, content.len())?, &content, "read with unknown hints")?;
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let descriptor = case.target()?;
        let mut file = case.open(&descriptor, case.write_flags() | hints)?;
        write_all(&mut *file, b"bytes")?;
        file.finish(Finish::Commit)?;
    }
    Ok(())
}

pub fn wrong_direction_is_ebadf(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut tried = 0;
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut reader = case.reader(&sample(100))?;
        refused(reader.file.write(b"bytes"), &[Code::EBADF], "write on a file open for reading")?;
        same(&read_some(&mut *reader.file, reader.content.len())?, &reader.content, "read after it")?;
        tried += 1;
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let mut writer = case.writer()?;
        let mut buffer = [0; 100];
        refused(writer.file.read(&mut buffer), &[Code::EBADF], "read on a file open for writing")?;
        ensure!(buffer == [0; 100], "a refused read touched the buffer");
        tried += 1;
    }
    if tried == 0 { skip("no direction can be exercised") } else { Ok(()) }
}

pub fn unclaimed_calls_are_refused(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut files = Vec::new();
    if case.supports(OpenFlags::READ) && subject.can_read() {
        files.push(case.reader(&sample(100))?.file);
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        files.push(case.writer()?.file);
    }
    for mut file in files {
        let absent = |capability| claims(&*file, capability).is_err();
        let (seek, truncate) = (absent(Capabilities::SEEKABLE), absent(Capabilities::TRUNCATABLE));
        let (read_at, write_at) =
            (absent(Capabilities::POSITIONAL_READ), absent(Capabilities::POSITIONAL_WRITE));
        let (stat, lease) = (absent(Capabilities::STAT), absent(Capabilities::FD));
        let (poll, times) = (absent(Capabilities::POLL), absent(Capabilities::TIMES));
        // What has a direction may say that it is the wrong one.
        let either = [Code::ENOTSUP, Code::EBADF];
        if seek {
            refused(file.seek(SeekFrom::Start(0)), &[Code::ESPIPE], "seek without SEEKABLE")?;
            refused(file.tell(), &[Code::ESPIPE], "tell without SEEKABLE")?;
        }
        if truncate {
            refused(file.truncate(0), &either, "truncate without TRUNCATABLE")?;
        }
        if read_at {
            refused(file.read_at(&mut [0; 8], 0), &either, "read_at without POSITIONAL_READ")?;
        }
        if write_at {
            refused(file.write_at(b"bytes", 0), &either, "write_at without POSITIONAL_WRITE")?;
        }
        if stat {
            refused(file.stat(), &[Code::ENOTSUP], "stat without STAT")?;
        }
        if times {
            refused(file.set_modified(SystemTime::UNIX_EPOCH), &either, "set_modified without TIMES")?;
        }
        if lease {
            for direction in [Direction::Read, Direction::Write] {
                refused(file.lease(direction), &either, "lease without FD")?;
                refused(file.advance(direction, 1), &either, "advance without FD")?;
            }
        }
        if poll {
            let none = [Code::ENOTSUP];
            refused(file.interest(Wanted::READ).map(drop), &none, "interest without POLL")?;
            refused(file.try_read(&mut [0; 8]), &either, "try_read without POLL")?;
            refused(file.try_write(b"bytes"), &either, "try_write without POLL")?;
            refused(file.try_finish(Finish::End), &none, "try_finish without POLL")?;
        }
    }
    Ok(())
}
