//! The times that files are given.

use crate::case::Case;
use crate::checks::namespace::{namespace, stat};
use crate::step::{Step, Stop};
use crate::steps::{claims, ensure, refused, same, skip, write_all};
use crate::subject::Subject;
use std::time::{Duration, SystemTime};
use vfs_core::{Capabilities, Code, Control, Finish, OpenFlags};

/// No store rounds down by more: FAT counts in so much.
const ROUNDED_MOST: Duration = Duration::from_secs(2);

/// Some time long ago, with a fraction.
fn long_ago(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(seconds, 765_432_100)
}

/// Checks the time of what is there under a name: as the namespace has it, or an open file.
fn has_time(case: &Case<'_>, descriptor: &str, given: SystemTime) -> Step {
    let by_name = case.instance.namespace().map(|names| stat(case, names, descriptor));
    let found = match by_name {
        Some(Ok(found)) => found,
        Some(Err(error)) if error.code() != Code::ENOTSUP => return Err(error.into()),
        _ => {
            case.needs(OpenFlags::READ)?;
            let mut file = case.open(descriptor, OpenFlags::READ)?;
            claims(&*file, Capabilities::STAT)?;
            file.stat()?
        }
    };
    let unknown = || Stop::Fail(format!("stat knows no time of what was given {given:?}"));
    let found = found.modified.ok_or_else(unknown)?;
    let rounded = given.duration_since(found);
    ensure!(
        rounded.as_ref().is_ok_and(|rounded| *rounded < ROUNDED_MOST),
        "given {given:?}, stat says {found:?}: more than rounded down"
    );
    Ok(())
}

pub fn times_are_kept(subject: &Subject) -> Step {
    if subject.forgets_times {
        return skip("the place behind the subject loses times");
    }
    let case = Case::start(subject)?;
    let atomic = OpenFlags::ATOMIC & case.info.supported_flags;
    let mut tried = 0;
    for flags in [case.write_flags(), case.write_flags() | atomic] {
        // Before the first write, twice; and after it, where a store may refuse.
        for late in [false, true] {
            let descriptor = case.absent()?;
            case.needs(OpenFlags::WRITE)?;
            let mut file = case.open(&descriptor, flags)?;
            if claims(&*file, Capabilities::TIMES).is_err() {
                continue;
            }
            tried += 1;
            let mut given = long_ago(1_000_000_000);
            if !late {
                file.set_modified(long_ago(1_234_567_890))?;
                file.set_modified(given)?;
            }
            write_all(&mut *file, b"written ")?;
            if late {
                match file.set_modified(given) {
                    Err(error) if error.code() == Code::ENOTSUP => given = SystemTime::UNIX_EPOCH,
                    set => set?,
                }
            }
            write_all(&mut *file, b"in two calls")?;
            file.finish(Finish::Commit)?;
            drop(file);
            if subject.can_look() {
                case.expect(&descriptor, b"written in two calls")?;
            }
            if given != SystemTime::UNIX_EPOCH {
                has_time(&case, &descriptor, given)?;
            }
        }
    }
    if tried == 0 { skip("TIMES is not claimed") } else { Ok(()) }
}

pub fn names_take_times(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let descriptor = case.written(b"old")?;
    let set = |descriptor: &str, time| {
        case.request(descriptor, &Control::new(), |request| names.set_modified(&request, time))
    };
    match set(&descriptor, long_ago(1_000_000_000)) {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        set => set?,
    }
    has_time(&case, &descriptor, long_ago(1_000_000_000))?;
    if let Some(content) = case.look(&descriptor)? {
        same(&content, &case.back(b"old")?, "what is under the name that was given a time")?;
    }
    refused(set(&case.absent()?, long_ago(0)), &[Code::ENOENT], "setting the time of an absent name")
}
