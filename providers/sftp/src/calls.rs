//! The calls on a server's files and names, with their failures in our codes.

use crate::connection::Link;
use crate::failure::{of_status, plain};
use crate::packet::{Attributes, Name, Reply, Request, numbers, status};
use crate::session::Pending;
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use vfs_core::{Code, Kind, Stat};
use zvfs_net::failure::{Attempt, Failure, Retry};

/// The most bytes of a name on most servers.
pub const NAME_MAX: usize = 255;

/// Linux's own limits on links in one path, and on a path's bytes.
const LINKS_MAX: usize = 40;
const PATH_MAX: usize = 4096;

/// A file or folder that is open on a server. Dropping it closes it, without a wait.
pub struct Handle {
    link: Link,
    handle: Bytes,
    closed: AtomicBool,
}

/// What a server's file system holds.
struct Space {
    total: u64,
    /// Bytes for this user.
    available: u64,
    /// Whether it takes one more file.
    takes_files: bool,
}

impl Link {
    /// Opens a file.
    ///
    /// # Errors
    /// The server's.
    pub async fn open(&self, path: &[u8], flags: u32, attributes: &Attributes) -> Attempt<Handle> {
        self.handle(path, &Request::Open { path, flags, attributes }).await
    }

    async fn handle(&self, path: &[u8], request: &Request<'_>) -> Attempt<Handle> {
        match self.call(path, request).await? {
            Reply::Handle(handle) => {
                Ok(Handle { link: self.clone(), handle, closed: AtomicBool::new(false) })
            }
            reply => Err(unexpected(reply)),
        }
    }

    /// Asks for something about a path. There is no status for a name that is too long: servers have one of these for it.
    async fn call(&self, path: &[u8], request: &Request<'_>) -> Attempt<Reply> {
        match self.session.call(request).await? {
            Reply::Status { code: status::BAD_MESSAGE | status::FAILURE, .. } if is_too_long(path) => {
                Err(plain(Code::ENAMETOOLONG))
            }
            reply => Ok(reply),
        }
    }

    /// What is known of a name; of a symbolic link, of what it leads to.
    ///
    /// # Errors
    /// ELOOP: that is a link again, and so on. The server's.
    pub async fn stat(&self, path: &[u8]) -> Attempt<Attributes> {
        let found = attributes(self.call(path, &Request::Stat { path }).await?);
        self.followed(path, found).await
    }

    /// Tells a link that leads nowhere from one that leads to itself: there is no status for the latter, and servers say of both that
    /// there is no such file, or nothing at all.
    async fn followed<T>(&self, path: &[u8], outcome: Attempt<T>) -> Attempt<T> {
        match outcome {
            Err(failure) if matches!(failure.code, Code::ENOENT | Code::EIO) && self.loops(path).await => {
                Err(plain(Code::ELOOP))
            }
            outcome => outcome,
        }
    }

    /// Whether a path is a link to a link, and so on, for longer than any system goes on.
    async fn loops(&self, path: &[u8]) -> bool {
        let mut path = path.to_vec();
        for _ in 0..LINKS_MAX {
            let Ok(Reply::Names(names)) = self.session.call(&Request::ReadLink { path: &path }).await else {
                return false;
            };
            let [link] = names.as_slice() else { return false };
            // A link counts from its own folder.
            let folder = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            path.truncate(if link.name.starts_with(b"/") { 0 } else { folder });
            path.extend_from_slice(&link.name);
            if path.len() > PATH_MAX {
                return false;
            }
        }
        true
    }

    /// The same of a symbolic link itself.
    ///
    /// # Errors
    /// The server's.
    pub async fn stat_link(&self, path: &[u8]) -> Attempt<Attributes> {
        attributes(self.call(path, &Request::StatLink { path }).await?)
    }

    /// The path without symbolic links, from the root down.
    ///
    /// # Errors
    /// The server's.
    pub async fn real_path(&self, path: &[u8]) -> Attempt<Bytes> {
        let found = match self.session.call(&Request::RealPath { path }).await? {
            Reply::Names(names) if names.len() == 1 => Ok(names[0].name.clone()),
            reply => Err(unexpected(reply)),
        };
        self.followed(path, found).await
    }

    /// Removes a file.
    ///
    /// # Errors
    /// The server's.
    pub async fn remove(&self, path: &[u8]) -> Attempt<()> {
        done(self.call(path, &Request::Remove { path }).await?)
    }

    /// Makes a folder.
    ///
    /// # Errors
    /// EEXIST: something has that name, for which there is no status. The server's.
    pub async fn make_folder(&self, path: &[u8]) -> Attempt<()> {
        let made = done(self.call(path, &Request::MakeFolder { path }).await?);
        match made {
            Err(failure) if failure.retry == Retry::No && self.stat_link(path).await.is_ok() => {
                Err(plain(Code::EEXIST))
            }
            made => made,
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// ENOTDIR: it is none. ENOTEMPTY: it is not empty. There is no status for either. The server's.
    pub async fn remove_folder(&self, path: &[u8]) -> Attempt<()> {
        let Err(failure) = done(self.call(path, &Request::RemoveFolder { path }).await?) else {
            return Ok(());
        };
        if failure.retry != Retry::No {
            return Err(failure);
        }
        match self.stat_link(path).await {
            Ok(found) if found.kind() != Kind::Directory => Err(plain(Code::ENOTDIR)),
            Ok(_) if self.has_names(path).await => Err(plain(Code::ENOTEMPTY)),
            _ => Err(failure),
        }
    }

    async fn has_names(&self, path: &[u8]) -> bool {
        let Ok(folder) = self.open_folder(path).await else { return false };
        loop {
            match folder.names().await {
                Ok(names) if names.is_empty() => return false,
                Ok(names) if names.iter().all(Name::is_the_folders_own) => {}
                named => return named.is_ok(),
            }
        }
    }

    /// Sets the time of the last change of what is there; that of the last access stays.
    ///
    /// # Errors
    /// The server's.
    pub async fn set_modified(&self, path: &[u8], seconds: u32) -> Attempt<()> {
        let accessed = self.stat(path).await?.times.map_or(seconds, |(accessed, _)| accessed);
        let attributes = Attributes { times: Some((accessed, seconds)), ..Attributes::NONE };
        done(self.call(path, &Request::Set { path, attributes: &attributes }).await?)
    }

    /// Renames a file, unless its new name is taken.
    ///
    /// # Errors
    /// The server's.
    pub async fn rename(&self, from: &[u8], to: &[u8]) -> Attempt<()> {
        done(self.session.call(&Request::Rename { from, to }).await?)
    }

    /// Renames a file, in the place of what has that name. Where the server cannot, that is removed first: for a moment there is
    /// nothing under the name.
    ///
    /// # Errors
    /// The server's.
    pub async fn replace(&self, from: &[u8], to: &[u8]) -> Attempt<()> {
        if self.session.features().replace {
            return done(self.session.call(&Request::Replace { from, to }).await?);
        }
        match self.remove(to).await {
            Err(failure) if failure.code != Code::ENOENT => Err(failure),
            _ => self.rename(from, to).await,
        }
    }

    /// How much room there is where a path lies; `None`: the server does not say.
    async fn space(&self, path: &[u8]) -> Option<Space> {
        if !self.session.features().space {
            return None;
        }
        let Ok(Reply::Extended(packet)) = self.session.call(&Request::Space { path }).await else {
            return None;
        };
        // As statvfs(3) has them; the files are inodes, and a file system without those has none.
        let [_, fragment, blocks, _, available, files, _, files_available] = numbers(packet).ok()?;
        Some(Space {
            total: blocks.saturating_mul(fragment),
            available: available.saturating_mul(fragment),
            takes_files: files == 0 || files_available > 0,
        })
    }

    /// Why `count` bytes could not be written at an offset, or a file not be made. Most servers have one status for all that a disk
    /// refuses, so they are asked how much room there is.
    pub async fn explained(&self, failure: Failure, path: &[u8], at: u64, count: u64) -> Failure {
        if failure.code != Code::EIO {
            return failure;
        }
        let Some(space) = self.space(path).await else { return failure };
        let fits =
            at.saturating_add(count) <= space.total && count.max(1) <= space.available && space.takes_files;
        if fits { failure } else { Failure::new(Code::ENOSPC, "no space left on the server") }
    }

    /// Opens a folder to read its names.
    ///
    /// # Errors
    /// The server's.
    pub async fn open_folder(&self, path: &[u8]) -> Attempt<Handle> {
        self.handle(path, &Request::OpenFolder { path }).await
    }
}

impl Handle {
    /// Where it is open.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Whether the connection is gone, and it with it.
    pub fn is_lost(&self) -> bool {
        self.link.session.is_lost()
    }

    /// What is known of it.
    ///
    /// # Errors
    /// The server's.
    pub async fn stat(&self) -> Attempt<Attributes> {
        attributes(self.link.session.call(&Request::StatHandle { handle: &self.handle }).await?)
    }

    /// Changes what is known of it: its size, its owner, its times.
    ///
    /// # Errors
    /// The server's.
    pub async fn set(&self, attributes: &Attributes) -> Attempt<()> {
        done(self.link.session.call(&Request::SetHandle { handle: &self.handle, attributes }).await?)
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// ENOTSUP: the server cannot. The server's.
    pub async fn sync(&self) -> Attempt<()> {
        if !self.link.session.features().sync {
            return Err(Failure::new(
                Code::ENOTSUP,
                "the server cannot say that a file is durable (fsync@openssh.com)",
            ));
        }
        done(self.link.session.call(&Request::Sync { handle: &self.handle }).await?)
    }

    /// Asks for bytes; what is asked first is answered first by most servers, and by none in another order than it is read here.
    ///
    /// # Errors
    /// ECONNRESET, ETIMEDOUT.
    pub async fn begin_read(&self, offset: u64, count: u32) -> Attempt<Pending> {
        let request = Request::Read { handle: &self.handle, offset, count };
        self.link.session.begin(&request, Bytes::new()).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// ECONNRESET, ETIMEDOUT.
    pub async fn begin_write(&self, offset: u64, bytes: Bytes) -> Attempt<Pending> {
        let request = Request::Write { handle: &self.handle, offset, count: bytes.len() as u32 };
        self.link.session.begin(&request, bytes).await
    }

    /// The next names of a folder; none: these were all.
    ///
    /// # Errors
    /// The server's.
    pub async fn names(&self) -> Attempt<Vec<Name>> {
        match self.link.session.call(&Request::ReadFolder { handle: &self.handle }).await? {
            Reply::Names(names) => Ok(names),
            Reply::Status { code: status::END, .. } => Ok(Vec::new()),
            reply => Err(unexpected(reply)),
        }
    }

    /// Closes it, and says whether what was written is whole. Done already, it succeeds.
    ///
    /// # Errors
    /// The server's.
    pub async fn close(&self) -> Attempt<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        done(self.link.session.call(&Request::Close { handle: &self.handle }).await?)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Relaxed) && !self.is_lost() {
            self.link.session.close(self.handle.clone());
        }
    }
}

/// A time as servers have it.
///
/// # Errors
/// EOVERFLOW: they have none for it.
pub fn seconds(time: SystemTime) -> Attempt<u32> {
    let after = time.duration_since(SystemTime::UNIX_EPOCH).ok();
    after
        .and_then(|after| u32::try_from(after.as_secs()).ok())
        .ok_or_else(|| Failure::new(Code::EOVERFLOW, "SFTP has times from 1970 to 2106 only, in seconds"))
}

/// Whether a path has a name that most file systems find too long.
fn is_too_long(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/').any(|name| name.len() > NAME_MAX)
}

/// What a read came to; empty: the end.
///
/// # Errors
/// The server's. EPROTO: more than was asked for, or nothing.
pub fn bytes_read(reply: Reply, asked: u32) -> Attempt<Bytes> {
    match reply {
        Reply::Data(bytes) if bytes.is_empty() || bytes.len() > asked as usize => {
            Err(Failure::protocol(format!("{} bytes for a read of {asked}", bytes.len())))
        }
        Reply::Data(bytes) => Ok(bytes),
        Reply::Status { code: status::END, .. } => Ok(Bytes::new()),
        reply => Err(unexpected(reply)),
    }
}

/// Whether something was done.
///
/// # Errors
/// The server's.
pub fn done(reply: Reply) -> Attempt<()> {
    match reply {
        Reply::Status { code: status::OK, .. } => Ok(()),
        reply => Err(unexpected(reply)),
    }
}

fn attributes(reply: Reply) -> Attempt<Attributes> {
    match reply {
        Reply::Attributes(attributes) => Ok(attributes),
        reply => Err(unexpected(reply)),
    }
}

/// A refusal, or a reply to something else.
fn unexpected(reply: Reply) -> Failure {
    match reply {
        Reply::Status { code: status::OK, .. } => Failure::protocol("success, and no answer"),
        Reply::Status { code, text } => of_status(code, &text),
        _ => Failure::protocol("the answer to another kind of request"),
    }
}

impl Name {
    /// Whether it is the folder itself, or the one above it.
    pub fn is_the_folders_own(&self) -> bool {
        matches!(&self.name[..], b"." | b"..")
    }
}

/// The part of a mode that says what kind of file it is.
const TYPE: u32 = 0o170_000;

impl Attributes {
    /// For a file that is made: as the server's user has it.
    pub const NONE: Attributes = Attributes { size: None, owner: None, mode: None, times: None };

    /// Whether this is the same content as far as can be seen: its size and the time of its last change.
    pub fn is_same(&self, other: &Attributes) -> bool {
        let modified = |attributes: &Attributes| attributes.times.map(|(_, modified)| modified);
        self.size == other.size && modified(self) == modified(other)
    }

    /// Whether it is a symbolic link itself.
    pub fn is_link(&self) -> bool {
        self.mode.is_some_and(|mode| mode & TYPE == 0o120_000)
    }

    /// The kind of a file; a symbolic link and what a server says nothing of are unknown.
    pub fn kind(&self) -> Kind {
        match self.mode.map(|mode| mode & TYPE) {
            Some(0o100_000) => Kind::Regular,
            Some(0o040_000) => Kind::Directory,
            Some(0o010_000 | 0o140_000) => Kind::Stream,
            Some(0o020_000) => Kind::Device,
            // A server without types: it has files.
            None | Some(0) if self.size.is_some() => Kind::Regular,
            _ => Kind::Unknown,
        }
    }

    /// As the provider ABI has it.
    pub fn stat(&self) -> Stat {
        let kind = self.kind();
        let mut stat = Stat::of_kind(kind);
        if let (Kind::Regular, Some(size)) = (kind, self.size) {
            stat = stat.size(size);
        }
        match self.times {
            Some((_, seconds)) if matches!(kind, Kind::Regular | Kind::Directory) => {
                stat.modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()))
            }
            _ => stat,
        }
    }
}
