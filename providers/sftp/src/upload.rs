//! ATOMIC: a file that is written under a hidden name, and gets its own on COMMIT.
//!
//! The hidden names are few and known, `.name.zvfs-0` to `.name.zvfs-7`, so that what a killed process left is found again
//! without reading the folder.

use crate::calls::{Handle, NAME_MAX};
use crate::connection::Link;
use crate::failure::plain;
use crate::packet::{Attributes, open};
use crate::pool::Pool;
use crate::target::{Login, Target};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::timeout;
use vfs_core::{Code, Kind, OpenFlags};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::retry::Budget;

/// How many writers of one name find a known one at the same moment; more get random ones, which nobody sweeps.
const KNOWN: u32 = 8;

/// When nobody has written a hidden file for so long, in seconds, it is what a killed process left.
const LEFT_BEHIND: u64 = 24 * 60 * 60;

/// How long the answer to a close is waited for, before a removal.
const CLOSING: Duration = Duration::from_secs(1);

/// The permissions, without those that make a program run as its owner.
const PERMISSIONS: u32 = 0o777;

/// Whom a file is hidden from until it has its own permissions.
const PRIVATE: Attributes = Attributes { mode: Some(0o600), ..Attributes::NONE };

/// A file under its hidden name, and the one that it gets.
#[derive(Clone)]
pub struct Upload {
    pool: Arc<Pool>,
    login: Login,
    /// Where it is now.
    pub hidden: Bytes,
    target: Bytes,
    exclusive: bool,
}

impl Upload {
    /// Makes the hidden file. A symbolic link is followed: what it leads to is replaced.
    ///
    /// # Errors
    /// ENOENT: absent, and no CREATE. EEXIST: there, and EXCLUSIVE. EACCES: it may not be written. ENOTSUP: what is there can only
    /// be written in place, and why. ENOSPC. The server's.
    pub async fn begin(pool: Arc<Pool>, target: Target, flags: OpenFlags) -> Attempt<(Handle, Upload)> {
        let link = pool.link(&target.login).await?;
        let (path, replaced) = look(&link, &target.path).await?;
        match &replaced {
            None if !flags.contains(OpenFlags::CREATE) => return Err(plain(Code::ENOENT)),
            None => {}
            Some(_) if flags.contains(OpenFlags::EXCLUSIVE) => return Err(plain(Code::EEXIST)),
            // Replacing it asks for no permission but its folder's.
            Some(_) => drop(link.open(&path, open::WRITE, &Attributes::NONE).await?),
        }
        let attributes = if replaced.is_some() { &PRIVATE } else { &Attributes::NONE };
        let (handle, hidden) = make(&link, &path, attributes).await.map_err(|failure| match replaced {
            Some(_) if failure.code == Code::EACCES => only_in_place("its folder takes no new file"),
            _ => failure,
        })?;
        let exclusive = flags.contains(OpenFlags::EXCLUSIVE);
        let upload = Upload { pool, login: target.login, hidden, target: path, exclusive };
        if let Some(replaced) = replaced
            && let Err(failure) = take_over(&handle, &replaced).await
        {
            let _ = upload.remove(&handle).await;
            return Err(failure);
        }
        Ok((handle, upload))
    }

    /// Gives the file its own name, and before that a time, if it is to have one. All of it is written.
    ///
    /// # Errors
    /// EEXIST: it was to be new, and is not. EIO: the server has another size than was written. The server's.
    pub async fn commit(&self, handle: &Handle, size: u64, modified: Option<u32>) -> Attempt<()> {
        let seen = Mutex::new(None);
        let closed = match set_modified(handle, modified).await {
            Ok(()) => handle.close().await,
            refused => refused,
        };
        let mut outcome = match closed {
            Ok(()) => self.rename(handle.link(), size, &seen).await,
            closed => closed,
        };
        if outcome.as_ref().is_err_and(|failure| failure.retry != Retry::No) {
            outcome = self.persist(|link| self.commit_again(link, size, modified, &seen)).await;
        }
        if outcome.is_err() {
            let _ = self.remove(handle).await;
        }
        outcome
    }

    /// `seen` becomes what the file was before the rename.
    async fn rename(&self, link: &Link, size: u64, seen: &Mutex<Option<Attributes>>) -> Attempt<()> {
        let found = link.stat_link(&self.hidden).await?;
        if let Some(found) = found.size.filter(|found| *found != size) {
            let text = format!("the server has {found} bytes of the {size} that were written");
            return Err(Failure::new(Code::EIO, text));
        }
        *seen.lock() = Some(found);
        if !self.exclusive {
            return link.replace(&self.hidden, &self.target).await;
        }
        match link.rename(&self.hidden, &self.target).await {
            Err(failure) if failure.retry == Retry::No && link.stat_link(&self.target).await.is_ok() => {
                Err(plain(Code::EEXIST))
            }
            outcome => outcome,
        }
    }

    /// The same after the connection was lost in it: whatever the server has done by then, the file has one of the two names. Under the
    /// hidden one it may be without its time.
    async fn commit_again(
        &self,
        link: Link,
        size: u64,
        modified: Option<u32>,
        seen: &Mutex<Option<Attributes>>,
    ) -> Attempt<()> {
        if let Some(seconds) = modified {
            match link.set_modified(&self.hidden, seconds).await {
                Err(failure) if failure.code != Code::ENOENT => return Err(failure),
                _ => {}
            }
        }
        let before = seen.lock().clone();
        match self.rename(&link, size, seen).await {
            Err(failure) if failure.code == Code::ENOENT => {
                match (link.stat_link(&self.target).await, before) {
                    (Ok(found), Some(before)) if found.is_same(&before) => Ok(()),
                    _ => Err(failure),
                }
            }
            outcome => outcome,
        }
    }

    /// Removes the hidden file. It is closed first: some servers remove no file that is open.
    ///
    /// # Errors
    /// ENOENT: it has its own name, or is gone, perhaps by a removal whose answer was lost. The server's, and what keeps it from being asked.
    pub async fn remove(&self, handle: &Handle) -> Attempt<()> {
        if !handle.is_lost() {
            // A server that answers nothing in this session may do in another.
            let _ = timeout(CLOSING, handle.close()).await;
        }
        self.persist(|link| async move { link.remove(&self.hidden).await }).await
    }

    /// Does what is left to be done, over a new connection each time that one is lost in it: the file's own may be lost, and the
    /// pool's on the way to be.
    async fn persist<F: Future<Output = Attempt<()>>>(
        &self,
        mut attempt: impl FnMut(Link) -> F,
    ) -> Attempt<()> {
        let mut budget = Budget::resuming();
        loop {
            let outcome = match self.pool.link(&self.login).await {
                Ok(link) => attempt(link.clone()).await.inspect_err(|failure| {
                    if failure.retry != Retry::No {
                        link.abandon(failure);
                    }
                }),
                Err(failure) => Err(failure),
            };
            match outcome {
                Err(failure) if failure.retry != Retry::No => {
                    let pause = budget.pause(failure, self.pool.config().tuning.retries)?;
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The path without a link at its end, and the regular file that is there.
async fn look(link: &Link, path: &[u8]) -> Attempt<(Bytes, Option<Attributes>)> {
    let mut path = Bytes::copy_from_slice(path);
    let mut found = link.stat_link(&path).await;
    if found.as_ref().is_ok_and(Attributes::is_link) {
        path = link.real_path(&path).await?;
        found = link.stat_link(&path).await;
    }
    match found {
        Err(failure) if failure.code == Code::ENOENT => Ok((path, None)),
        Err(failure) => Err(failure),
        Ok(attributes) => match attributes.kind() {
            Kind::Regular => Ok((path, Some(attributes))),
            Kind::Directory => Err(plain(Code::EISDIR)),
            Kind::Stream => Err(only_in_place("it is a FIFO or a socket")),
            Kind::Device => Err(only_in_place("it is a device")),
            _ => Err(only_in_place("it is no regular file")),
        },
    }
}

/// Makes a hidden file beside a path.
async fn make(link: &Link, path: &[u8], attributes: &Attributes) -> Attempt<(Handle, Bytes)> {
    // TRUNCATE says nothing more, but some servers know these flags only as the mode `wx` of a C library.
    let flags = open::WRITE | open::CREATE | open::EXCLUSIVE | open::TRUNCATE;
    for number in 0..KNOWN {
        let name = hidden(path, &format!(".zvfs-{number}"));
        let mut made = link.open(&name, flags, attributes).await;
        if made.is_err() && is_left_behind(link, &name).await {
            match link.remove(&name).await {
                Err(failure) if failure.code != Code::ENOENT => return Err(failure),
                _ => {} // or somebody else did at the same moment
            }
            made = link.open(&name, flags, attributes).await;
        }
        match made {
            Ok(handle) => return Ok((handle, name)),
            Err(_) if link.stat_link(&name).await.is_ok() => {} // somebody writes it
            // Or has just ended: what is gone by now may have been in the way. Nobody else has the random name, so that what keeps it
            // from being made is the truth.
            Err(failure) if matches!(failure.code, Code::EIO | Code::EEXIST) => break,
            Err(failure) => return Err(unmade(link, path, failure).await),
        }
    }
    let name = hidden(path, &format!(".zvfs-{:016x}", fastrand::u64(..)));
    match link.open(&name, flags, attributes).await {
        Ok(handle) => Ok((handle, name)),
        Err(failure) => Err(unmade(link, path, failure).await),
    }
}

/// Whether nobody has written a file for so long that nobody will. One that has just been given an old time is not: it has been used now.
async fn is_left_behind(link: &Link, name: &[u8]) -> bool {
    let found = link.stat_link(name).await;
    let times = found.ok().filter(|found| found.kind() == Kind::Regular).and_then(|found| found.times);
    times.is_some_and(|(accessed, modified)| u64::from(accessed.max(modified)) + LEFT_BEHIND < now())
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Gives a file that is written the time of its last change, if it is to have one. What is written later changes it.
///
/// # Errors
/// The server's.
pub async fn set_modified(handle: &Handle, seconds: Option<u32>) -> Attempt<()> {
    let Some(seconds) = seconds else { return Ok(()) };
    // There is no time without the other.
    let accessed = u32::try_from(now()).unwrap_or(u32::MAX);
    handle.set(&Attributes { times: Some((accessed, seconds)), ..Attributes::NONE }).await
}

/// Why a file could not be made.
pub async fn unmade(link: &Link, path: &[u8], failure: Failure) -> Failure {
    match failure.code {
        Code::ENOENT => match link.stat(folder(path)).await {
            Err(none) if none.code == Code::ENOENT => {
                Failure { text: "its folder does not exist".to_owned(), ..failure }
            }
            _ => failure.followed_by(", though its folder exists: the server makes no new file there"),
        },
        _ => link.explained(failure, folder(path), 0, 0).await,
    }
}

/// Gives a new file the owner and the permissions of the one that it will replace.
async fn take_over(handle: &Handle, replaced: &Attributes) -> Attempt<()> {
    let own = handle.stat().await?;
    if replaced.owner.is_some() && replaced.owner != own.owner {
        let owner = Attributes { owner: replaced.owner, ..Attributes::NONE };
        let kept = handle.set(&owner).await;
        kept.map_err(|failure| {
            only_in_place(&format!("a new file cannot have its owner ({})", failure.text))
        })?;
    }
    let mode = replaced.mode.map(|mode| mode & PERMISSIONS);
    if mode.is_none() {
        return Ok(());
    }
    let kept = handle.set(&Attributes { mode, ..Attributes::NONE }).await;
    kept.map_err(|failure| {
        only_in_place(&format!("a new file cannot have its permissions ({})", failure.text))
    })
}

fn only_in_place(why: &str) -> Failure {
    Failure::new(Code::ENOTSUP, format!("it can only be written in place, not with ATOMIC: {why}"))
}

/// The folder of a path, with its slash; a relative path's is the user's home.
fn folder(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => &path[..=slash],
        None => b".",
    }
}

/// `.name` and a tail beside a path, with the name cut where it would grow too long.
fn hidden(path: &[u8], tail: &str) -> Bytes {
    let (folder, name) =
        path.split_at(path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1));
    let kept = name.len().min(NAME_MAX - 1 - tail.len());
    [folder, b".", &name[..kept], tail.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_name_is_beside_its_file() {
        for (path, wanted) in [("/a/b", "/a/.b.zvfs-0"), ("b", ".b.zvfs-0"), ("/b", "/.b.zvfs-0")] {
            assert_eq!(hidden(path.as_bytes(), ".zvfs-0"), wanted);
        }
        let long = hidden(format!("/{}", "x".repeat(255)).as_bytes(), ".zvfs-0");
        assert_eq!(long.len(), 1 + NAME_MAX);
    }
}
