//! Work on names rather than open files.

use crate::case::Case;
use crate::steps::{ensure, refused, sample, skip};
use crate::subject::Subject;
use crate::suite::{Step, Stop};
use std::ops::ControlFlow;
use vfs_core::{Code, Control, Kind, Namespace, Stat};

/// The namespace, or a skip.
fn namespace<'a>(case: &'a Case<'_>) -> Step<&'a dyn Namespace> {
    match case.instance.namespace() {
        Some(namespace) => Ok(namespace),
        None => skip("the provider has no namespace"),
    }
}

fn stat(case: &Case<'_>, names: &dyn Namespace, descriptor: &str) -> vfs_core::Result<Stat> {
    case.request(descriptor, &Control::new(), |request| names.stat(&request))
}

pub fn namespace_stats_names(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let (descriptor, content) = case.source(&sample(12_345))?;
    let found = match stat(&case, names, &descriptor) {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        found => found?,
    };
    let wanted = content.len() as u64;
    ensure!(found.size.is_none_or(|size| size == wanted), "stat says {:?}, expected {wanted}", found.size);
    ensure!(found.kind != Kind::Directory, "stat says that a file is a directory");
    match case.absent() {
        Ok(absent) => refused(stat(&case, names, &absent), &[Code::ENOENT], "stat of an absent name"),
        Err(Stop::Skip(_)) => Ok(()),
        Err(fail) => Err(fail),
    }
}

pub fn namespace_removes_names(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let descriptor = case.written(b"to be removed")?;
    let remove = || case.request(&descriptor, &Control::new(), |request| names.remove(&request));
    match remove() {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        removed => removed?,
    }
    ensure!(case.look(&descriptor)?.is_none(), "it is still there after remove");
    refused(remove(), &[Code::ENOENT], "removing it again")?;
    refused(stat(&case, names, &descriptor), &[Code::ENOENT], "stat of a removed name")
}

pub fn namespace_lists_no_odd_names(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let (descriptor, _) = case.source(b"one entry")?;
    let list = |descriptor: &str, each: &mut dyn FnMut(&str) -> ControlFlow<()>| {
        case.request(descriptor, &Control::new(), |request| {
            names.list(&request, &mut |entry| each(entry.name))
        })
    };
    match list(&descriptor, &mut |_| ControlFlow::Continue(())) {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        listed => refused(listed, &[Code::ENOTDIR], "listing what is no directory")?,
    }

    // The folder of a source is everything up to its last separator, if the provider's names are like that.
    let Some(end) = descriptor.rfind(['/', ':']) else { return Ok(()) };
    let (folder, name) = (&descriptor[..=end], &descriptor[end + 1..]);
    if !stat(&case, names, folder).is_ok_and(|stat| stat.kind == Kind::Directory) {
        return Ok(());
    }
    let mut found: Vec<String> = Vec::new();
    list(folder, &mut |name| {
        found.push(name.to_owned());
        ControlFlow::Continue(())
    })?;
    for (at, entry) in found.iter().enumerate() {
        let odd = entry.is_empty() || entry.contains(['/', '\0']) || entry == "." || entry == "..";
        ensure!(!odd, "the entry {entry:?} is not a single component");
        ensure!(!found[..at].contains(entry), "the entry {entry:?} came twice");
    }
    ensure!(found.iter().any(|entry| entry == name), "{name:?} is not among the {} entries", found.len());

    let mut calls = 0;
    list(folder, &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    })?;
    ensure!(calls == 1, "{calls} entries came after the listing was broken off at the first");
    Ok(())
}
