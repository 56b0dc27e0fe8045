//! Where the pieces of one torrent are kept: one sparse file, in the order of the torrent's bytes.
//!
//! No name that a torrent says is ever a file's name: a kept file is called by the torrent's hash. A byte is given only if its
//! piece was verified since the file was opened.

use crate::metainfo::Metainfo;
use anyhow::Context as _;
use librqbit::storage::{BoxStorageFactory, StorageFactory, StorageFactoryExt, TorrentStorage};
use librqbit::{ManagedTorrentShared, TorrentMetadata};
use librqbit_core::lengths::ValidPieceIndex;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use vfs_core::{Code, written_duration};
use zvfs_net::failure::{Attempt, Failure};

/// What a kept file's name ends in.
pub const SUFFIX: &str = ".pieces";

/// The pieces of a torrent.
#[derive(Debug)]
pub struct Store {
    file: File,
    /// Where each file of the torrent begins.
    starts: Vec<u64>,
    /// Bytes of a piece.
    piece: u64,
    /// A bit for each piece that was verified.
    verified: Vec<AtomicU64>,
    /// When the last byte came, verified or not: a sign of life.
    heard: Mutex<Instant>,
    /// Why nothing more can be kept.
    failure: OnceLock<Failure>,
    /// Told of each verified piece, and of the failure.
    news: Notify,
}

impl Store {
    /// Opens the kept file of a torrent, or makes one that has no name and ends with this.
    ///
    /// # Errors
    /// EBUSY: another instance has it. The system's.
    pub fn open(folder: Option<&Path>, metainfo: &Metainfo) -> Attempt<Store> {
        let file = match folder {
            None => tempfile::tempfile().map_err(|error| keeping("make a temporary file", &error))?,
            Some(folder) => open_kept(&kept_path(folder, metainfo))?,
        };
        let pieces = metainfo.total.div_ceil(metainfo.piece);
        let words = usize::try_from(pieces.div_ceil(64)).unwrap_or(usize::MAX);
        Ok(Store {
            file,
            starts: metainfo.files.iter().map(|file| file.range.start).collect(),
            piece: metainfo.piece,
            verified: (0..words).map(|_| AtomicU64::new(0)).collect(),
            heard: Mutex::new(Instant::now()),
            failure: OnceLock::new(),
            news: Notify::new(),
        })
    }

    /// The piece that holds a byte of the torrent.
    pub fn piece_of(&self, at: u64) -> u64 {
        at / self.piece
    }

    /// Says that a piece was verified.
    pub fn set_verified(&self, piece: u64) {
        self.verified[piece as usize / 64].fetch_or(1 << (piece % 64), Ordering::Release);
        self.news.notify_waiters();
    }

    fn is_verified(&self, piece: u64) -> bool {
        self.verified[piece as usize / 64].load(Ordering::Acquire) >> (piece % 64) & 1 == 1
    }

    /// Reads verified bytes from a position in the torrent; `None`: the first is not there yet. Nothing of `buf` lies beyond the
    /// torrent's end.
    ///
    /// # Errors
    /// EIO, ...: the file cannot be read.
    pub fn read(&self, buf: &mut [u8], at: u64) -> Attempt<Option<usize>> {
        let (mut piece, end) = (self.piece_of(at), at + buf.len() as u64);
        let mut reached = at;
        while reached < end && self.is_verified(piece) {
            piece += 1;
            reached = end.min(piece * self.piece);
        }
        let count = (reached - at) as usize; // no more than `buf` has
        if count == 0 {
            return Ok(None);
        }
        self.file
            .read_exact_at(&mut buf[..count], at)
            .map_err(|error| keeping("read kept pieces", &error))?;
        Ok(Some(count))
    }

    /// Waits until a piece is there.
    ///
    /// # Errors
    /// ETIMEDOUT: not a byte of the torrent came for as long as `stall`. ENOSPC, ...: pieces cannot be kept.
    pub async fn arrival(&self, piece: u64, stall: Duration) -> Attempt<()> {
        let begun = Instant::now();
        loop {
            let news = self.news.notified();
            if self.is_verified(piece) {
                return Ok(());
            }
            if let Some(failure) = self.failure.get() {
                return Err(failure.clone());
            }
            let end = begun.max(*self.heard.lock()) + stall;
            if Instant::now() >= end {
                let text = format!("not a byte of the torrent came for {}", written_duration(stall));
                return Err(Failure::later(Code::ETIMEDOUT, text));
            }
            // More may have come when the time is over.
            let _ = timeout_at(end, news).await;
        }
    }

    fn write(&self, buf: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(buf, at).inspect_err(|error| {
            // The first one counts.
            let _ = self.failure.set(keeping("keep a piece", error));
            self.news.notify_waiters();
        })?;
        *self.heard.lock() = Instant::now();
        Ok(())
    }

    fn at(&self, file: usize, offset: u64) -> anyhow::Result<u64> {
        let start = self.starts.get(file).context("no such file in the torrent")?;
        Ok(start + offset)
    }
}

/// The file that keeps a torrent's pieces between runs.
pub fn kept_path(folder: &Path, metainfo: &Metainfo) -> PathBuf {
    folder.join(format!("{}{SUFFIX}", metainfo.hash.as_string()))
}

/// Opens it for this instance alone: of two that write the same file, one would overwrite what the other verified.
fn open_kept(path: &Path) -> Attempt<File> {
    let doing = format!("open {}", path.display());
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path)
        .map_err(|error| keeping(&doing, &error))?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err(Failure::new(Code::EINVAL, format!("{doing}: not a regular file: remove it")));
    }
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => {
            let text = format!("{doing}: another instance uses it: give each a `folder` of its own");
            Err(Failure::later(Code::EBUSY, text))
        }
        Err(errno) => Err(Failure::system(errno).context(&doing)),
    }
}

fn keeping(doing: &str, error: &io::Error) -> Failure {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    Failure::system(errno).context(doing)
}

/// A store as librqbit takes it. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Store>);

impl Storage {
    /// For [`AddTorrentOptions`](librqbit::AddTorrentOptions).
    pub fn of(store: &Arc<Store>) -> BoxStorageFactory {
        Storage(store.clone()).boxed()
    }
}

impl StorageFactory for Storage {
    type Storage = Storage;

    fn create(&self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> anyhow::Result<Storage> {
        Ok(self.clone())
    }

    fn clone_box(&self) -> BoxStorageFactory {
        self.clone().boxed()
    }
}

impl TorrentStorage for Storage {
    fn init(&mut self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> anyhow::Result<()> {
        Ok(())
    }

    /// Behind the last byte that was ever written is an error: at once librqbit knows that the rest is not there.
    fn pread_exact(&self, file: usize, offset: u64, buf: &mut [u8]) -> anyhow::Result<()> {
        Ok(self.0.file.read_exact_at(buf, self.0.at(file, offset)?)?)
    }

    fn pwrite_all(&self, file: usize, offset: u64, buf: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.write(buf, self.0.at(file, offset)?)?)
    }

    fn remove_file(&self, _: usize, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    fn remove_directory_if_empty(&self, _: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// It grows as pieces come.
    fn ensure_file_length(&self, _: usize, _: u64) -> anyhow::Result<()> {
        Ok(())
    }

    fn take(&self) -> anyhow::Result<Box<dyn TorrentStorage>> {
        Ok(Box::new(self.clone()))
    }

    fn on_piece_completed(&self, piece: ValidPieceIndex) -> anyhow::Result<()> {
        self.0.set_verified(piece.get().into());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Ten bytes in pieces of four, in this file.
    fn store(file: File) -> Store {
        Store {
            file,
            starts: vec![0],
            piece: 4,
            verified: vec![AtomicU64::new(0)],
            heard: Mutex::new(Instant::now()),
            failure: OnceLock::new(),
            news: Notify::new(),
        }
    }

    /// While the future is the only one that waits, the clock goes on by itself.
    fn wait_by_own_clock<T>(future: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap().block_on(future)
    }

    #[test]
    fn a_stall_begins_with_the_last_byte() {
        let stall = Duration::from_secs(10);
        let waited = wait_by_own_clock(async {
            let store = store(tempfile::tempfile().unwrap());
            let begun = Instant::now();
            let late = async {
                tokio::time::sleep(Duration::from_secs(6)).await;
                store.write(b"abc", 0).unwrap();
            };
            let (outcome, ()) = tokio::join!(store.arrival(0, stall), late);
            assert_eq!(outcome.unwrap_err().code, Code::ETIMEDOUT);
            begun.elapsed()
        });
        assert!((Duration::from_secs(16)..Duration::from_secs(17)).contains(&waited), "{waited:?}");
    }

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn only_verified_bytes_are_read_and_all_that_follow_at_once() {
        let store = store(tempfile::tempfile().unwrap());
        store.write(b"0123456789", 0).unwrap();
        let read = |at, length| {
            let mut buf = vec![b'-'; length];
            let count = store.read(&mut buf, at).unwrap();
            count.map(|count| String::from_utf8(buf[..count].to_vec()).unwrap())
        };
        assert_eq!(read(0, 10), None);
        store.set_verified(1);
        assert_eq!((read(3, 7), read(5, 5).as_deref()), (None, Some("567")));
        store.set_verified(2);
        assert_eq!(read(5, 5).as_deref(), Some("56789"));
        assert_eq!(read(5, 2).as_deref(), Some("56"));
    }

    #[test]
    fn a_full_disk_ends_who_waits() {
        let store = store(File::options().read(true).write(true).open("/dev/full").unwrap());
        let arrival = async {
            let (arrived, _) = tokio::join!(store.arrival(0, PATIENCE), async {
                store.write(b"0123", 0).unwrap_err();
            });
            arrived
        };
        assert_eq!(wait(arrival).unwrap_err().code, Code::ENOSPC);
    }

    #[test]
    fn a_piece_ends_who_waits_for_it() {
        let store = store(tempfile::tempfile().unwrap());
        let arrived = async {
            let told = async {
                store.set_verified(0);
                store.set_verified(2);
            };
            tokio::join!(store.arrival(2, PATIENCE), told).0
        };
        wait(arrived).unwrap();
    }

    #[test]
    fn silence_ends_who_waits() {
        let store = store(tempfile::tempfile().unwrap());
        let failure = wait(store.arrival(0, Duration::from_millis(1))).unwrap_err();
        assert_eq!(failure.code, Code::ETIMEDOUT);
    }
}
