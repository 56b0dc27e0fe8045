//! How many threads of this process pipes need.

use crate::common::*;
use netpipe::broker;
use vfs_core::{Finish, OpenOptions, Registry};

#[test]
fn a_thousand_pipes_need_one_thread_for_an_instance() {
    let broker = Running::start(broker::Config::default());
    let host = || registry(&format!("broker = \"{}\"", broker.address));
    let (reading, writing) = (host(), host());
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .unwrap()
            .filter(|task| {
                let name = task.as_ref().unwrap().path().join("comm");
                std::fs::read_to_string(name).is_ok_and(|name| name.trim() == "zvfs-netpipe")
            })
            .count()
    };
    let open = |registry: &Registry, number, flags| {
        registry.open(&format!("netpipe:p{number}"), &OpenOptions::new(flags)).unwrap()
    };
    let before = threads();
    let mut readers: Vec<_> = (0..200).map(|number| open(&reading, number, READ)).collect();
    let mut writers: Vec<_> = (0..200).map(|number| open(&writing, number, WRITE)).collect();
    for writer in &mut writers {
        writer.write_all(b"hello").unwrap();
        writer.finish(Finish::End).unwrap();
    }
    // Other tests have instances of their own; a thread for each pipe would be hundreds.
    assert!(threads() < before + 100);
    for reader in &mut readers {
        assert_eq!(read_to_end(reader), b"hello");
    }
}
