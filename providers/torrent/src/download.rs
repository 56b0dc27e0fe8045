//! A file that is being fetched.

use crate::session::broke;
use crate::store::Store;
use librqbit::ManagedTorrent;
use std::fmt;
use std::io::SeekFrom;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncSeek;
use vfs_core::Code;
use zvfs_net::failure::Attempt;

/// A file of a torrent in the session.
#[derive(Clone)]
pub struct Download {
    /// The whole torrent, for librqbit.
    pub torrent: Arc<ManagedTorrent>,
    /// Its pieces.
    pub store: Arc<Store>,
    /// Which file it is.
    pub file: usize,
    /// Where it begins in the torrent.
    pub start: u64,
}

impl Download {
    /// Reads verified bytes from an offset; `None`: the first is not there yet. Nothing of `buf` lies beyond the file's end.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&self, buf: &mut [u8], offset: u64) -> Attempt<Option<usize>> {
        self.store.read(buf, self.start + offset)
    }

    /// The number of the piece that has an offset.
    pub fn piece_of(&self, offset: u64) -> u64 {
        self.store.piece_of(self.start + offset)
    }

    /// Has the pieces behind an offset fetched before all others, until the urge is dropped.
    ///
    /// # Errors
    /// EIO: the torrent broke.
    pub async fn urge(&self, offset: u64) -> Attempt<Urge> {
        let stream = self.torrent.clone().stream(self.file).await;
        let stream = stream.map_err(|error| broke(&error))?;
        let mut urge = Urge(Box::pin(stream));
        urge.move_to(offset);
        Ok(urge)
    }

    /// Waits until the piece that has an offset is there.
    ///
    /// # Errors
    /// As [`Store::arrival`].
    pub async fn arrival(&self, offset: u64, stall: Duration) -> Attempt<()> {
        let arrived = self.store.arrival(self.piece_of(offset), stall).await;
        arrived.map_err(|failure| match failure.code {
            Code::ETIMEDOUT => failure.followed_by(format_args!(": {}", self.peers())),
            _ => failure,
        })
    }

    /// How it stands with the peers.
    pub fn peers(&self) -> Peers {
        let stats = self.torrent.live().map(|live| live.stats_snapshot().peer_stats);
        stats.map_or(Peers::default(), |stats| Peers {
            known: stats.seen,
            connected: stats.live,
            seeds: stats.live_seeders,
        })
    }
}

/// Has some pieces of a file fetched before all others.
pub struct Urge(Pin<Box<dyn AsyncSeek + Send + Sync>>);

impl Urge {
    /// From now on those behind this offset.
    pub fn move_to(&mut self, offset: u64) {
        // Beyond the end there is nothing to fetch.
        let _ = self.0.as_mut().start_seek(SeekFrom::Start(offset));
    }
}

/// How many peers a torrent has. `Display` is for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peers {
    known: u32,
    /// Those that are connected now.
    pub connected: u32,
    seeds: u32,
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peers { known: 0, connected: 0, .. } => f.write_str("no peer is known"),
            Peers { known, connected: 0, .. } => write!(f, "none of {known} known peers is connected"),
            Peers { connected, seeds, .. } => {
                write!(f, "{connected} peers are connected, {seeds} with all pieces, and none gives it yet")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_read_as_a_line() {
        let peers = |known, connected, seeds| Peers { known, connected, seeds }.to_string();
        assert_eq!(peers(0, 0, 0), "no peer is known");
        assert_eq!(peers(3, 0, 0), "none of 3 known peers is connected");
        assert_eq!(peers(3, 2, 1), "2 peers are connected, 1 with all pieces, and none gives it yet");
    }
}
