//! Files of providers in tokio, in a runtime of one thread.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod house;

use house::House;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vfs_core::{OpenFlags, OpenOptions, PolledFile};
use zvfs_test_support::bounded;
use zvfs_tokio::AsyncFile;

fn sample() -> Vec<u8> {
    (0..700_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect()
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
