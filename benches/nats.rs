//! A netpipe over NATS against raw publishing of the same bytes through the same server, and against a netpipe over TCP; and one whose ends
//! meet on this host against a FIFO, and against a netpipe over TCP that stays there.

use bytes::Bytes;
use futures_util::StreamExt;
use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use vfs_core::{Configuration, Finish, OpenFile, OpenFlags, OpenOptions, Registry};
use zvfs_benches::{heading, is_wanted, pair_timed, peers, provider_folder};
use zvfs_engines::NatsServer;
use zvfs_test_support::free_port;

/// The size of a write, and how much of it in all.
const WRITES: [(&str, usize, usize); 3] =
    [("4 KiB", 4 << 10, 32 << 20), ("64 KiB", 64 << 10, 256 << 20), ("1 MiB", 1 << 20, 256 << 20)];
/// The same where memory carries everything.
const TOGETHER: [(&str, usize, usize); 4] = [
    ("64 bytes", 64, 4 << 20),
    ("4 KiB", 4 << 10, 128 << 20),
    ("64 KiB", 64 << 10, 512 << 20),
    ("1 MiB", 1 << 20, 512 << 20),
];
/// Writes after which the ends have met.
const WARM: usize = 100;
/// How far raw publishing may be ahead of its subscriber: the server disconnects a slow one.
const AHEAD: usize = 4 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let Some(server) = NatsServer::debian() else { return Ok(()) };
    let hosts = |same_host: &str| {
        let text = format!(
            "provider-path = [{:?}]\n[provider.tcp]\nsettings.same-host = \"off\"\n[provider.nats]\n\
             settings = {{ servers = [{:?}], {same_host} }}\n",
            provider_folder(),
            server.address()
        );
        let registry = || Configuration::parse(&text).map(Registry::new);
        Ok::<_, Failure>([registry()?, registry()?])
    };
    let (hosts, together) = (hosts("same-host = \"off\"")?, hosts("same-host-after = 0")?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let over_nats = |size, total| expect(through_netpipe(&hosts, "nats:bench", size, total));
    if is_wanted("on one host") {
        on_one_host(&together)?;
    }
    if !is_wanted("through a server") {
        return Ok(());
    }
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

fn on_one_host(together: &[Registry; 2]) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let fifo = folder.path().join("fifo");
    peers::make_fifo(&fifo)?;
    let ours = |size, total| expect(through_netpipe(together, "nats:bench", size, total));
    let title = "each MiB, one way, on one host";
    heading(title, "a netpipe over NATS", "a FIFO");
    for (name, size, total) in TOGETHER {
        let peer = || expect(peers::through_fifo(&fifo, size, total));
        pair_timed(name, (total >> 20) as u64, || ours(size, total), peer);
    }
    heading(title, "a netpipe over NATS", "a netpipe over TCP");
    for (name, size, total) in TOGETHER {
        let over_tcp = || {
            let descriptor = format!("tcp://127.0.0.1:{}", free_port());
            expect(through_netpipe(together, &descriptor, size, total))
        };
        pair_timed(name, (total >> 20) as u64, || ours(size, total), over_tcp);
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
    for _ in 0..WARM {
        writer.write_all(&[7])?;
        Read::read_exact(&mut reader, &mut [0])?;
    }
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
