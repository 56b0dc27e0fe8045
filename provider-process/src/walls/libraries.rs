//! Which files the dynamic linker needs for a library: those that it names, those that these name, and so on.
//!
//! A library is not trusted: it may name any file. So only what is itself a shared library is found, and whoever gets it gets that
//! very file.

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, ET_DYN, FileHeader64};
use object::read::elf::{Dyn, FileHeader};
use object::{Endianness, ReadCache, ReadRef};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Where the dynamic linker looks in the end. Its cache may name more: then `read` must.
pub const FOLDERS: [&str; 6] =
    ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"];
/// More libraries than any provider links to.
const LIBRARIES_MAX: usize = 1000;

/// What a library says of others.
struct Links {
    needed: Vec<String>,
    /// Folders to look in.
    run_path: Vec<String>,
}

/// The open files of the libraries that a library links to, outside of [`FOLDERS`] too. What is not found is the dynamic linker's to
/// complain of.
pub fn needed_by(library: &File) -> Vec<File> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    // The library itself is loaded by a descriptor, so nothing lies beside it.
    let mut waiting: Vec<(Links, Option<PathBuf>)> =
        links(library).map(|links| (links, None)).into_iter().collect();
    while let Some((links, folder)) = waiting.pop() {
        for name in &links.needed {
            let Some((path, file, links)) = find(name, &links.run_path, folder.as_deref()) else { continue };
            if seen.len() < LIBRARIES_MAX && seen.insert(path.clone()) {
                waiting.push((links, path.parent().map(Path::to_owned)));
                found.push(file);
            }
        }
    }
    found
}

/// The first library of this name in the folders.
fn find(name: &str, run_path: &[String], beside: Option<&Path>) -> Option<(PathBuf, File, Links)> {
    let in_folder = |folder: &String| {
        let folder = match (folder.strip_prefix("$ORIGIN").or(folder.strip_prefix("${ORIGIN}")), beside) {
            (Some(rest), Some(beside)) => beside.join(rest.trim_start_matches('/')),
            (Some(_), None) => return None,
            (None, _) => PathBuf::from(folder),
        };
        Some(folder.join(name))
    };
    let paths: Vec<PathBuf> = match name.contains('/') {
        true => vec![PathBuf::from(name)],
        false => {
            let system = FOLDERS.iter().map(|folder| Path::new(folder).join(name));
            run_path.iter().filter_map(in_folder).chain(system).collect()
        }
    };
    paths.into_iter().filter(|path| path.is_absolute()).find_map(|path| {
        // Looked at before it is opened: opening a FIFO waits for its writer.
        let path = path.canonicalize().ok().filter(|path| path.is_file())?;
        let file = File::open(&path).ok()?;
        let links = links(&file)?;
        Some((path, file, links))
    })
}

/// What a file says of others; `None`: it is no shared library.
fn links(file: &File) -> Option<Links> {
    let cache = ReadCache::new(file);
    parse(&cache).ok().flatten()
}

fn parse<'d, R: ReadRef<'d>>(data: R) -> object::Result<Option<Links>> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    if header.e_type(endian) != ET_DYN {
        return Ok(None);
    }
    let mut links = Links { needed: Vec::new(), run_path: Vec::new() };
    let sections = header.sections(endian, data)?;
    let Some((entries, strings)) = sections.dynamic(endian, data)? else { return Ok(Some(links)) };
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        let at = u32::try_from(entry.d_val(endian)).ok();
        let text = at.and_then(|at| std::str::from_utf8(strings.get(at).ok()?).ok());
        match (entry.d_tag(endian), text) {
            (DT_NEEDED, Some(text)) => links.needed.push(text.to_owned()),
            (DT_RPATH | DT_RUNPATH, Some(text)) => links.run_path.extend(text.split(':').map(str::to_owned)),
            _ => {}
        }
    }
    Ok(Some(links))
}
