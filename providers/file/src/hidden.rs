//! Hidden names: where a file stands for the moment before it takes the place of another, since the kernel replaces a name by
//! renaming only.
//!
//! The names are few and known, `.name.zvfs-0` to `.name.zvfs-7`, so that what a killed process left is found again without
//! reading the folder. A file is locked as long as its hidden name is in use: one whose lock is free is a leftover.

use crate::place::Place;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat};
use rustix::io::{Errno, retry_on_intr};
use rustix::rand::{GetRandomFlags, getrandom};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Linux's limit on a name, in bytes.
const NAME_MAX: usize = 255;

/// How many writers of one name find a known one at the same moment; more get random ones, which nobody sweeps.
const KNOWN: u32 = 8;

/// How many of them are looked for before a file without a name is made. Such a file has a hidden name for one moment of its COMMIT,
/// and takes the first that is free: a leftover beyond these alone takes three COMMITs of one name in that moment, of which the last is
/// killed and the others are not. Each look costs about 2 us on tmpfs, which all eight made a fifth of a small file's copy.
const LIKELY: u32 = 2;

/// A random name that is taken is tried again so often; 64 random bits never need it.
const TRIES: u32 = 16;

/// A hidden name of a file. Dropped before it was renamed, it goes away.
#[derive(Debug)]
pub struct Hidden {
    place: Place,
    renamed: bool,
}

impl Hidden {
    /// Gives a file that has no name one beside `target`.
    pub fn link(target: &Place, file: &OwnedFd) -> Result<Hidden, Errno> {
        hold(file);
        beside(target, |place| place.link(file)).map(|(hidden, ())| hidden)
    }

    /// Creates a file beside `target`, where the file system knows none without a name.
    pub fn create(target: &Place, flags: OFlags, mode: Mode) -> Result<(Hidden, OwnedFd), Errno> {
        beside(target, |place| {
            let file = place.create(flags, mode)?;
            hold(&file);
            // A sweep may have come in between, and taken it for a leftover.
            if place.is(&file) { Ok(file) } else { Err(Errno::EXIST) }
        })
    }

    /// Puts the file in the place of `target`, at once. `exclusive`: EEXIST if that is there.
    pub fn rename(mut self, target: &Place, exclusive: bool) -> Result<(), Errno> {
        self.place.rename(target, exclusive)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = self.place.remove();
        }
    }
}

/// Removes what killed processes left beside a name; best effort.
pub fn sweep(target: &Place) {
    for number in 0..KNOWN {
        sweep_one(&target.sibling(known(target.name(), number)));
    }
}

/// The same, if anything has one of the first hidden names.
pub fn sweep_if_likely(target: &Place) {
    // Whatever it is, and whoever holds it: others may have gone further.
    if (0..LIKELY).any(|number| !matches!(target.sibling(known(target.name(), number)).kind(), Ok(None))) {
        sweep(target);
    }
}

fn sweep_one(place: &Place) {
    let Ok(file) = place.open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) else { return };
    let regular =
        fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    if !regular || retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)).is_err() {
        return;
    }
    // Its owner may have renamed it since it was opened. With the lock held nobody else takes the name away.
    place.remove_if(&file);
    let _ = flock(&file, FlockOperation::NonBlockingUnlock);
}

/// Says that the hidden name is in use. A file system without locks keeps leftovers.
fn hold(file: &OwnedFd) {
    let _ = retry_on_intr(|| flock(file, FlockOperation::NonBlockingLockExclusive));
}

/// Makes a name beside another by `make`, which says EEXIST of one that is taken.
fn beside<T>(target: &Place, make: impl Fn(&Place) -> Result<T, Errno>) -> Result<(Hidden, T), Errno> {
    for number in 0..KNOWN + TRIES {
        let place = match number {
            0..KNOWN => target.sibling(known(target.name(), number)),
            _ => target.sibling(random(target.name())?),
        };
        match make(&place) {
            Err(Errno::EXIST) => {}
            made => return made.map(|made| (Hidden { place, renamed: false }, made)),
        }
    }
    Err(Errno::EXIST)
}

fn known(name: &OsStr, number: u32) -> OsString {
    hidden(name, &format!(".zvfs-{number}"))
}

fn random(name: &OsStr) -> Result<OsString, Errno> {
    let mut random = [0; 8];
    retry_on_intr(|| getrandom(&mut random, GetRandomFlags::empty()))?;
    Ok(hidden(name, &format!(".zvfs-{:016x}", u64::from_ne_bytes(random))))
}

/// `.name` and a tail, with the name cut where it would grow too long.
fn hidden(name: &OsStr, tail: &str) -> OsString {
    let name = name.as_bytes();
    let kept = name.len().min(NAME_MAX - 1 - tail.len());
    OsString::from_vec([b".", &name[..kept], tail.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::NEW_FILE;
    use std::fs::{self, File};
    use std::path::Path;
    use tempfile::TempDir;

    fn target(folder: &TempDir) -> Place {
        Place::new(File::open(folder.path()).unwrap().into(), "f".into())
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_sweep_takes_what_nobody_holds_and_nothing_else() {
        let folder = TempDir::new().unwrap();
        let target = target(&folder);
        let held: Vec<_> =
            (0..3).map(|_| Hidden::create(&target, OFlags::WRONLY, NEW_FILE).unwrap()).collect();
        for leftover in [".f.zvfs-3", ".f.zvfs-7", ".g.zvfs-0", "f"] {
            fs::write(folder.path().join(leftover), "").unwrap();
        }
        fs::create_dir(folder.path().join(".f.zvfs-5")).unwrap();
        sweep(&target);
        let left = [".f.zvfs-0", ".f.zvfs-1", ".f.zvfs-2", ".f.zvfs-5", ".g.zvfs-0", "f"];
        assert_eq!(names(folder.path()), left);
        drop(held);
        assert_eq!(names(folder.path()), left[3..]);
    }

    #[test]
    fn one_of_the_first_names_is_reason_to_sweep_all() {
        for first in [".f.zvfs-0", ".f.zvfs-1"] {
            let folder = TempDir::new().unwrap();
            for leftover in [first, ".f.zvfs-3", ".f.zvfs-7"] {
                fs::write(folder.path().join(leftover), "").unwrap();
            }
            sweep_if_likely(&target(&folder));
            assert!(names(folder.path()).is_empty(), "{first}");
        }
    }

    #[test]
    fn more_writers_than_known_names_find_one_all_the_same() {
        let folder = TempDir::new().unwrap();
        let target = target(&folder);
        let all: Vec<_> =
            (0..=KNOWN).map(|_| Hidden::create(&target, OFlags::WRONLY, NEW_FILE).unwrap()).collect();
        assert_eq!(names(folder.path()).len(), all.len());
        for (hidden, _) in all {
            hidden.rename(&target, false).unwrap();
        }
        assert_eq!(names(folder.path()), ["f"]);
    }
}
