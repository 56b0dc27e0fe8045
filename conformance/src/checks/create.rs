//! CREATE, EXCLUSIVE, TRUNCATE, and names with nothing under them.

use crate::case::Case;
use crate::step::Step;
use crate::steps::{ensure, refused, skip, write_all};
use crate::subject::Subject;
use vfs_core::{Code, OpenFlags};

pub fn absent_names_are_enoent(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let absent = case.absent()?;
    if case.supports(OpenFlags::READ) {
        refused(case.open(&absent, OpenFlags::READ), &[Code::ENOENT], "opening an absent name for reading")?;
    }
    if case.supports(OpenFlags::WRITE | OpenFlags::CREATE) {
        let opened = case.open(&absent, OpenFlags::WRITE);
        refused(opened, &[Code::ENOENT], "opening an absent name for writing, without CREATE")?;
    }
    ensure!(case.look(&absent)?.is_none(), "the refused opens left something under the name");
    Ok(())
}

pub fn create_makes_an_empty_one(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::CREATE)?;
    let descriptor = case.absent()?;
    let file = case.open(&descriptor, OpenFlags::WRITE | OpenFlags::CREATE)?;
    case.commit(file, &descriptor, b"")
}

pub fn create_keeps_what_is_there(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::CREATE)?;
    if !case.supports(OpenFlags::TRUNCATE) {
        return skip("without TRUNCATE a write may replace the whole");
    }
    let descriptor = case.written(b"old content")?;
    let mut file = match case.open(&descriptor, OpenFlags::WRITE | OpenFlags::CREATE) {
        // It can only replace the whole, and rather says so.
        Err(error) if error.code() == Code::ENOTSUP => return case.expect(&descriptor, b"old content"),
        opened => opened?,
    };
    write_all(&mut *file, b"new")?;
    case.commit(file, &descriptor, b"new content")
}

pub fn exclusive_refuses_what_is_there(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let exclusive = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    case.needs(exclusive)?;
    let descriptor = case.written(b"kept")?;
    let truncate = OpenFlags::TRUNCATE & case.info.supported_flags;
    for flags in [exclusive, exclusive | truncate] {
        refused(case.open(&descriptor, flags), &[Code::EEXIST], &format!("opening with {flags:?}"))?;
    }
    case.expect(&descriptor, b"kept")?;

    let absent = case.absent()?;
    let mut file = case.open(&absent, exclusive)?;
    write_all(&mut *file, b"made")?;
    case.commit(file, &absent, b"made")
}

pub fn truncate_flag_empties(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::WRITE | OpenFlags::TRUNCATE)?;
    let descriptor = case.written(b"old content")?;
    let mut file = case.open(&descriptor, OpenFlags::WRITE | OpenFlags::TRUNCATE)?;
    write_all(&mut *file, b"new")?;
    case.commit(file, &descriptor, b"new")
}
