//! The torrents of an instance that have open files: one download each, however many of its files are open.

use crate::caught::Caught;
use crate::descriptor::Magnet;
use crate::disk::Disk;
use crate::download::Download;
use crate::metainfo::{Metainfo, broken, unreadable};
use crate::session::{self, Session, broke};
use crate::settings::Config;
use crate::store::{Storage, Store};
use librqbit::api::TorrentIdOrHash;
use librqbit::dht::Id20;
use librqbit::{AddTorrent, AddTorrentOptions, AddTorrentResponse, Api, ListOnlyResponse, ManagedTorrent};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::Deref;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::lookup_host;
use tokio::sync::Mutex;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};
use vfs_core::{Code, Host, Level, Printable, Result, written_duration};
use zvfs_net::failure::{Attempt, Failure};
use zvfs_runtime::Runtime;

/// How long a read waits without a connected peer before all are looked for anew; twice as long each further time, up to the second.
/// librqbit itself waits an hour in the end, and forgets a peer that it needs again just when it has let go of it.
const LONELY: Duration = Duration::from_secs(10);
const LONELY_MAX: Duration = Duration::from_secs(300);

/// Until the known peers are asked again for the metadata of a magnet link.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a peer may take to notice that we have left, until when it refuses us as a double. transmission takes half a second.
const PARTING: Duration = Duration::from_secs(1);

/// The torrents of an instance. Clones are the same.
#[derive(Clone)]
pub struct Swarms(Arc<Inner>);

struct Inner {
    host: Host,
    runtime: Runtime,
    config: Config,
    session: Arc<Session>,
    disk: Disk,
    open: Mutex<HashMap<Id20, Swarm>>,
}

/// A torrent with open files.
struct Swarm {
    metainfo: Arc<Metainfo>,
    store: Arc<Store>,
    torrent: Arc<ManagedTorrent>,
    /// How often each file is open.
    files: BTreeMap<usize, usize>,
    /// When its peers were last looked for.
    looked: Instant,
}

impl Swarms {
    /// Starts a session without torrents.
    ///
    /// # Errors
    /// EADDRINUSE, ...: `listen` cannot be had. EIO: what else the session needs.
    pub fn start(host: Host, runtime: Runtime, config: Config) -> Result<Swarms> {
        let session = session::start(&runtime, &config)?;
        let disk = Disk::new(config.folder.clone(), config.disk);
        Ok(Swarms(Arc::new(Inner { host, runtime, config, session, disk, open: Mutex::default() })))
    }

    /// Leaves all torrents at once.
    pub fn stop(&self) {
        self.0.session.cancellation_token().cancel();
    }

    /// Asks peers for the metadata of a magnet link.
    ///
    /// # Errors
    /// ENOTSUP: there is no way to find one. ETIMEDOUT: none has it. EBADMSG: it is no usable torrent.
    pub async fn resolve(&self, magnet: Magnet, limit: Duration) -> Attempt<Arc<Metainfo>> {
        if let Some(swarm) = self.0.open.lock().await.get(&magnet.hash) {
            return Ok(swarm.metainfo.clone());
        }
        let Config { peers, trackers, dht, lsd, .. } = &self.0.config;
        let asks_trackers = *trackers && !magnet.trackers.is_empty();
        if peers.is_empty() && !asks_trackers && !*dht && !*lsd {
            let text = "no peers to ask: the link names no tracker; `peers`, `dht` and `lsd` are not set";
            return Err(Failure::new(Code::ENOTSUP, text));
        }
        let expired = || {
            let text = format!("no peer gave the torrent's metadata within {}", written_duration(limit));
            Failure::later(Code::ETIMEDOUT, text)
        };
        timeout(limit, self.ask_for_metadata(&magnet)).await.unwrap_or_else(|_| Err(expired())).map(Arc::new)
    }

    async fn ask_for_metadata(&self, magnet: &Magnet) -> Attempt<Metainfo> {
        loop {
            let options = AddTorrentOptions {
                list_only: true,
                initial_peers: Some(self.known_peers().await),
                ..AddTorrentOptions::default()
            };
            match self.add(AddTorrent::from_url(magnet.to_url()), options).await? {
                Ok(AddTorrentResponse::ListOnly(ListOnlyResponse { torrent_bytes, seen_peers, .. })) => {
                    let metainfo = Metainfo::parse(&torrent_bytes)?;
                    return Ok(Metainfo { trackers: magnet.trackers.clone(), seen: seen_peers, ..metainfo });
                }
                Ok(_) => return Err(Failure::new(Code::EIO, "librqbit added a torrent that it was to list")),
                // It has the hash, and cannot be used: nobody has a better one.
                Err(error) if error.is::<librqbit_core::Error>() => {
                    return Err(broken(format_args!("{error:#}")));
                }
                // All peers that are known have been asked.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Joins a torrent for one of its files, and waits until kept pieces have been verified.
    ///
    /// # Errors
    /// EFBIG, ENOSPC: `disk`. EBUSY: another instance has its kept file. EIO: librqbit's.
    pub async fn join(&self, metainfo: Arc<Metainfo>, file: usize) -> Attempt<Membership> {
        if !metainfo.seen.is_empty() {
            // They have just given the metadata. A refusal would cost ten seconds.
            sleep(PARTING).await;
        }
        let peers = self.known_peers().await;
        let member = self.enter(metainfo, file, peers).await?;
        member.torrent.wait_until_initialized().await.map_err(|error| broke(&error))?;
        self.take_stock(&member)?;
        self.select(member.torrent.info_hash()).await;
        Ok(member)
    }

    /// The first one adds the torrent to the session. Never waits while it is in the table and has no guard.
    async fn enter(
        &self,
        metainfo: Arc<Metainfo>,
        file: usize,
        mut peers: Vec<SocketAddr>,
    ) -> Attempt<Membership> {
        let (inner, hash) = (&self.0, metainfo.hash);
        let mut open = inner.open.lock().await;
        let others = open.get(&hash).into_iter().flat_map(|swarm| swarm.files.keys().copied());
        let bytes =
            others.filter(|other| *other != file).chain([file]).map(|file| metainfo.footprint(file)).sum();
        inner.disk.promise(hash, metainfo.total.min(bytes))?;
        let swarm = match open.entry(hash) {
            Entry::Occupied(swarm) => swarm.into_mut(),
            Entry::Vacant(place) => {
                peers.extend(&metainfo.seen);
                let begun = self.begin(metainfo, file, peers).await;
                place.insert(begun.inspect_err(|_| inner.disk.release(hash))?)
            }
        };
        *swarm.files.entry(file).or_default() += 1;
        let download = Download {
            torrent: swarm.torrent.clone(),
            store: swarm.store.clone(),
            file,
            start: swarm.metainfo.files[file].range.start,
        };
        Ok(Membership { download, swarms: self.clone() })
    }

    async fn begin(&self, metainfo: Arc<Metainfo>, file: usize, peers: Vec<SocketAddr>) -> Attempt<Swarm> {
        let folder = self.0.config.folder.as_deref();
        let store = Arc::new(block_in_place(|| Store::open(folder, &metainfo))?);
        let options = AddTorrentOptions {
            only_files: Some(vec![file]),
            overwrite: true, // what is there is verified
            output_folder: Some(String::new()),
            storage_factory: Some(Storage::of(&store)),
            initial_peers: Some(peers),
            trackers: Some(metainfo.trackers.clone()),
            ..AddTorrentOptions::default()
        };
        let added = self.add(AddTorrent::from_bytes(metainfo.to_torrent()), options).await?;
        let torrent = added.map(AddTorrentResponse::into_handle);
        match torrent {
            Ok(Some(torrent)) => {
                Ok(Swarm { metainfo, store, torrent, files: BTreeMap::new(), looked: Instant::now() })
            }
            Ok(None) => Err(Failure::new(Code::EIO, "librqbit listed a torrent that it was to add")),
            Err(error) => Err(broke(&error)),
        }
    }

    /// Metadata at which librqbit panics is a refusal.
    async fn add(
        &self,
        what: AddTorrent<'static>,
        options: AddTorrentOptions,
    ) -> Attempt<anyhow::Result<AddTorrentResponse>> {
        let session = self.0.session.clone();
        let added = Caught::new(async move { session.add_torrent(what, Some(options)).await });
        added.await.ok_or_else(unreadable)
    }

    /// Tells the store which of the kept pieces are right.
    fn take_stock(&self, download: &Download) -> Attempt<()> {
        let api = Api::new(self.0.session.clone(), None);
        let hash = TorrentIdOrHash::Hash(download.torrent.info_hash());
        let (verified, count) = api
            .api_dump_haves(hash)
            .map_err(|error| Failure::new(Code::EIO, Printable(&error.to_string()).to_string()))?;
        for piece in verified.iter_ones().take_while(|piece| *piece < count as usize) {
            download.store.set_verified(piece as u64);
        }
        Ok(())
    }

    /// Says which files librqbit should fetch.
    async fn select(&self, hash: Id20) {
        if let Some(swarm) = self.0.open.lock().await.get(&hash) {
            let files = swarm.files.keys().copied().collect();
            // It is refused while kept pieces are being verified: whoever waits for that selects then.
            let _ = self.0.session.update_only_files(&swarm.torrent, &files).await;
        }
    }

    /// Begins anew with all peers of a torrent. What was fetched stays, and is not verified again.
    async fn look_for_peers(&self, hash: Id20) {
        let mut open = self.0.open.lock().await;
        let Some(swarm) = open.get_mut(&hash).filter(|swarm| swarm.looked.elapsed() >= LONELY) else {
            return;
        };
        swarm.looked = Instant::now();
        let session = &self.0.session;
        // If it broke, whoever waits is told by the store.
        if session.pause(&swarm.torrent).await.is_ok() {
            let _ = session.unpause(&swarm.torrent).await;
        }
    }

    /// A file is closed.
    async fn leave(&self, hash: Id20, file: usize) {
        let mut open = self.0.open.lock().await;
        let Some(swarm) = open.get_mut(&hash) else { return };
        if let Some(count @ 2..) = swarm.files.get_mut(&file) {
            *count -= 1;
            return;
        }
        swarm.files.remove(&file);
        if !swarm.files.is_empty() {
            drop(open);
            return self.select(hash).await;
        }
        open.remove(&hash);
        if let Err(error) = self.0.session.delete(TorrentIdOrHash::Hash(hash), false).await {
            self.0.host.log(Level::Warning, &format!("leave a torrent: {error:#}"));
        }
        self.0.disk.release(hash);
    }

    /// The addresses of the setting `peers`.
    async fn known_peers(&self) -> Vec<SocketAddr> {
        let mut found = Vec::new();
        for peer in &self.0.config.peers {
            match lookup_host(peer).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => self.0.host.log(Level::Warning, &format!("look up the peer {peer}: {error}")),
            }
        }
        found
    }
}

/// A file that is being fetched, until this is dropped.
pub struct Membership {
    download: Download,
    swarms: Swarms,
}

impl Membership {
    /// Waits until the piece that has an offset is there, and has it fetched before all others.
    ///
    /// # Errors
    /// As [`Download::arrival`].
    pub fn arrival(
        &self,
        offset: u64,
        stall: Duration,
    ) -> impl Future<Output = Attempt<()>> + Send + 'static {
        let (swarms, download) = (self.swarms.clone(), self.download.clone());
        async move {
            let _urge = download.urge(offset).await?;
            let mut arrival = pin!(download.arrival(offset, stall));
            let mut patience = LONELY;
            loop {
                if let Ok(arrived) = timeout(patience, arrival.as_mut()).await {
                    return arrived;
                }
                if download.peers().connected == 0 {
                    swarms.look_for_peers(download.torrent.info_hash()).await;
                    patience = LONELY_MAX.min(patience * 2);
                }
            }
        }
    }
}

impl Deref for Membership {
    type Target = Download;

    fn deref(&self) -> &Download {
        &self.download
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let (swarms, hash, file) = (self.swarms.clone(), self.torrent.info_hash(), self.file);
        // If the instance ends, nothing is left to leave.
        self.swarms.0.runtime.handle().spawn(async move { swarms.leave(hash, file).await });
    }
}
