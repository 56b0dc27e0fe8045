//! One configuration, and what its opens become.

use crate::descriptor::{Source, Target};
use crate::metainfo::{Found, Metainfo, SIZE_MAX};
use crate::reader::{Caller, Reader};
use crate::settings::{self, Config};
use crate::swarms::Swarms;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{
    Code, Entry, Error, File, Host, Inner, Instance, Kind, Namespace, OpenFlags, Request, Result, Settings,
    Stat,
};
use zvfs_net::failure::Failure;
use zvfs_net::waiting::Waiting;
use zvfs_runtime::Runtime;

/// What leaving all torrents may take. With what ends the runtime, less than a stop may: see `Instance` in the provider ABI.
const LEAVING: Duration = Duration::from_secs(3);

/// An instance.
pub struct Torrents {
    host: Host,
    runtime: Runtime,
    swarms: Swarms,
    stall: Duration,
}

impl Torrents {
    /// Makes an instance.
    ///
    /// # Errors
    /// EINVAL: a setting. The session's.
    pub fn start(host: Host, settings: &Settings) -> Result<Torrents> {
        let config = Config::new(settings)?;
        let runtime = Runtime::start(settings, "zvfs-torrent")?;
        let stall = config.stall;
        let swarms = Swarms::start(host.clone(), runtime.clone(), config)?;
        Ok(Torrents { host, runtime, swarms, stall })
    }

    fn caller(&self, request: &Request<'_>) -> Caller {
        Caller {
            context: request.context().clone(),
            runtime: self.runtime.clone(),
            stall: settings::stall(request.settings()).unwrap_or(self.stall),
            shown: request.shown().to_owned(),
        }
    }

    /// The metadata of the torrent that a request names, and the path in it.
    fn metainfo(&self, request: &Request<'_>, doing: &str) -> Result<(Arc<Metainfo>, Option<String>)> {
        let target = Target::of(request)?;
        let metainfo = match target.source {
            Source::File(descriptor) => {
                let parsed = Metainfo::parse(&self.fetch(request, &descriptor)?);
                Arc::new(parsed.map_err(|failure| failure.error(doing, request.shown()))?)
            }
            Source::Magnet(magnet) => {
                let waiting = Waiting::as_caller(request.context(), "a peer with the torrent's metadata");
                let (swarms, stall) = (self.swarms.clone(), self.caller(request).stall);
                let resolved = self.runtime.wait(waiting, async move { swarms.resolve(magnet, stall).await });
                resolved.map_err(|failure| failure.error(doing, request.shown()))?
            }
        };
        Ok((metainfo, target.path))
    }

    /// Reads a `.torrent` through the host.
    fn fetch(&self, request: &Request<'_>, descriptor: &str) -> Result<Vec<u8>> {
        let mut file = self.host.open(request.context(), descriptor, &Inner::new(OpenFlags::READ))?;
        let (mut bytes, mut buf) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match file.read(&mut buf)? {
                0 => return Ok(bytes),
                count => bytes.extend_from_slice(&buf[..count]),
            }
            if bytes.len() > SIZE_MAX {
                let text = format!("open {}: a .torrent of more than {SIZE_MAX} bytes", request.shown());
                return Err(Error::new(Code::EFBIG, text));
            }
        }
    }
}

impl Instance for Torrents {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let refuse = |failure: Failure| failure.error("open", request.shown());
        let (metainfo, path) = self.metainfo(request, "open")?;
        let Found::File(file) = metainfo.find(path.as_deref()).map_err(refuse)? else {
            let text = format!("a folder: name a file of it behind `#`: {}", metainfo.summary());
            return Err(refuse(Failure::new(Code::EISDIR, text)));
        };
        let (caller, stat) = (self.caller(request), status(&metainfo, file));
        let size = metainfo.size(file);
        let (mut ahead, mut download) = (None, None);
        if size > 0 {
            let waiting = Waiting::as_caller(&caller.context, "kept pieces to be verified");
            let (swarms, in_order) = (self.swarms.clone(), !request.flags().contains(OpenFlags::RANDOM));
            let joined = self.runtime.wait(waiting, async move {
                let download = swarms.join(metainfo, file).await?;
                let ahead = if in_order { Some(download.urge(0).await?) } else { None };
                Ok((ahead, download))
            });
            let (urge, joined) = joined.map_err(refuse)?;
            (ahead, download) = (urge, Some(joined));
        }
        Ok(Box::new(Reader { ahead, download, caller, size, stat, position: 0 }))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Namespace for Torrents {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let (metainfo, path) = self.metainfo(request, "stat")?;
        match metainfo.find(path.as_deref()).map_err(|failure| failure.error("stat", request.shown()))? {
            Found::File(file) => Ok(status(&metainfo, file)),
            Found::Folder => Ok(Stat::of_kind(Kind::Directory)),
        }
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        let (metainfo, path) = self.metainfo(request, "list")?;
        let refuse = |failure: Failure| failure.error("list", request.shown());
        if let Found::File(_) = metainfo.find(path.as_deref()).map_err(refuse)? {
            return Err(refuse(Failure::new(Code::ENOTDIR, "it is a file")));
        }
        for (name, file) in metainfo.list(path.as_deref().unwrap_or_default()) {
            let stat = file.map_or(Stat::of_kind(Kind::Directory), |file| status(&metainfo, file));
            if each(Entry { name, stat: Some(&stat) }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Torrents {
    fn drop(&mut self) {
        self.swarms.stop();
        // librqbit writes pieces on its tasks' threads. A disk that takes longer than this is not waited for.
        self.runtime.drain(LEAVING);
        self.runtime.stop();
    }
}

/// The torrent's hash stands for its content.
fn status(metainfo: &Metainfo, file: usize) -> Stat {
    let version = format!("{}/{file}", metainfo.hash.as_string());
    Stat::of_kind(Kind::Regular).size(metainfo.size(file)).version(version)
}
