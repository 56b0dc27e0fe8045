//! This side among its peers: a socket, a key, connections, and the readers that are here.

use crate::discovery::{Announced, Discovery};
use crate::greet::greet;
use crate::link::{ALPN, CONNECTIONS, Link, STRANGER};
use crate::names::Names;
use crate::peers::Parties;
use crate::settings::Config;
use crate::stream::Stream;
use crate::tasks::Tasks;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, QuicTransportConfig, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, PublicKey, RelayMode};
use netpipe::handshake::TIMEOUT;
use netpipe::repeats::Repeats;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use vfs_core::{Code, Host, Level};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::{Runtime, Task};

/// Streams that a peer may have open at once on each of its connections: its writers of this side's readers, those that wait included.
const STREAMS: u32 = 4096 / CONNECTIONS as u32;
/// Bytes of a peer's that may wait here, in all streams of a connection.
const UNREAD: u32 = (64 << 20) / CONNECTIONS as u32;
/// Handshakes at once. From half as many on, whoever knocks shows first that it is where it says.
const HANDSHAKES: usize = 64;
/// For the peers to learn that this side leaves.
const FAREWELL: Duration = Duration::from_millis(100);

/// This side.
pub struct Node {
    endpoint: Endpoint,
    own: PublicKey,
    /// How this side is told of.
    own_name: String,
    links: HashMap<PublicKey, Arc<Link>>,
    /// The readers that are here.
    pub names: Names,
    host: Host,
    /// What runs here.
    pub tasks: Tasks,
    strangers: Mutex<Repeats>,
    /// Whether nobody is looked for any more.
    stopping: watch::Sender<bool>,
    /// How others find this side, if they may.
    announced: Mutex<Option<Announced>>,
}

impl Node {
    /// Opens the socket, and begins to serve. Ends when the receiver's senders are gone and [`leave`](Node::leave) was called.
    ///
    /// # Errors
    /// EADDRINUSE, ...: what the system says of the socket, and of those that announce it.
    pub async fn start(
        config: &Config,
        host: Host,
        runtime: Runtime,
    ) -> Attempt<(Arc<Node>, mpsc::Receiver<Infallible>)> {
        let endpoint = bind(config).await?;
        let (tasks, lives) = Tasks::new(runtime);
        let own = config.key.public();
        let announced = match config.discover {
            true => Some(Announced::new(own, &endpoint.bound_sockets(), &host)?),
            false => None,
        };
        let discovery = config.discover.then(|| Arc::new(Discovery::new()));
        let link = |key| {
            let relays = config.relays.iter().cloned();
            let listed = relays.fold(config.peers.address(key), EndpointAddr::with_relay_url);
            let name = config.peers.name(key).map_or_else(|| key.fmt_short().to_string(), str::to_owned);
            (key, Arc::new(Link::new(name, listed, discovery.clone())))
        };
        let own_name = match config.peers.name(own) {
            Some(name) => format!("this side, which `peers` calls {name}"),
            None if config.peers.keys().next().is_none() => {
                "this side, since `peers` lists nobody else".to_owned()
            }
            None => "this side".to_owned(),
        };
        let node = Arc::new(Node {
            own,
            own_name,
            links: config.peers.keys().filter(|key| *key != own).map(link).collect(),
            names: Names::new(),
            host,
            tasks,
            strangers: Mutex::new(Repeats::new(10, Duration::from_secs(60))),
            stopping: watch::Sender::new(false),
            announced: Mutex::new(announced),
            endpoint,
        });
        let places: Vec<String> = node.endpoint.bound_sockets().iter().map(ToString::to_string).collect();
        node.host.log(Level::Info, &format!("p2p: this side is {own} at {}", places.join(", ")));
        for (key, link) in &node.links {
            let (serving, key, link) = (node.clone(), *key, link.clone());
            node.tasks.spawn(async move {
                link.keep(serving.endpoint.clone(), |connection| serving.serve(key, connection)).await;
            });
        }
        if let Some(discovery) = discovery {
            node.tasks.spawn(async move { discovery.ask().await });
        }
        node.tasks.spawn(node.clone().accept());
        Ok((node, lives))
    }

    /// Each of these that there is, by its key.
    pub fn candidates(&self, parties: &Parties) -> Vec<PublicKey> {
        match parties {
            Parties::One(key) => vec![*key],
            Parties::Known => self.links.keys().copied().chain([self.own]).collect(),
        }
    }

    /// Has peers dialled that do not know where this side is, until the results are dropped. `note` is told by their names why they
    /// are not connected, as far as that is known.
    pub fn seek(
        &self,
        parties: &Parties,
        note: impl Fn(&str, Option<String>) + Clone + Send + Sync + 'static,
    ) -> Vec<Task<()>> {
        if self.candidates(parties) == [self.own] {
            note(&self.own_name, Some("nobody in this process has written yet".to_owned()));
        }
        let links = self.candidates(parties).into_iter().filter_map(|key| self.links.get(&key).cloned());
        let watch = |link: Arc<Link>| {
            let note = note.clone();
            self.tasks.spawn_held(async move {
                let name = link.told_of();
                link.watch(|trouble| note(&name, trouble)).await;
            })
        };
        links.map(watch).collect()
    }

    /// How a peer is told of.
    pub fn name(&self, key: PublicKey) -> String {
        self.links.get(&key).map_or_else(|| self.own_name.clone(), |link| link.told_of())
    }

    /// A new stream to a peer, or to this side itself. `note` is told why there is none yet, as far as that is known.
    ///
    /// # Errors
    /// EACCES: the peer does not serve this side.
    pub async fn open(self: &Arc<Self>, key: PublicKey, note: impl Fn(Option<String>)) -> Attempt<Stream> {
        let Some(link) = self.links.get(&key) else {
            let (stream, other) = Stream::local();
            self.greet(key, other);
            return Ok(stream);
        };
        loop {
            let connection = link.connection(&note).await;
            if let Ok((outgoing, incoming)) = connection.open_bi().await {
                return Ok(Stream::remote(outgoing, incoming));
            }
            // It has just ended: there will be another, or a reason.
            if let Some(failure) = link.refusal() {
                return Err(failure);
            }
        }
    }

    /// Why a peer will not have this side, if that is known by now.
    pub fn refusal(&self, key: PublicKey) -> Option<Failure> {
        self.links.get(&key).and_then(|link| link.refusal())
    }

    /// Waits until nobody is to be looked for any more.
    pub async fn stopping(&self) {
        // The sender is here.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// Says on the local network that this side goes.
    ///
    /// # Blocking
    /// For a second at most.
    pub fn hide(&self) {
        let announced = self.announced.lock().take();
        drop(announced);
    }

    /// Gives up who is looked for; once `lives` has ended, nobody has anything to say.
    pub fn stop(&self) {
        self.tasks.end();
        self.stopping.send_replace(true);
    }

    /// Closes all connections.
    pub async fn leave(&self) {
        // A peer that does not hear of it finds out by itself.
        let _ = timeout(FAREWELL, self.endpoint.close()).await;
    }

    async fn accept(self: Arc<Self>) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        while let Some(incoming) = self.endpoint.accept().await {
            let is_crowded = handshakes.available_permits() < HANDSHAKES / 2;
            let Ok(permit) = handshakes.clone().try_acquire_owned() else {
                incoming.refuse();
                continue;
            };
            if is_crowded && !incoming.remote_addr_validated() {
                // Whoever cannot be asked is not answered.
                let _ = incoming.retry();
                continue;
            }
            let node = self.clone();
            self.tasks.spawn(async move {
                node.admit(incoming).await;
                drop(permit);
            });
        }
    }

    /// Serves a peer that is known, and tells any other that it is not.
    async fn admit(self: &Arc<Self>, incoming: Incoming) {
        let place = match incoming.remote_addr() {
            IncomingAddr::Ip(at) => at.to_string(),
            other => format!("{other:?}"),
        };
        let Ok(Ok(connection)) = timeout(TIMEOUT, incoming.into_future()).await else { return };
        let key = connection.remote_id();
        if self.links.contains_key(&key) {
            return self.serve(key, connection);
        }
        let text = format!("p2p: refused {key} at {place}: its key is not in the setting `peers`");
        self.log_stranger(&text);
        connection.close(STRANGER.into(), b"this side's key is not in its setting `peers`");
    }

    /// Logs of strangers, who may come as often as they like.
    fn log_stranger(&self, text: &str) {
        let (now, mut strangers) = (Instant::now(), self.strangers.lock());
        let earlier = strangers.end(now);
        let line = strangers.admit(now, text).then(|| text.to_owned());
        drop(strangers);
        earlier.into_iter().chain(line).for_each(|line| self.host.log(Level::Warning, &line));
    }

    /// Serves what a peer asks for on a connection, until that ends.
    fn serve(self: &Arc<Self>, key: PublicKey, connection: Connection) {
        if let Some(link) = self.links.get(&key) {
            link.connected(connection.clone());
        }
        let node = self.clone();
        self.tasks.spawn(async move {
            while let Ok((outgoing, incoming)) = connection.accept_bi().await {
                node.greet(key, Stream::remote(outgoing, incoming));
            }
        });
    }

    fn greet(self: &Arc<Self>, from: PublicKey, stream: Stream) {
        let node = self.clone();
        self.tasks.spawn(async move { greet(stream, from, &node.names, &node.tasks).await });
    }
}

/// Opens the socket.
async fn bind(config: &Config) -> Attempt<Endpoint> {
    let silence = config.peer_timeout;
    let millis = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(VarInt::from_u32(millis).into()))
        .default_path_max_idle_timeout(silence)
        // So that three in a row must be lost.
        .keep_alive_interval(silence / 4)
        .default_path_keep_alive_interval(silence / 4)
        .max_concurrent_bidi_streams(STREAMS.into())
        .max_concurrent_uni_streams(0_u32.into())
        .stream_receive_window(config.window.into())
        .receive_window(UNREAD.into())
        .build();
    let mut builder = Endpoint::builder(presets::Minimal)
        .secret_key(config.key.clone())
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(match &config.relays[..] {
            [] => RelayMode::Disabled,
            relays => RelayMode::custom(relays.iter().cloned()),
        })
        .transport_config(transport)
        .clear_ip_transports();
    for address in &config.listen {
        let wrong = |error| Failure::new(Code::EINVAL, format!("listen at {address}: {error}"));
        builder = builder.bind_addr(*address).map_err(wrong)?;
    }
    builder.bind().await.map_err(|error| {
        let places: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
        let mut cause: &(dyn std::error::Error + 'static) = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let number = cause.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        let code = number.map_or(Code::EIO, |number| Code::from_raw(number.into()));
        Failure::new(code, format!("listen at {}: {cause}", places.join(", ")))
    })
}
