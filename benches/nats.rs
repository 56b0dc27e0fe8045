//! A netpipe over NATS against raw publishing of the same bytes through the same server, and against a netpipe over TCP; and one whose ends
//! meet on this host against a FIFO, and against a netpipe over TCP that stays there.

use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use zvfs_benches::host::host;
use zvfs_benches::is_wanted;
use zvfs_benches::peers::Failure;
use zvfs_benches::pipes::{FAR, on_one_host, over_tcp, rows, through};
use zvfs_engines::NatsServer;

/// How far raw publishing may be ahead of its subscriber: the server disconnects a slow one.
const AHEAD: usize = 4 << 20;

fn main() -> Result<(), Failure> {
    let Some(server) = NatsServer::debian() else { return Ok(()) };
    let hosts = |same_host: &str| {
        let sections = format!(
            "[provider.tcp]\nsettings.same-host = \"off\"\n[provider.nats]\nsettings = {{ servers = [{:?}], {same_host} }}\n",
            server.address()
        );
        Ok::<_, Failure>([host(&sections)?, host(&sections)?])
    };
    let folder = tempfile::tempdir()?;
    if is_wanted("on one host") {
        on_one_host("a netpipe over NATS", &hosts("same-host-after = 0")?, "nats:bench", folder.path());
    }
    if !is_wanted("through a server") {
        return Ok(());
    }
    let hosts = hosts("same-host = \"off\"")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let over_nats = ("a netpipe over NATS", |size, total| through(&hosts, "nats:bench", size, total));
    let raw = |size, total| runtime.block_on(published(&server.address(), size, total));
    rows("each MiB, one way", over_nats, ("raw publishing", raw), &FAR);
    let over_tcp = |size, total| over_tcp(&hosts, size, total);
    rows("each MiB, one way", over_nats, ("a netpipe over TCP", over_tcp), &FAR);
    Ok(())
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
