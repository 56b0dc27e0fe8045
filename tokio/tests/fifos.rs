//! Many files that wait in a runtime of one thread. By itself, since it counts the process's threads.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod house;

use house::House;
use std::fs;
use tokio::io::AsyncReadExt;
use vfs_core::OpenFlags;
use zvfs_test_support::{bounded, fifo};

/// The runtime's one thread waits for all of them; whatever else runs is the test's.
#[test]
fn two_hundred_fifos_wait_on_one_thread() {
    bounded(|| {
        let house = House::new();
        let paths: Vec<_> = (0..200).map(|at| house.path(&at.to_string())).collect();
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let files: Vec<_> = paths
            .iter()
            .map(|path| house.open(fifo(path.into()).to_str().unwrap(), OpenFlags::READ))
            .collect();
        let before = threads();
        house.runtime.block_on(async {
            let tasks: Vec<_> = files
                .into_iter()
                .map(|mut file| {
                    house.runtime.spawn(async move {
                        let mut text = String::new();
                        file.read_to_string(&mut text).await.map(|_| text)
                    })
                })
                .collect();
            // All of them wait by now.
            tokio::task::yield_now().await;
            assert_eq!(threads(), before);
            for (at, (path, task)) in paths.iter().zip(tasks).enumerate() {
                fs::write(path, format!("bytes {at}")).unwrap();
                assert_eq!(task.await.unwrap().unwrap(), format!("bytes {at}"));
            }
        });
    });
}
