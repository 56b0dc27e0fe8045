//! One configuration: its client, and what its opens become.

use crate::caller::Caller;
use crate::client::Client;
use crate::namespace;
use crate::reader::Reader;
use crate::target::Target;
use crate::writer::Writer;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::SystemTime;
use vfs_core::{Code, Entry, Error, File, Host, Instance, Name, Namespace, Request, Result, Settings, Stat};
use zvfs_net::whole;

/// The most bytes of a name on the file systems of servers.
const NAME_MAX: usize = 255;

/// An instance.
pub struct Ftp {
    host: Host,
    client: Arc<Client>,
}

impl Ftp {
    /// Starts an instance: its threads, no connection.
    ///
    /// # Errors
    /// As [`Client::start`].
    pub fn start(host: Host, settings: &Settings) -> Result<Ftp> {
        Ok(Ftp { host, client: Arc::new(Client::start(settings)?) })
    }

    /// What a request is about, and who asks.
    fn asked(&self, request: &Request<'_>) -> Result<(Target, Caller)> {
        let target = Target::of(request, self.client.config())?;
        self.client.prepare(&target.account)?;
        let caller = Caller {
            context: request.context().clone(),
            tuning: self.client.config().tuning.clone().with(request.settings()),
            host: self.host.clone(),
            shown: request.shown().to_owned(),
            origin: target.account.origin.clone(),
        };
        Ok((target, caller))
    }

    fn write(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (target, caller) = self.asked(request)?;
        if target.path.is_folder() {
            return Err(Error::new(Code::EISDIR, format!("open {}: it is a folder", request.shown())));
        }
        if target.path.name().len() > NAME_MAX {
            // Said after the upload, it would be late.
            let text = format!("open {}: a new file's name has {NAME_MAX} bytes at most", request.shown());
            return Err(Error::new(Code::ENAMETOOLONG, text));
        }
        let exclusive = whole::is_exclusive(request, || {
            namespace::stat(&self.client, &target, &caller).map(|facts| facts.size)
        })?;
        Ok(Box::new(Writer::open(&self.client, target, caller, exclusive)?))
    }
}

impl Instance for Ftp {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        if whole::is_writers(request)? {
            return self.write(request);
        }
        let (target, caller) = self.asked(request)?;
        Ok(Box::new(Reader::open(&self.client, target, caller, request.flags())?))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Drop for Ftp {
    fn drop(&mut self) {
        self.client.stop();
    }
}

impl Namespace for Ftp {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let (target, caller) = self.asked(request)?;
        let facts = namespace::stat(&self.client, &target, &caller);
        facts.map(|facts| facts.stat()).map_err(|failure| failure.error("stat", request.shown()))
    }

    fn list(&self, request: &Request<'_>, each: &mut dyn FnMut(Entry<'_>) -> ControlFlow<()>) -> Result<()> {
        self.names(request, &mut self.host.entries(request.shown(), each))
    }

    fn names(&self, request: &Request<'_>, each: &mut dyn FnMut(Name<'_>) -> ControlFlow<()>) -> Result<()> {
        let (target, caller) = self.asked(request)?;
        namespace::list(&self.client, &target, &caller, each)
            .map_err(|failure| failure.error("list", request.shown()))
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        let (target, caller) = self.asked(request)?;
        namespace::remove(&self.client, &target, &caller)
            .map_err(|failure| failure.error("remove", request.shown()))
    }

    fn make_folder(&self, request: &Request<'_>) -> Result<()> {
        let (target, caller) = self.asked(request)?;
        namespace::make_folder(&self.client, &target, &caller)
            .map_err(|failure| failure.error("make folder", request.shown()))
    }

    fn set_modified(&self, request: &Request<'_>, time: SystemTime) -> Result<()> {
        let (target, caller) = self.asked(request)?;
        namespace::set_modified(&self.client, &target, &caller, time)
            .map_err(|failure| failure.error("set the time of", request.shown()))
    }

    fn remove_folder(&self, request: &Request<'_>) -> Result<()> {
        let (target, caller) = self.asked(request)?;
        namespace::remove_folder(&self.client, &target, &caller)
            .map_err(|failure| failure.error("remove folder", request.shown()))
    }
}
