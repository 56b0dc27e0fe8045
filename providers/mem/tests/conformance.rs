//! The suite over `mem`: linked, through its library, and in a process of its own.

use vfs_core::{Provider, Walls};
use zvfs_conformance::{Subject, load_built, load_in_process, run};
use zvfs_mem::Mem;
use zvfs_test_support::provider_process;

fn subject(provider: Box<dyn Provider>) -> Subject {
    Subject::new(provider).target(|name| Ok(format!("mem:{name}"))).isolated()
}

#[test]
fn in_process() {
    run(subject(Box::new(Mem)));
}

#[test]
fn through_the_library() {
    let library = load_built("mem").unwrap();
    assert_eq!(library.info(), Mem.info());
    run(subject(library));
}

#[test]
fn in_a_process_of_its_own() {
    let provider = load_in_process("mem", provider_process(), &Walls::default()).unwrap();
    assert_eq!(provider.info(), Mem.info());
    run(subject(provider));
}
