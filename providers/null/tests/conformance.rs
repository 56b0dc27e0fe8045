//! The suite over `null`: linked, through its library, and in a process of its own.

use vfs_core::{Provider, Walls};
use zvfs_conformance::{Subject, load_built, load_in_process, run};
use zvfs_null::Null;
use zvfs_test_support::provider_process;

fn subject(provider: Box<dyn Provider>) -> Subject {
    Subject::new(provider).fixed_source("null:", b"").sink(|_| Ok("null:".to_owned()))
}

#[test]
fn in_process() {
    run(subject(Box::new(Null)));
}

#[test]
fn through_the_library() {
    let library = load_built("null").unwrap();
    assert_eq!(library.info(), Null.info());
    run(subject(library));
}

#[test]
fn in_a_process_of_its_own() {
    let provider = load_in_process("null", provider_process(), &Walls::default()).unwrap();
    assert_eq!(provider.info(), Null.info());
    run(subject(provider));
}
