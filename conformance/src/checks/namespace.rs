//! Work on names rather than open files.

use crate::case::{self, Case};
use crate::step::{Step, Stop};
use crate::steps::{ensure, refused, sample, sized, skip};
use crate::subject::Subject;
use crate::watched::Watched;
use std::ops::ControlFlow;
use std::sync::Arc;
use vfs_core::{Code, Control, Finish, Host, Kind, Namespace, OpenFlags, Stat};

/// The namespace, or a skip.
pub fn namespace<'a>(case: &'a Case<'_>) -> Step<&'a dyn Namespace> {
    match case.instance.namespace() {
        Some(namespace) => Ok(namespace),
        None => skip("the provider has no namespace"),
    }
}

pub fn stat(case: &Case<'_>, names: &dyn Namespace, descriptor: &str) -> vfs_core::Result<Stat> {
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
    let size = sized(found.size);
    ensure!(found.size.is_none_or(|size| size == wanted), "stat says {size}, expected {wanted}");
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

pub fn folders_are_made_and_removed(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let folder = case.absent()?;
    let control = Control::new();
    let make = || case.request(&folder, &control, |request| names.make_folder(&request));
    let remove =
        |descriptor: &str| case.request(descriptor, &control, |request| names.remove_folder(&request));
    match make() {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        made => made?,
    }
    let found = stat(&case, names, &folder)?;
    ensure!(found.kind == Kind::Directory, "stat of a new folder says {:?}", found.kind);
    refused(make(), &[Code::EEXIST], "making it again")?;
    let removed = case.request(&folder, &control, |request| names.remove(&request));
    refused(removed, &[Code::EISDIR], "removing it as a file")?;
    remove(&folder)?;
    refused(stat(&case, names, &folder), &[Code::ENOENT], "stat of a removed folder")?;
    refused(remove(&folder), &[Code::ENOENT], "removing it again")?;
    let file = case.written(b"no folder")?;
    refused(remove(&file), &[Code::ENOTDIR], "removing a file as a folder")
}

pub fn layers_pass_folders_on(subject: &Subject) -> Step {
    let watched = Arc::new(Watched::trying_folders(case::host(subject)));
    let case = Case::start_under(subject, Host::new(watched.clone()))?;
    case.needs(OpenFlags::WRITE)?;
    let names = namespace(&case)?;
    let mut file = case.open(&case.absent()?, case.write_flags())?;
    file.finish(Finish::Discard)?;
    drop(file);
    if !watched.makes_folders() {
        return Ok(());
    }
    let (folder, control) = (case.absent()?, Control::new());
    match case.request(&folder, &control, |request| names.make_folder(&request)) {
        Err(error) if error.code() == Code::ENOTSUP => {
            Err(Stop::Fail(format!("the provider beneath makes folders, and the layer does not: {error}")))
        }
        made => {
            made?;
            Ok(case.request(&folder, &control, |request| names.remove_folder(&request))?)
        }
    }
}

/// Each name of a folder, as the suite compares them, until the function breaks off.
type List<'a> = dyn Fn(&str, &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> vfs_core::Result<()> + 'a;

pub fn namespace_lists_no_odd_names(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    listed(&case, names, &|folder, each| {
        case.request(folder, &Control::new(), |request| {
            names.list(&request, &mut |entry| each(entry.name.as_bytes()))
        })
    })
    .map(drop)
}

pub fn names_are_bytes(subject: &Subject) -> Step {
    let case = Case::start(subject)?;
    let names = namespace(&case)?;
    let listed = listed(&case, names, &|folder, each| {
        case.request(folder, &Control::new(), |request| names.names(&request, &mut |name| each(name.bytes)))
    })?;
    let Some((folder, listed)) = listed else { return Ok(()) };
    let mut missing = Vec::new();
    case.request(&folder, &Control::new(), |request| {
        names.list(&request, &mut |entry| {
            if !listed.iter().any(|name| name == entry.name.as_bytes()) {
                missing.push(entry.name.to_owned());
            }
            ControlFlow::Continue(())
        })
    })?;
    ensure!(missing.is_empty(), "the namespace lists what zvfs.names/1 does not: {missing:?}");
    Ok(())
}

/// Lists a file, which is refused, and its folder, whose names it returns: everything up to a source's last separator, if the
/// provider's names are like that.
fn listed(case: &Case<'_>, names: &dyn Namespace, list: &List<'_>) -> Step<Option<(String, Vec<Vec<u8>>)>> {
    let (descriptor, _) = case.source(b"one entry")?;
    match list(&descriptor, &mut |_| ControlFlow::Continue(())) {
        Err(error) if error.code() == Code::ENOTSUP => return skip(error.chain()),
        listed => refused(listed, &[Code::ENOTDIR], "listing what is no directory")?,
    }
    let Some(end) = descriptor.rfind(['/', ':']) else { return Ok(None) };
    let (folder, name) = (&descriptor[..=end], &descriptor[end + 1..]);
    if !stat(case, names, folder).is_ok_and(|stat| stat.kind == Kind::Directory) {
        return Ok(None);
    }
    let mut found: Vec<Vec<u8>> = Vec::new();
    list(folder, &mut |name| {
        found.push(name.to_owned());
        ControlFlow::Continue(())
    })?;
    for (at, entry) in found.iter().enumerate() {
        let odd = entry.is_empty()
            || entry.contains(&b'/')
            || entry.contains(&0)
            || entry == b"."
            || entry == b"..";
        let shown = entry.escape_ascii();
        ensure!(!odd, "the entry \"{shown}\" is not a single component");
        ensure!(!found[..at].contains(entry), "the entry \"{shown}\" came twice");
    }
    ensure!(
        found.iter().any(|entry| entry == name.as_bytes()),
        "{name:?} is not among the {} entries",
        found.len()
    );

    let mut calls = 0;
    list(folder, &mut |_| {
        calls += 1;
        ControlFlow::Break(())
    })?;
    ensure!(calls == 1, "{calls} entries came after the listing was broken off at the first");
    Ok(Some((folder.to_owned(), found)))
}
