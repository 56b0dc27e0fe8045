//! Files of providers in tokio, in a runtime of one thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use vfs_core::{Configuration, Jobs, OpenFlags, OpenOptions, PolledFile, Registry};
use zvfs_test_support::{alone, bounded, built, fifo};
use zvfs_tokio::AsyncFile;

/// A host with one thread.
struct House {
    registry: Registry,
    jobs: Jobs,
    runtime: Runtime,
    folder: TempDir,
}

impl House {
    fn new() -> House {
        House {
            registry: Registry::new(Configuration::with_provider_path([built()])),
            jobs: Jobs::new(4),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            folder: TempDir::new().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn open(&self, descriptor: &str, flags: OpenFlags) -> AsyncFile {
        let options = OpenOptions::new(flags);
        AsyncFile::new(PolledFile::new(self.registry.open(descriptor, &options).unwrap(), self.jobs.clone()))
    }
}

fn sample() -> Vec<u8> {
    (0..700_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect()
}

/// The runtime's one thread waits for all of them; whatever else runs is the test's.
#[test]
fn two_hundred_fifos_wait_on_one_thread() {
    alone(|| {
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

#[test]
fn a_regular_file_is_there_with_its_shutdown() {
    bounded(|| {
        let house = House::new();
        let path = house.path("new");
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::ATOMIC;
        house.runtime.block_on(async {
            let mut file = house.open(&path, flags);
            file.write_all(&sample()).await.unwrap();
            assert!(!fs::exists(&path).unwrap(), "there before its COMMIT");
            file.shutdown().await.unwrap();
            assert!(fs::read(&path).unwrap() == sample());
            let mut came = Vec::new();
            house.open(&path, OpenFlags::READ).read_to_end(&mut came).await.unwrap();
            assert!(came == sample());
        });
    });
}

#[test]
fn a_netpipe_goes_through_both_its_ends_in_one_task() {
    bounded(|| {
        let house = House::new();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let descriptor = format!("tcp://127.0.0.1:{port}");
        house.runtime.block_on(async {
            let mut reader = house.open(&descriptor, OpenFlags::READ);
            let mut writer = house.open(&descriptor, OpenFlags::WRITE);
            let (content, mut came) = (sample(), Vec::new());
            let (sent, read) = tokio::join!(
                async {
                    writer.write_all(&content).await?;
                    writer.shutdown().await
                },
                reader.read_to_end(&mut came)
            );
            sent.unwrap();
            read.unwrap();
            assert!(came == content);
        });
    });
}

#[test]
fn an_open_that_fails_is_the_first_calls_error() {
    bounded(|| {
        let house = House::new();
        let options = OpenOptions::new(OpenFlags::READ);
        let file =
            PolledFile::open(&house.registry, &house.path("absent"), options, house.jobs.clone()).unwrap();
        let read = house.runtime.block_on(async { AsyncFile::new(file).read_u8().await });
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    });
}
