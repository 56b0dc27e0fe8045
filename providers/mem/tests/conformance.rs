//! The suite over `mem`, in-process and through its library.

use vfs_core::Provider;
use zvfs_conformance::{Subject, load_built, run};
use zvfs_mem::Mem;

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
