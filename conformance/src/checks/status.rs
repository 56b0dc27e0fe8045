//! What an open file knows of itself.

use crate::case::Case;
use crate::step::Step;
use crate::steps::{claims, ensure, sample, sized, skip, write_all};
use crate::subject::Subject;
use vfs_core::{Capabilities, File, Finish, OpenFlags, Stat};

/// The most bytes of a version tag: the struct that carries it has room for 128 with its NUL.
const VERSION_MAX: usize = 127;

/// Asks for the status and checks its form.
fn stat(file: &mut dyn File) -> Step<Stat> {
    let stat = file.stat()?;
    let version = &stat.version;
    ensure!(version.len() <= VERSION_MAX, "a version tag of {} bytes, at most {VERSION_MAX}", version.len());
    ensure!(!version.contains('\0'), "a NUL in the version tag {version:?}");
    Ok(stat)
}

pub fn stat_knows_the_size(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for length in [0, 12_345] {
        let mut reader = case.reader_with(Capabilities::STAT, &sample(length))?;
        let stat = stat(&mut *reader.file)?;
        let wanted = reader.content.len() as u64;
        let size = sized(stat.size);
        ensure!(stat.size.is_none_or(|size| size == wanted), "stat says {size}, expected {wanted}");
    }
    Ok(())
}

pub fn stat_follows_writes(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer_with(Capabilities::STAT)?;
    let file = &mut *writer.file;
    if stat(file)?.size.is_none() {
        return skip("the size is not known");
    }
    let mut written = Vec::new();
    for piece in [1, 100, 5000] {
        let piece = sample(piece);
        write_all(file, &piece)?;
        written.extend(piece);
        let (size, wanted) = (stat(file)?.size, case.back(&written)?.len() as u64);
        ensure!(
            size == Some(wanted),
            "after {} bytes written stat says {}, expected {wanted}",
            written.len(),
            sized(size)
        );
    }
    if claims(file, Capabilities::TRUNCATABLE).is_ok() {
        for size in [7, 7000] {
            file.truncate(size)?;
            let found = stat(file)?.size;
            ensure!(found == Some(size), "after truncate({size}) stat says {}", sized(found));
        }
    }
    Ok(())
}

pub fn stat_version_follows_the_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::READ | OpenFlags::WRITE)?;
    let descriptor = case.written(b"old")?;
    let version = || -> Step<String> {
        let mut file = case.open(&descriptor, OpenFlags::READ)?;
        claims(&*file, Capabilities::STAT)?;
        Ok(stat(&mut *file)?.version)
    };
    let before = version()?;
    if before.is_empty() {
        return skip("no version tags");
    }
    let again = version()?;
    ensure!(before == again, "the version tag went from {before:?} to {again:?} with nothing changed");
    let mut file = case.open(&descriptor, case.write_flags())?;
    // Of another length too: the clock of a file system may stand still between the two writes.
    write_all(&mut *file, b"newer")?;
    file.finish(Finish::Commit)?;
    drop(file);
    let after = version()?;
    ensure!(before != after, "another content has the same version tag {before:?}");
    Ok(())
}
