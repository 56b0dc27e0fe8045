//! A netpipe over NATS against raw publishing of the same bytes through the same server, and against a netpipe over TCP.

use bytes::Bytes;
use futures_util::StreamExt;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use vfs_core::{Configuration, Finish, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{heading, pair_timed, provider_folder};
use zvfs_engines::NatsServer;
use zvfs_test_support::free_port;

/// The size of a write, and how much of it in all.
const WRITES: [(&str, usize, usize); 3] =
    [("4 KiB", 4 << 10, 32 << 20), ("64 KiB", 64 << 10, 256 << 20), ("1 MiB", 1 << 20, 256 << 20)];
/// How far raw publishing may be ahead of its subscriber: the server disconnects a slow one.
const AHEAD: usize = 4 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let Some(server) = NatsServer::debian() else { return Ok(()) };
    let text = format!(
        "provider-path = [{:?}]\n[provider.tcp]\n[provider.nats]\nsettings.servers = [{:?}]\n",
        provider_folder(),
        server.address()
    );
    let registry = || Configuration::parse(&text).map(Registry::new);
    let hosts = [registry()?, registry()?];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let over_nats = |size, total| expect(through_netpipe(&hosts, "nats:bench", size, total));
    heading("each MiB, one way", "a netpipe over NATS", "raw publishing");
    for (name, size, total) in WRITES {
        let raw = || expect(runtime.block_on(published(&server.address(), size, total)));
        pair_timed(name, (total >> 20) as u64, || over_nats(size, total), raw);
    }
    heading("each MiB, one way", "a netpipe over NATS", "a netpipe over TCP");
    for (name, size, total) in WRITES {
        let over_tcp = || {
            let descriptor = format!("tcp://127.0.0.1:{}", free_port());
            expect(through_netpipe(&hosts, &descriptor, size, total))
        };
        pair_timed(name, (total >> 20) as u64, || over_nats(size, total), over_tcp);
    }
    Ok(())
}

fn through_netpipe(
    [left, right]: &[Registry; 2],
    descriptor: &str,
    size: usize,
    total: usize,
) -> Result<Duration, Failure> {
    let mut reader = right.open(descriptor, &OpenOptions::new(OpenFlags::READ))?;
    let mut writer = left.open(descriptor, &OpenOptions::new(OpenFlags::WRITE))?;
    // Finding each other is not what is measured.
    writer.write_all(&[7])?;
    Read::read_exact(&mut reader, &mut [0])?;
    let start = Instant::now();
    let taking = thread::spawn(move || drain(&mut reader));
    let block = vec![7; size];
    for _ in 0..total / size {
        writer.write_all(&block)?;
    }
    writer.finish(Finish::Commit)?;
    let came = taking.join().map_err(|_| Failure::from("the reader panicked"))??;
    if came == total { Ok(start.elapsed()) } else { Err(format!("{came} of {total} bytes came").into()) }
}

fn drain(reader: &mut OpenFile) -> Result<usize, Failure> {
    let (mut buf, mut total) = (vec![0; 256 << 10], 0);
    loop {
        match reader.read(&mut buf)? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

async fn published(server: &str, size: usize, total: usize) -> Result<Duration, Failure> {
    let (publisher, subscriber) = (async_nats::connect(server).await?, async_nats::connect(server).await?);
    let mut messages = subscriber.subscribe("bench").await?;
    // Its own message shows that the server knows of the subscription.
    subscriber.publish("bench", Bytes::new()).await?;
    messages.next().await.ok_or("the subscription ended")?;
    let start = Instant::now();
    let (ahead, taken) = (Arc::new(Semaphore::new(AHEAD)), size.min(512 << 10) as u32);
    let room = ahead.clone();
    let publishing = tokio::spawn(async move {
        let block = Bytes::from(vec![7; taken as usize]);
        for _ in 0..total / block.len() {
            room.acquire_many(taken).await?.forget();
            publisher.publish("bench", block.clone()).await?;
        }
        publisher.flush().await?;
        Ok::<(), Failure>(())
    });
    let mut came = 0;
    while came < total {
        let message = tokio::time::timeout(Duration::from_secs(10), messages.next()).await;
        let count = message?.ok_or("the subscription ended")?.payload.len();
        ahead.add_permits(count);
        came += count;
    }
    let time = start.elapsed();
    publishing.await??;
    Ok(time)
}

fn expect(result: Result<Duration, Failure>) -> Duration {
    match result {
        Ok(time) => time,
        Err(error) => panic!("{error:?}"),
    }
}
