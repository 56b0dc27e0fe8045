//! Artifacts in a folder, for the next process.
//!
//! Machine code is run as it is found, so an entry is worth nothing unless it is known to be this user's own: the folder
//! must be the user's alone, and each entry carries an HMAC under a key that lies elsewhere. An entry is read whole into
//! memory, verified there, and used from there; nothing is mapped, and nothing is looked at twice.

mod folder;
mod key;
mod place;

use folder::Folder;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use vfs_core::{Code, Error, Result};

/// The first bytes of an entry, its form among them.
const MAGIC: &[u8; 16] = b"zvm artifact 1\n\0";
/// Magic, name, length, HMAC.
const HEADER: usize = 16 + 32 + 8 + 32;
/// Where the HMAC begins.
const MAC: usize = HEADER - 32;
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
    bytes: Vec<u8>,
}

impl Entry {
    pub(super) fn artifact(&self) -> &[u8] {
        &self.bytes[HEADER..]
    }
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
    /// There is one and it can't be trusted or read; it was removed.
    pub(super) fn load(&self, name: &[u8; 32]) -> Result<Option<Entry>> {
        match self.verified(name) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.code() == Code::ENOENT => Ok(None),
            Err(error) => {
                self.remove(name);
                Err(error.context(format!("{}/{}", self.folder.path().display(), file_name(name))))
            }
        }
    }

    fn verified(&self, name: &[u8; 32]) -> Result<Entry> {
        let mut file = self.folder.read(&file_name(name))?;
        let size = file.metadata()?.len();
        if size < HEADER as u64 || size > self.limit {
            return Err(damaged("its size is impossible"));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        (&mut file).take(size).read_to_end(&mut bytes)?;
        let Some((header, artifact)) = bytes.split_at_checked(HEADER) else {
            return Err(damaged("it is too short"));
        };
        // The header is compared whole with the one that it must have: there is nothing in it to believe.
        if header[..MAC] != start(name, artifact) {
            return Err(damaged("its header belongs to another program, or its length is wrong"));
        }
        if self.mac(&header[..MAC], artifact)?.verify_slice(&header[MAC..]).is_err() {
            return Err(damaged("its HMAC is wrong"));
        }
        folder::touch(&file);
        Ok(Entry { bytes })
    }

    /// Keeps an artifact under a name.
    ///
    /// # Errors
    /// EFBIG: too large to keep. Else the system's: no space, say. Nothing of it is left then.
    pub(super) fn store(&self, name: &[u8; 32], artifact: &[u8]) -> Result<()> {
        if (HEADER + artifact.len()) as u64 > self.limit / 2 {
            return Err(Error::new(Code::EFBIG, "it is over half of the cache's limit"));
        }
        let start = start(name, artifact);
        let mac = self.mac(&start, artifact)?.finalize().into_bytes();
        self.folder.write(&file_name(name), |file| {
            file.write_all(&start)?;
            file.write_all(&mac)?;
            file.write_all(artifact)
        })?;
        self.folder.shrink(self.limit)
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, name: &[u8; 32]) {
        self.folder.remove(&file_name(name));
    }

    fn mac(&self, start: &[u8], artifact: &[u8]) -> Result<Hmac<Sha256>> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.bytes());
        let mut mac = mac.map_err(|_| Error::new(Code::EINVAL, "cannot make an HMAC with this key"))?;
        mac.update(start);
        mac.update(artifact);
        Ok(mac)
    }
}

/// The header before its HMAC.
fn start(name: &[u8; 32], artifact: &[u8]) -> [u8; MAC] {
    let mut start = [0; MAC];
    start[..16].copy_from_slice(MAGIC);
    start[16..48].copy_from_slice(name);
    start[48..].copy_from_slice(&(artifact.len() as u64).to_le_bytes());
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
