//! Artifacts in a folder, for the next process.
//!
//! Machine code is run as it is found, so an entry is worth nothing unless it is known to be this user's own: the folder
//! must be the user's alone, and each entry carries a MAC, BLAKE3 under a key that lies elsewhere. An entry is read once: what is
//! hashed goes into a file in memory, which is sealed, and that is mapped. The file on the disk is never mapped, since it can be
//! written afterwards, and nothing is looked at twice.

mod folder;
mod key;
mod place;
mod sealed;

use blake3::Hasher;
use folder::Folder;
use sealed::Sealed;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use vfs_core::{Code, Error, Result};

/// The first bytes of an entry, its form among them.
const MAGIC: &[u8; 16] = b"zvm artifact 2\n\0";
/// Magic, name, the program's SHA-256, length, MAC.
const HEADER: usize = 16 + 32 + 32 + 8 + 32;
/// Where the program's SHA-256 begins.
const DIGEST: usize = 16 + 32;
/// Where the MAC begins.
const MAC: usize = HEADER - 32;
/// How much of an entry is read, hashed and written at once: it stays in the processor's cache meanwhile.
const CHUNK: usize = 128 << 10;
/// The default of [`Cache::limit`].
const LIMIT: u64 = 2 << 30;

/// A folder of compiled programs, bounded in size: the least recently used go. Clones are the same one; several processes
/// may share it.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: Arc<Folder>,
    key: Arc<key::Key>,
    limit: u64,
}

/// An entry that was verified.
pub(super) struct Entry {
    /// The SHA-256 of the program that it was compiled from.
    pub(super) digest: [u8; 32],
    /// The machine code, in a file of memory that nobody can change.
    pub(super) artifact: File,
}

impl Cache {
    /// Opens a cache, and makes its folder and its key if they are not there.
    ///
    /// The folder must belong to the user and be closed to all others (mode 0700); each folder above it must belong to root
    /// or the user and be writable by nobody else, sticky ones excepted. The same holds for the key, a file of mode 0600 that
    /// must not lie in the folder.
    ///
    /// # Errors
    /// EACCES: one of that is not so; the text says what mends it. Else the system's.
    pub fn open(folder: &Path, key: &Path) -> Result<Cache> {
        let folder = Folder::open(folder)?;
        let key = key::Key::open(key, folder.path())?;
        Ok(Cache { folder: Arc::new(folder), key: Arc::new(key), limit: LIMIT })
    }

    /// Sets how large it may become, in bytes; 2 GiB by default. One entry takes half of that at most.
    pub fn limit(mut self, bytes: u64) -> Cache {
        self.limit = bytes;
        self
    }

    /// The entry of a name, if there is one.
    ///
    /// # Errors
    /// There is one and it can't be trusted or read; it was removed. ENOMEM, ENOSYS and what else the system says where it gives no
    /// memory for it; it stays.
    pub(super) fn load(&self, name: &[u8; 32]) -> Result<Option<Entry>> {
        let file = match self.folder.read(&file_name(name)) {
            Err(error) if error.code() == Code::ENOENT => return Ok(None),
            file => file,
        };
        let memory = Sealed::new()?;
        match file.and_then(|file| self.verified(name, file, memory)) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) => {
                self.remove(name);
                Err(error.context(format!("{}/{}", self.folder.path().display(), file_name(name))))
            }
        }
    }

    fn verified(&self, name: &[u8; 32], mut file: File, mut memory: Sealed) -> Result<Entry> {
        let size = file.metadata()?.len();
        if size < HEADER as u64 || size > self.limit {
            return Err(damaged("its size is impossible"));
        }
        let mut header = [0; HEADER];
        file.read_exact(&mut header)?;
        // But for the program's digest, it is compared with the one that it must have: there is nothing else in it to believe.
        let digest = header[DIGEST..][..32].try_into().unwrap_or_default();
        if header[..MAC] != start(name, &digest, size - HEADER as u64) {
            return Err(damaged("its header belongs to another program, or its length is wrong"));
        }
        let mut mac = self.mac(&header[..MAC]);
        let mut left = size - HEADER as u64;
        let mut chunk = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
        while left > 0 {
            let chunk = &mut chunk[..usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK))];
            file.read_exact(chunk)?;
            mac.update(chunk);
            memory.write_all(chunk)?;
            left -= chunk.len() as u64;
        }
        let known: [u8; 32] = header[MAC..].try_into().unwrap_or_default();
        // In constant time, as `blake3::Hash` compares.
        if mac.finalize() != known {
            return Err(damaged("its MAC is wrong"));
        }
        folder::touch(&file);
        Ok(Entry { digest, artifact: memory.seal()? })
    }

    /// Keeps an artifact under a name, with the SHA-256 of its program.
    ///
    /// # Errors
    /// EFBIG: too large to keep. Else the system's: no space, say. Nothing of it is left then.
    pub(super) fn store(&self, name: &[u8; 32], digest: &[u8; 32], artifact: &[u8]) -> Result<()> {
        if (HEADER + artifact.len()) as u64 > self.limit / 2 {
            return Err(Error::new(Code::EFBIG, "it is over half of the cache's limit"));
        }
        let start = start(name, digest, artifact.len() as u64);
        let mac = self.mac(&start).update(artifact).finalize();
        self.folder.write(&file_name(name), |file| {
            file.write_all(&start)?;
            file.write_all(mac.as_bytes())?;
            file.write_all(artifact)
        })?;
        self.folder.shrink(self.limit)
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, name: &[u8; 32]) {
        self.folder.remove(&file_name(name));
    }

    /// The MAC of an entry that starts so; its artifact follows.
    fn mac(&self, start: &[u8]) -> Hasher {
        let mut mac = Hasher::new_keyed(self.key.bytes());
        mac.update(start);
        mac
    }
}

/// The header before its MAC.
fn start(name: &[u8; 32], digest: &[u8; 32], length: u64) -> [u8; MAC] {
    let mut start = [0; MAC];
    start[..16].copy_from_slice(MAGIC);
    start[16..DIGEST].copy_from_slice(name);
    start[DIGEST..][..32].copy_from_slice(digest);
    start[MAC - 8..].copy_from_slice(&length.to_le_bytes());
    start
}

fn file_name(name: &[u8; 32]) -> String {
    let mut text: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
    text.push_str(folder::SUFFIX);
    text
}

fn damaged(text: &'static str) -> Error {
    Error::new(Code::EBADMSG, text)
}

#[cfg(test)]
mod tests;
