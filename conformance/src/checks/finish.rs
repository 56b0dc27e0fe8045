//! Ending, flushing, and what ATOMIC hides until COMMIT.

use crate::case::Case;
use crate::hosted::Hosted;
use crate::step::Step;
use crate::steps::{ensure, read_some, refused, same, same_or_none, sample, skip, write_all};
use crate::subject::Subject;
use vfs_core::{Capabilities, Code, Control, File, Finish, Flush, OpenFlags};

pub fn finish_on_a_reader_is_harmless(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for how in [Finish::End, Finish::Commit, Finish::Discard] {
        let mut reader = case.reader(&sample(100))?;
        let half = reader.content.len() / 2;
        same(&read_some(&mut *reader.file, half)?, &reader.content[..half], "read before finish")?;
        reader.file.finish(how)?;
        drop(reader.file);
        if matches!(subject.targets, Some(crate::subject::Targets::Names(_))) {
            case.holds(&reader.descriptor, &reader.content)?;
        }
    }
    Ok(())
}

pub fn finish_ends_a_writer(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    for last in [Finish::Commit, Finish::Discard] {
        let mut writer = case.writer()?;
        write_all(&mut *writer.file, b"bytes")?;
        if last == Finish::Commit {
            writer.file.finish(Finish::End)?;
        }
        writer.file.finish(last)?;
        drop(writer.file);
        if last == Finish::Commit && subject.can_look() {
            case.expect(&writer.descriptor, b"bytes")?;
        }
    }
    drop(case.writer()?); // closed without a word
    Ok(())
}

pub fn flush_keeps_the_content(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let mut writer = case.writer()?;
    for piece in [b"one ".as_slice(), b"two ", b"three"] {
        write_all(&mut *writer.file, piece)?;
        writer.file.flush(Flush::Push)?;
        writer.file.flush(Flush::Sync)?;
    }
    writer.file.finish(Finish::Commit)?;
    drop(writer.file);
    if subject.can_look() { case.expect(&writer.descriptor, b"one two three") } else { Ok(()) }
}

/// Opens for an atomic write, and writes.
fn atomic(case: &Case<'_>, descriptor: &str, content: &[u8]) -> Step<Box<dyn File>> {
    case.needs(OpenFlags::WRITE | OpenFlags::ATOMIC)?;
    let mut file = case.open(descriptor, case.write_flags() | OpenFlags::ATOMIC)?;
    write_all(&mut *file, content)?;
    file.flush(Flush::Push)?;
    file.flush(Flush::Sync)?;
    Ok(file)
}

pub fn atomic_is_invisible_before_commit(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::CREATE)?;
    let content = sample(10_000);
    let descriptor = case.absent()?;
    let mut file = atomic(&case, &descriptor, &content)?;
    ensure!(
        case.look(&descriptor)?.is_none(),
        "something is under the name after a flush SYNC, before COMMIT"
    );
    file.finish(Finish::End)?;
    ensure!(case.look(&descriptor)?.is_none(), "something is under the name after END, before COMMIT");
    file.finish(Finish::Commit)?;
    case.expect(&descriptor, &content)?;
    drop(file);
    case.expect(&descriptor, &content)
}

pub fn atomic_keeps_the_old_until_commit(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::READ | OpenFlags::ATOMIC)?;
    let descriptor = case.written(b"the old content")?;
    let mut early = case.open(&descriptor, OpenFlags::READ)?;
    let file = atomic(&case, &descriptor, b"new")?;
    case.expect(&descriptor, b"the old content")?;
    case.commit(file, &descriptor, b"new")?;
    let read = read_some(&mut *early, 100)?;
    same(&read, &case.back(b"the old content")?, "what a file opened before the COMMIT reads")
}

pub fn atomic_leaves_no_trace_without_commit(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    case.needs(OpenFlags::CREATE | OpenFlags::ATOMIC)?;
    if !subject.can_look() {
        return skip("what was written cannot be seen");
    }
    for how in [Some(Finish::Discard), Some(Finish::End), None] {
        let absent = case.absent()?;
        let taken = case.written(b"old")?;
        for (descriptor, wanted) in [(absent, None), (taken, Some(case.back(b"old")?))] {
            let mut file = atomic(&case, &descriptor, b"new")?;
            if let Some(how) = how {
                file.finish(how)?;
            }
            drop(file);
            let how = how.map_or(String::new(), |how| format!("{how:?} and "));
            let what = format!("what is there after {how}close");
            same_or_none(case.look(&descriptor)?.as_deref(), wanted.as_deref(), &what)?;
        }
    }
    Ok(())
}

/// What is said after an end, and what that gives.
type Then = &'static [(Finish, Option<Code>)];

pub fn ended_files_stay_as_they_are(subject: &Subject) -> Step {
    let hosted = Hosted::start(subject)?;
    let case = &hosted.case;
    case.needs(OpenFlags::WRITE)?;
    type F = Finish;
    let ends: [(F, Then); 3] = [
        (F::Discard, &[(F::End, Some(Code::EINVAL)), (F::Commit, Some(Code::EINVAL)), (F::Discard, None)]),
        (
            F::Commit,
            &[(F::End, None), (F::Commit, None), (F::Discard, Some(Code::EINVAL)), (F::Commit, None)],
        ),
        (F::End, &[(F::End, None), (F::Commit, None), (F::End, None), (F::Discard, Some(Code::EINVAL))]),
    ];
    for (how, then) in ends {
        let descriptor = case.target()?;
        let mut file = hosted.open(&Control::new(), &descriptor, case.write_flags())?;
        let claimed = file.capabilities();
        file.write_all(b"bytes")?;
        file.finish(how)?;
        for (again, code) in std::iter::once(&(how, None)).chain(then) {
            refused(file.write(b"more"), &[Code::EBADF], &format!("write after {how:?}"))?;
            if claimed.contains(Capabilities::TRUNCATABLE) {
                refused(file.truncate(2), &[Code::EBADF], &format!("truncate after {how:?}"))?;
            }
            if claimed.contains(Capabilities::POSITIONAL_WRITE) {
                refused(file.write_at(b"more", 1), &[Code::EBADF], &format!("write_at after {how:?}"))?;
            }
            match code {
                Some(code) => refused(file.finish(*again), &[*code], &format!("{again:?} after {how:?}"))?,
                None => file.finish(*again)?,
            }
        }
        drop(file);
        if how != Finish::Discard && subject.can_look() {
            case.expect(&descriptor, b"bytes")?;
        }
    }
    Ok(())
}
