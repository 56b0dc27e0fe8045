//! How much of the disk pieces may take.

use crate::store::SUFFIX;
use librqbit::dht::Id20;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use vfs_core::Code;
use zvfs_net::failure::{Attempt, Failure};

/// What the setting `disk` allows, and what of it open torrents may come to take.
#[derive(Debug)]
pub struct Disk {
    folder: Option<PathBuf>,
    most: u64,
    promised: Mutex<HashMap<Id20, u64>>,
}

/// A kept file that nobody reads now.
struct Kept {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl Disk {
    /// A disk of which nothing is promised.
    pub fn new(folder: Option<PathBuf>, most: u64) -> Disk {
        Disk { folder, most, promised: Mutex::default() }
    }

    /// Promises a torrent so many bytes altogether, and removes kept torrents that nobody reads if they stand in the way.
    ///
    /// # Errors
    /// EFBIG: more than there may be. ENOSPC: other open torrents have been promised the rest.
    pub fn promise(&self, torrent: Id20, bytes: u64) -> Attempt<()> {
        if bytes > self.most {
            let text = format!("{bytes} bytes of pieces, more than `disk` allows ({})", self.most);
            return Err(Failure::new(Code::EFBIG, text));
        }
        let mut promised = self.promised.lock();
        let others: u64 =
            promised.iter().filter(|(other, _)| **other != torrent).map(|(_, bytes)| bytes).sum();
        if others + bytes > self.most {
            let text = format!(
                "{bytes} bytes of pieces, and {others} for other open torrents: more than `disk` allows ({})",
                self.most
            );
            return Err(Failure::later(Code::ENOSPC, text));
        }
        promised.insert(torrent, bytes);
        if let Some(folder) = &self.folder {
            make_room(folder, self.most - others - bytes, &promised);
        }
        Ok(())
    }

    /// Takes a promise back.
    pub fn release(&self, torrent: Id20) {
        self.promised.lock().remove(&torrent);
    }
}

/// Removes the oldest of the files that are not promised to anybody, until the rest takes no more than `room`.
fn make_room(folder: &Path, room: u64, promised: &HashMap<Id20, u64>) {
    let in_use: Vec<String> = promised.keys().map(|hash| format!("{}{SUFFIX}", hash.as_string())).collect();
    let mut kept: Vec<Kept> =
        kept(folder).filter(|kept| !in_use.iter().any(|name| kept.path.ends_with(name))).collect();
    kept.sort_by_key(|kept| kept.modified);
    let mut taken: u64 = kept.iter().map(|kept| kept.bytes).sum();
    for kept in kept {
        if taken <= room {
            return;
        }
        // Somebody else may have removed it.
        let _ = fs::remove_file(&kept.path);
        taken -= kept.bytes;
    }
}

fn kept(folder: &Path) -> impl Iterator<Item = Kept> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        let is_ours = metadata.is_file() && entry.file_name().to_str()?.ends_with(SUFFIX);
        let kept =
            Kept { path: entry.path(), bytes: metadata.blocks() * 512, modified: metadata.modified().ok()? };
        is_ours.then_some(kept)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_more_is_promised_than_there_may_be() {
        let (a, b) = (Id20::new([1; 20]), Id20::new([2; 20]));
        let disk = Disk::new(None, 100);
        assert_eq!(disk.promise(a, 101).unwrap_err().code, Code::EFBIG);
        disk.promise(a, 60).unwrap();
        disk.promise(a, 70).unwrap();
        let failure = disk.promise(b, 31).unwrap_err();
        assert_eq!(failure.code, Code::ENOSPC);
        assert!(failure.text.contains("`disk`"), "{}", failure.text);
        disk.release(a);
        disk.promise(b, 100).unwrap();
    }

    #[test]
    fn the_oldest_kept_torrents_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = |hash: Id20| folder.path().join(format!("{}{SUFFIX}", hash.as_string()));
        let old = |hash: Id20, age| {
            fs::write(path(hash), [0; 8192]).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            fs::File::options().write(true).open(path(hash)).unwrap().set_modified(time).unwrap();
        };
        let (older, newer, mine) = (Id20::new([3; 20]), Id20::new([4; 20]), Id20::new([5; 20]));
        old(older, 200);
        old(newer, 100);
        old(mine, 300);
        fs::write(folder.path().join("another's"), [0; 8192]).unwrap();
        let disk = Disk::new(Some(folder.path().to_owned()), 20_000);
        disk.promise(mine, 10_000).unwrap();
        let there = |hash| path(hash).exists();
        assert!(there(mine) && there(newer) && !there(older));
        assert!(folder.path().join("another's").exists());
    }
}
