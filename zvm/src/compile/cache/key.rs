//! The key that says an entry is ours.

use super::place::{at, own, place, random, refused, temporary};
use rustix::fs::{Mode, OFlags};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use vfs_core::{Code, Result};

const SIZE: usize = 32;

pub(super) struct Key([u8; SIZE]);

impl Key {
    /// Reads the key, or makes one: the first of several processes that try wins.
    pub(super) fn open(path: &Path, cache: &Path) -> Result<Key> {
        let (parent, name) = place(path)?;
        if parent.starts_with(cache) {
            return Err(refused(&parent, "is the cache's own folder: the key must be outside it"));
        }
        let path = parent.join(name);
        match Key::read(&path) {
            Err(error) if error.code() == Code::ENOENT => {
                Key::create(&parent, &path)?;
                Key::read(&path)
            }
            result => result,
        }
    }

    pub(super) fn bytes(&self) -> &[u8; SIZE] {
        &self.0
    }

    fn read(path: &Path) -> Result<Key> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
            rustix::io::Errno::LOOP => refused(path, "is a link: name the key itself"),
            errno => at(errno.into(), path),
        })?;
        let mut file = File::from(file);
        let metadata = file.metadata().map_err(|error| at(error, path))?;
        own(path, metadata.uid(), metadata.mode(), "chmod 600")?;
        if !metadata.is_file() || metadata.len() != SIZE as u64 {
            return Err(refused(
                path,
                &format!("is not a key of {SIZE} bytes: remove it, and a new one is made"),
            ));
        }
        let mut key = Key([0; SIZE]);
        file.read_exact(&mut key.0).map_err(|error| at(error, path))?;
        Ok(key)
    }

    fn create(parent: &Path, path: &Path) -> Result<()> {
        let temporary = parent.join(temporary()?);
        let made = (|| -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::open(&temporary, flags, Mode::RUSR | Mode::WUSR)?);
            let key: [u8; SIZE] = random().map_err(io::Error::other)?;
            file.write_all(&key)?;
            file.sync_all()?;
            // A link and no rename: one that is there already stays.
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                result => result,
            }
        })();
        // It is a second name, or of no use.
        let _ = fs::remove_file(&temporary);
        made.map_err(|error| at(error, path))
    }
}

/// Never shown.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
