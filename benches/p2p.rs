//! A netpipe between peers, on loopback, against a stream of bare QUIC by the same library, and against a netpipe over TCP; and a round trip.
//! Then one whose ends meet on this host, against a FIFO, and against a netpipe over TCP that stays there.

use iroh::endpoint::{Connection, RecvStream, SendStream, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use vfs_core::{Finish, Flush, OpenFlags, OpenOptions, Registry};
use zvfs_benches::host::host;
use zvfs_benches::peers::Failure;
use zvfs_benches::pipes::{FAR, drain, expect, meet, on_one_host, over_tcp, rows, through};
use zvfs_benches::{heading, is_wanted, pair_timed};
use zvfs_test_support::free_port;

const READ: usize = 256 << 10;
const TRIPS: u64 = 2_000;
const ALPN: &[u8] = b"bench";
const PEERS: [&str; 2] = ["p2p:there", "p2p:back"];

fn main() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let hosts = circle(folder.path(), "same-host = \"off\"")?;
    if is_wanted("on one host") {
        let folder = tempfile::tempdir()?;
        let together = circle(folder.path(), "same-host-after = 0")?;
        on_one_host("a netpipe between peers", &together, "p2p:bench", folder.path());
        trips_on_one_host(&together);
    }
    if !is_wanted("by QUIC") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    let quic = Quic::new(&runtime)?;
    let over_p2p = ("a netpipe between peers", |size, total| through(&hosts, "p2p:bench", size, total));
    let bare = |size, total| runtime.block_on(quic.through(size, total));
    rows("each MiB, one way", over_p2p, ("a stream of bare QUIC", bare), &FAR);
    let over_tcp = |size, total| over_tcp(&hosts, size, total);
    rows("each MiB, one way", over_p2p, ("a netpipe over TCP", over_tcp), &FAR);
    heading("a round trip of 64 bytes", "two netpipes between peers", "a stream of bare QUIC");
    let trips = || expect(trips_by_netpipe(&hosts, &PEERS.map(str::to_owned)));
    pair_timed("there and back", TRIPS, trips, || expect(runtime.block_on(quic.trips())));
    Ok(())
}

fn trips_on_one_host(together: &[Registry; 2]) {
    heading("a round trip of 64 bytes, on one host", "two netpipes between peers", "two over TCP");
    let over_tcp = || {
        let descriptors = [(); 2].map(|()| format!("tcp://127.0.0.1:{}", free_port()));
        expect(trips_by_netpipe(together, &descriptors))
    };
    let trips = || expect(trips_by_netpipe(together, &PEERS.map(str::to_owned)));
    pair_timed("there on one, back on the other", TRIPS, trips, over_tcp);
}

/// Two hosts in one process that are each other's peers.
fn circle(folder: &Path, same_host: &str) -> Result<[Registry; 2], Failure> {
    let sockets = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
    let mut known = Vec::new();
    for (at, socket) in sockets.iter().enumerate() {
        let (key, path) = (SecretKey::generate(), folder.join(at.to_string()));
        let mut digits = String::new();
        key.to_bytes().iter().try_for_each(|byte| write!(digits, "{byte:02x}"))?;
        fs::write(&path, digits)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        known.push((path, socket.local_addr()?, key.public()));
    }
    drop(sockets);
    let entries: Vec<String> = known.iter().map(|(_, at, key)| format!("{key}@{at}")).collect();
    let peer = |at: usize| {
        let (path, place, _) = &known[at];
        host(&format!(
            "[provider.tcp]\nsettings.same-host = \"off\"\n[provider.p2p]\n\
             settings = {{ key-file = {path:?}, listen = [\"{place}\"], peers = {entries:?}, {same_host} }}\n"
        ))
    };
    Ok([peer(0)?, peer(1)?])
}

fn trips_by_netpipe([left, right]: &[Registry; 2], [there, back]: &[String; 2]) -> Result<Duration, Failure> {
    let (read, write) = (OpenOptions::new(OpenFlags::READ), OpenOptions::new(OpenFlags::WRITE));
    let (mut asked, mut answer) = (right.open(there, &read)?, left.open(back, &read)?);
    let (mut request, mut answered) = (left.open(there, &write)?, right.open(back, &write)?);
    meet(&mut request, &mut asked)?;
    meet(&mut answered, &mut answer)?;
    let start = Instant::now();
    let echo = thread::spawn(move || -> Result<(), Failure> {
        let mut buf = [0; 64];
        for _ in 0..TRIPS {
            Read::read_exact(&mut asked, &mut buf)?;
            answered.write_all(&buf)?;
        }
        Ok(answered.finish(Finish::Commit)?)
    });
    let mut buf = [0; 64];
    for _ in 0..TRIPS {
        request.write_all(&[7; 64])?;
        request.flush(Flush::Push)?;
        Read::read_exact(&mut answer, &mut buf)?;
    }
    let time = start.elapsed();
    // The end, which the other side's COMMIT waits for.
    drain(&mut answer)?;
    echo.join().map_err(|_| Failure::from("the other thread panicked"))??;
    Ok(time)
}

/// Two endpoints of the library's, connected.
struct Quic {
    left: Connection,
    right: Connection,
    _endpoints: [Endpoint; 2],
}

impl Quic {
    fn new(runtime: &Runtime) -> Result<Quic, Failure> {
        runtime.block_on(async {
            let endpoint = async || -> Result<Endpoint, Failure> {
                let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled);
                let builder = builder.alpns(vec![ALPN.to_vec()]).clear_ip_transports();
                Ok(builder.bind_addr("127.0.0.1:0")?.bind().await?)
            };
            let (from, to) = (endpoint().await?, endpoint().await?);
            let address = EndpointAddr::new(to.id()).with_ip_addr(to.bound_sockets()[0]);
            let taken = async { to.accept().await.ok_or("the endpoint ended")?.await.map_err(Failure::from) };
            let dialled = async { from.connect(address, ALPN).await.map_err(Failure::from) };
            let (right, left) = tokio::try_join!(taken, dialled)?;
            Ok(Quic { left, right, _endpoints: [from, to] })
        })
    }

    /// Bytes one way, and one back that says that all came.
    async fn through(&self, size: usize, total: usize) -> Result<Duration, Failure> {
        let start = Instant::now();
        let sent = async {
            let (mut send, mut receive) = self.left.open_bi().await?;
            let block = vec![7; size];
            for _ in 0..total / size {
                send.write_all(&block).await?;
            }
            send.finish()?;
            receive.read_exact(&mut [0]).await?;
            Ok::<_, Failure>(())
        };
        let right = self.right.clone();
        let taken = tokio::spawn(async move {
            let (mut send, mut receive) = right.accept_bi().await?;
            let (mut buf, mut came) = (vec![0; READ], 0);
            while let Some(count) = receive.read(&mut buf).await? {
                came += count;
            }
            send.write_all(&[1]).await?;
            send.finish()?;
            Ok::<_, Failure>(came)
        });
        sent.await?;
        let came = taken.await??;
        if came == total { Ok(start.elapsed()) } else { Err(format!("{came} of {total} bytes came").into()) }
    }

    async fn trips(&self) -> Result<Duration, Failure> {
        let right = self.right.clone();
        let echo = tokio::spawn(async move {
            let (send, receive) = right.accept_bi().await?;
            echo(send, receive).await
        });
        let (mut send, mut receive) = self.left.open_bi().await?;
        let start = Instant::now();
        let mut buf = [0; 64];
        for _ in 0..TRIPS {
            send.write_all(&[7; 64]).await?;
            receive.read_exact(&mut buf).await?;
        }
        let time = start.elapsed();
        send.finish()?;
        echo.await??;
        Ok(time)
    }
}

async fn echo(mut send: SendStream, mut receive: RecvStream) -> Result<(), Failure> {
    let mut buf = [0; 64];
    while let Some(count) = receive.read(&mut buf).await? {
        send.write_all(&buf[..count]).await?;
    }
    Ok(())
}
