//! A file open for reading.

use crate::caller::Caller;
use crate::client::Client;
use crate::download::Download;
use crate::facts::Facts;
use crate::reply::End;
use crate::session::Session;
use crate::target::Target;
use parking_lot::Mutex;
use std::io::SeekFrom;
use std::sync::Arc;
use vfs_core::{Capabilities, Code, Error, File, Kind, OpenFlags, Result, Stat, seek_position};
use zvfs_net::failure::{Attempt, Failure, Retry};
use zvfs_net::retry::{Budget, persist};

/// A gap that is read over rather than asked around: less than the round trips of a new transfer bring.
const SKIP_MAX: u64 = 256 << 10;
/// Transfers of one file that stand still between two calls. Each holds a session of its own.
const IDLE_MAX: usize = 4;

/// A file open for reading.
pub struct Reader {
    remote: Remote,
    position: u64,
    /// Transfers that a later call goes on with.
    idle: Mutex<Vec<Download>>,
    /// Why nothing can be read any more.
    broken: Mutex<Option<Failure>>,
    budget: Budget,
}

/// The file, as it was when it was opened.
struct Remote {
    client: Arc<Client>,
    target: Target,
    caller: Caller,
    facts: Facts,
    /// Transfers may begin anywhere.
    rest: bool,
}

impl Reader {
    /// Opens a file, and begins to read it unless it is for reading here and there.
    ///
    /// # Errors
    /// EISDIR: it is a folder. ENOENT, EACCES: the server's word. As [`Client::session`].
    pub fn open(client: &Arc<Client>, target: Target, caller: Caller, flags: OpenFlags) -> Result<Reader> {
        let at_once = !flags.contains(OpenFlags::RANDOM);
        let opened = persist(&caller, &mut Budget::new(), || {
            let (theirs, target, stall) = (client.clone(), target.clone(), caller.tuning.stall_timeout);
            let tuning = caller.tuning.clone();
            caller.wait(client, "the file", async move {
                let mut session = theirs.session(&target.account, &tuning).await?;
                let begun = begin(&mut session, &target, at_once).await;
                let rest = session.features().rest;
                match begun {
                    Ok((facts, Some(data))) => {
                        Ok((facts, rest, Some(Download::new(&theirs, session, data, 0, stall)?)))
                    }
                    Ok((facts, None)) => {
                        theirs.keep(session).await;
                        Ok((facts, rest, None))
                    }
                    Err(failure) => {
                        theirs.keep(session).await;
                        Err(failure)
                    }
                }
            })
        });
        let (facts, rest, download) = opened.map_err(|failure| failure.error("open", &caller.shown))?;
        let remote = Remote { client: client.clone(), target, caller, facts, rest };
        Ok(Reader {
            remote,
            position: 0,
            idle: Mutex::new(download.into_iter().collect()),
            broken: Mutex::default(),
            budget: Budget::resuming(),
        })
    }

    fn failed(&self, doing: &str, failure: &Failure) -> Error {
        failure.error(doing, &self.remote.caller.shown)
    }

    /// The size, for what needs positions.
    fn size_for(&self, doing: &str, code: Code) -> Result<u64> {
        self.remote.facts.size.filter(|_| self.remote.has_positions()).ok_or_else(|| {
            let why = self.remote.no_positions();
            Error::new(code, format!("{doing} {}: {why}", self.remote.caller.shown))
        })
    }

    /// One attempt to read at a place; 0: the end.
    fn attempt(&self, buf: &mut [u8], place: u64) -> Attempt<usize> {
        if let Some(failure) = &*self.broken.lock() {
            return Err(failure.clone());
        }
        self.read_at_place(buf, place).inspect_err(|failure| {
            if matches!(failure.code, Code::ESTALE | Code::EPROTO) {
                *self.broken.lock() = Some(failure.clone());
            }
        })
    }

    fn read_at_place(&self, buf: &mut [u8], place: u64) -> Attempt<usize> {
        let caller = &self.remote.caller;
        let begun = || self.take(place, SKIP_MAX).map_or_else(|| self.remote.download(place), Ok);
        let Some(size) = self.remote.facts.size else {
            let mut download = begun()?;
            let count = download.read(buf, caller)?;
            self.keep(download);
            return Ok(count);
        };
        if place >= size {
            return self.take(size, 0).map_or(Ok(0), |download| self.end(download, size));
        }
        let mut download = begun()?;
        download.skip_to(place, caller)?;
        let most = usize::try_from(size - place).unwrap_or(usize::MAX).min(buf.len());
        match download.read(&mut buf[..most], caller)? {
            0 => Err(self.remote.differs(size, &format!("only {}", download.at()))),
            count => {
                self.keep(download);
                Ok(count)
            }
        }
    }

    /// The end of a file, all of which came. It may go on where the server said that it ends, or be other bytes than the file has: then
    /// the server says that it could not read it.
    fn end(&self, mut download: Download, size: u64) -> Attempt<usize> {
        match download.end(&self.remote.caller) {
            Ok(Some(End::Complete | End::Unheard(_))) => Ok(0),
            Ok(Some(End::Refused(failure))) => {
                let failure = failure.for_good().context("all bytes came, and then");
                *self.broken.lock() = Some(failure.clone());
                Err(failure)
            }
            Ok(None) => Err(self.remote.differs(size, "more")),
            // The caller's time is over; it may come again.
            Err(failure) => {
                self.keep(download);
                Err(failure)
            }
        }
    }

    /// Takes the transfer that comes to a place soonest, after so many bytes at most.
    fn take(&self, place: u64, most: u64) -> Option<Download> {
        let mut idle = self.idle.lock();
        let gap = |download: &Download| place.checked_sub(download.at()).filter(|gap| *gap <= most);
        let (at, _) = idle
            .iter()
            .enumerate()
            .filter_map(|(at, download)| Some((at, gap(download)?)))
            .min_by_key(|(_, gap)| *gap)?;
        Some(idle.remove(at))
    }

    /// Keeps a transfer for a later call; the oldest one may have to go.
    fn keep(&self, download: Download) {
        let mut idle = self.idle.lock();
        let gone = (idle.len() >= IDLE_MAX).then(|| idle.remove(0));
        idle.push(download);
        drop(idle);
        drop(gone);
    }
}

/// Learns what a file is, and begins to read it if that is wanted.
async fn begin(
    session: &mut Session,
    target: &Target,
    at_once: bool,
) -> Attempt<(Facts, Option<crate::session::Data>)> {
    let facts = session.facts(&target.path).await?;
    if facts.kind == Kind::Directory {
        return Err(Failure::new(Code::EISDIR, "it is a folder"));
    }
    let data = if at_once { Some(session.retrieve(&target.path, 0).await?) } else { None };
    Ok((facts, data))
}

impl Remote {
    /// Whether reading may begin anywhere, and proves to be of the same file.
    fn has_positions(&self) -> bool {
        self.rest && self.facts.size.is_some() && self.facts.modified.is_some()
    }

    /// Why not.
    fn no_positions(&self) -> &'static str {
        match () {
            () if !self.rest => "the server begins at the start only: it has no REST",
            () if self.facts.size.is_none() => "the server does not tell the file's size",
            () => "the server does not tell when the file was changed",
        }
    }

    /// Begins a transfer at a place, if the file is still the same.
    fn download(&self, place: u64) -> Attempt<Download> {
        if place > 0 && !self.has_positions() {
            let text = format!("the connection was lost, and cannot be resumed: {}", self.no_positions());
            return Err(Failure::new(Code::ECONNRESET, text));
        }
        let (client, target, facts) = (self.client.clone(), self.target.clone(), self.facts.clone());
        let tuning = self.caller.tuning.clone();
        self.caller.wait(&self.client, "the file", async move {
            let mut session = client.session(&target.account, &tuning).await?;
            let outcome = async {
                let now = session.facts(&target.path).await.map_err(|failure| match failure.code {
                    Code::ENOENT => Failure::new(Code::ESTALE, "the file is gone"),
                    _ => failure,
                })?;
                if now != facts {
                    return Err(Failure::new(Code::ESTALE, "the file has changed"));
                }
                session.retrieve(&target.path, place).await
            }
            .await;
            match outcome {
                Ok(data) => Download::new(&client, session, data, place, tuning.stall_timeout),
                Err(failure) => {
                    client.keep(session).await;
                    Err(failure)
                }
            }
        })
    }

    /// Why a transfer had another length than the file's size: the file has changed, or the server is wrong.
    fn differs(&self, size: u64, came: &str) -> Failure {
        let (client, target, facts) = (self.client.clone(), self.target.clone(), self.facts.clone());
        let tuning = self.caller.tuning.clone();
        let now = self.caller.wait(&self.client, "the file's size", async move {
            let mut session = client.session(&target.account, &tuning).await?;
            let now = session.facts(&target.path).await;
            client.keep(session).await;
            now
        });
        let text = format!("the transfer has {came} of {size} bytes");
        match now {
            Ok(now) if now == facts => Failure::protocol(text),
            Ok(_) => Failure::new(Code::ESTALE, format!("the file has changed: {text}")),
            Err(failure) if failure.retry == Retry::No => failure,
            Err(_) => Failure::later(Code::ECONNRESET, text),
        }
    }
}

impl File for Reader {
    fn capabilities(&self) -> Capabilities {
        let always = Capabilities::READABLE | Capabilities::STAT | Capabilities::CANCEL;
        match self.remote.has_positions() {
            true => always | Capabilities::SEEKABLE | Capabilities::POSITIONAL_READ,
            false => always,
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        loop {
            match self.attempt(buf, self.position) {
                Ok(count) => {
                    self.position += count as u64;
                    self.budget.progressed(count as u64);
                    return Ok(count);
                }
                Err(failure) => {
                    let waited = self.budget.wait(failure, &self.remote.caller);
                    waited.map_err(|failure| self.failed("read", &failure))?;
                }
            }
        }
    }

    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let size = self.size_for("seek", Code::ESPIPE)?;
        self.position = seek_position(&self.remote.caller.shown, to, self.position, || Ok(size))?;
        Ok(self.position)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        self.size_for("read at a position", Code::ENOTSUP)?;
        let read = persist(&self.remote.caller, &mut Budget::resuming(), || self.attempt(buf, offset));
        read.map_err(|failure| self.failed("read", &failure))
    }

    fn stat(&mut self) -> Result<Stat> {
        Ok(self.remote.facts.stat())
    }
}
