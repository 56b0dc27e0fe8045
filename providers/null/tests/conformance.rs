//! The suite over `null`, in-process and through its library.

use vfs_core::Provider;
use zvfs_conformance::{Subject, load_built, run};
use zvfs_null::Null;

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
