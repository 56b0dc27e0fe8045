//! The suite over `file`: linked, through its library, and in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use tempfile::TempDir;
use vfs_core::{OpenFlags, Provider, Walls};
use zvfs_conformance::{Blocking, Subject, load_built, load_in_process, run};
use zvfs_file::FileProvider;
use zvfs_test_support::provider_process;

/// Regular files below a root, some by URI and some by bare path.
fn regular(provider: Box<dyn Provider>, blocking: OpenFlags) {
    regular_in(&TempDir::new().unwrap(), provider, blocking);
}

fn regular_in(folder: &TempDir, provider: Box<dyn Provider>, blocking: OpenFlags) {
    let root = folder.path().to_owned();
    let path = move |name: &str| root.join(name);
    let (source, target, fifo) = (path.clone(), path.clone(), path);
    run(Subject::new(provider)
        .setting("root", folder.path().to_str().unwrap())
        .source(move |name, content| {
            fs::write(source(name), content)?;
            Ok(source(name).to_str().unwrap().to_owned())
        })
        .target(move |name| Ok(format!("file://{}", target(name).display())))
        .contents_in(folder.path())
        .blocking(move |name| {
            let fifo = zvfs_test_support::fifo(fifo(name));
            Ok(Blocking { descriptor: fifo.to_str().unwrap().to_owned(), flags: blocking })
        }));
}

/// What always takes everything, and what is always at its end.
fn devices(provider: Box<dyn Provider>) {
    run(Subject::new(provider).fixed_source("file:/dev/null", b"").sink(|_| Ok("/dev/null".to_owned())));
}

#[test]
fn regular_files_in_process() {
    regular(Box::new(FileProvider), OpenFlags::READ);
}

#[test]
fn regular_files_through_the_library() {
    regular(load_built("file").unwrap(), OpenFlags::WRITE);
}

#[test]
fn devices_in_process() {
    devices(Box::new(FileProvider));
}

#[test]
fn devices_through_the_library() {
    devices(load_built("file").unwrap());
}

fn in_process_of_its_own(walls: &Walls) -> Box<dyn Provider> {
    load_in_process("file", provider_process(), walls).unwrap()
}

#[test]
fn regular_files_in_a_process_of_its_own() {
    let folder = TempDir::new().unwrap();
    let walls = Walls { write: vec![folder.path().to_owned()], ..Walls::default() };
    regular_in(&folder, in_process_of_its_own(&walls), OpenFlags::READ);
}

#[test]
fn devices_in_a_process_of_its_own() {
    devices(in_process_of_its_own(&Walls { write: vec!["/dev".into()], ..Walls::default() }));
}
