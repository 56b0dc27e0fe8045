//! What outlives a file: descriptors, other files, other instances; and the errors.

use crate::case::Case;
use crate::steps::{ensure, joined, read_all, read_some, refused, same, sample, skip, well_said, write_all};
use crate::subject::Subject;
use crate::suite::Step;
use std::io::SeekFrom;
use std::thread;
use vfs_core::{Capabilities, Code, Finish, OpenFlags, Threads};

const OPENS: usize = 200;

fn open_descriptors() -> Step<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

pub fn opens_leak_no_descriptors(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let open = |case: &Case<'_>| -> Step {
        if case.supports(OpenFlags::WRITE) && subject.can_write() {
            let mut writer = case.writer()?;
            write_all(&mut *writer.file, b"bytes")?;
            writer.file.finish(Finish::Commit)?;
        }
        if case.supports(OpenFlags::READ) && subject.can_read() {
            let mut reader = case.reader(b"bytes")?;
            read_some(&mut *reader.file, 3)?;
        }
        if let Ok(absent) = case.absent() {
            drop(case.open(&absent, OpenFlags::READ));
        }
        Ok(())
    };
    open(&case)?;
    let before = open_descriptors()?;
    for _ in 0..OPENS {
        open(&case)?;
    }
    let after = open_descriptors()?;
    // Other tests of the process come and go meanwhile; a leak is one for each open.
    ensure!(
        after < before + OPENS / 2,
        "{before} descriptors were open, {after} after {OPENS} opens and closes"
    );
    Ok(())
}

pub fn files_work_in_parallel(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    if case.info.threads != Threads::PerFile {
        return skip(format!("threads is {:?}", case.info.threads));
    }
    thread::scope(|scope| {
        let work = || -> Step {
            for round in 0..10 {
                if case.supports(OpenFlags::WRITE) && subject.can_write() {
                    let mut writer = case.writer()?;
                    write_all(&mut *writer.file, &sample(1000 + round))?;
                    writer.file.finish(Finish::Commit)?;
                }
                if case.supports(OpenFlags::READ) && subject.can_read() {
                    let mut reader = case.reader(&sample(5000 + round))?;
                    same(&read_all(&mut *reader.file, 700)?, &reader.content, "read beside other files")?;
                }
            }
            Ok(())
        };
        joined((0..4).map(|_| scope.spawn(work)).collect())
    })
}

pub fn instances_are_isolated(subject: &Subject) -> Step {
    if !subject.isolated {
        return skip("the subject does not say so");
    }
    let (one, other) = (Case::start(subject)?, Case::start(subject)?);
    let descriptor = one.written(b"of the first instance")?;
    let opened = other.open(&descriptor, OpenFlags::READ);
    refused(opened, &[Code::ENOENT], "opening another instance's name")?;
    one.expect(&descriptor, b"of the first instance")
}

pub fn errors_say_what_happened(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut errors = Vec::new();
    if let Ok(absent) = case.absent() {
        errors.push(("opening an absent name", case.open(&absent, OpenFlags::READ).err()));
    }
    let scheme = case.info.schemes.first().map_or("", String::as_str);
    for rest in ["", "/../..", "%", "%00", "?", "//", "\u{fffd}", "a\u{202e}b"] {
        let descriptor = format!("{scheme}:{rest}");
        errors.push(("opening an odd descriptor", case.open(&descriptor, OpenFlags::READ).err()));
    }
    if case.supports(OpenFlags::READ) && subject.can_read() {
        let mut file = case.reader(&sample(10))?.file;
        errors.push(("writing to a reader", file.write(b"bytes").err()));
        errors.push(("seeking before the start", file.seek(SeekFrom::Current(-100)).err()));
        if !file.capabilities().contains(Capabilities::TRUNCATABLE) {
            errors.push(("truncating a reader", file.truncate(0).err()));
        }
    }
    if case.supports(OpenFlags::WRITE) && subject.can_write() {
        let mut file = case.writer()?.file;
        errors.push(("reading from a writer", file.read(&mut [0; 10]).err()));
    }
    let mut seen = 0;
    for (what, error) in &errors {
        if let Some(error) = error {
            well_said(error, what)?;
            seen += 1;
        }
    }
    if seen == 0 { skip("nothing could be made to fail") } else { Ok(()) }
}
