//! The suite over `mem`, in-process.

use zvfs_conformance::{Subject, run};

#[test]
fn in_process() {
    run(Subject::new(Box::new(zvfs_mem::Mem)).target(|name| Ok(format!("mem:{name}"))).isolated());
}
