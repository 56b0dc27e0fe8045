//! The suite over `null`, in-process.

use zvfs_conformance::{Subject, run};

#[test]
fn in_process() {
    run(Subject::new(Box::new(zvfs_null::Null)).fixed_source("null:", b"").sink(|_| Ok("null:".to_owned())));
}
