//! One configuration: its client, and what its opens become.

use crate::client::Client;
use crate::client::caller::Caller;
use crate::namespace;
use crate::reader::Reader;
use crate::settings::Config;
use crate::target::Target;
use crate::wire::request::Place;
use crate::writer::Writer;
use std::sync::Arc;
use std::time::Duration;
use vfs_core::{File, Host, Instance, Namespace, Request, Result, Stat};
use zvfs_net::whole;

/// The time that stopping may take.
const STOP_MAX: Duration = Duration::from_secs(5);

/// An instance.
pub struct Http {
    host: Host,
    client: Arc<Client>,
}

impl Http {
    /// Makes an instance.
    pub fn new(host: Host, config: Config) -> Http {
        Http { host, client: Arc::new(Client::new(config)) }
    }

    /// What a request is about, and who asks.
    fn asked(&self, request: &Request<'_>) -> Result<(Place, Caller)> {
        let place = Place::first(Target::of(request)?);
        let caller = Caller {
            context: request.context().clone(),
            tuning: self.client.tuning().clone().with(request.settings())?,
            host: self.host.clone(),
            shown: request.shown().to_owned(),
        };
        Ok((place, caller))
    }

    fn write(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        let (place, caller) = self.asked(request)?;
        let exclusive = whole::is_exclusive(request, || {
            namespace::stat(&self.client, &place, &caller).map(|stat| stat.size)
        })?;
        Ok(Box::new(Writer::open(&self.client, &place, caller, request.expected_size(), exclusive)?))
    }
}

impl Instance for Http {
    fn open(&self, request: &Request<'_>) -> Result<Box<dyn File>> {
        if whole::is_writers(request)? {
            return self.write(request);
        }
        let (place, caller) = self.asked(request)?;
        Ok(Box::new(Reader::open(&self.client, &place, caller, request.flags())?))
    }

    fn namespace(&self) -> Option<&dyn Namespace> {
        Some(self)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // Files are closed by now, which has told their threads to end.
        self.client.workers().wait(STOP_MAX);
    }
}

impl Namespace for Http {
    fn stat(&self, request: &Request<'_>) -> Result<Stat> {
        let (place, caller) = self.asked(request)?;
        namespace::stat(&self.client, &place, &caller)
            .map_err(|failure| failure.error("stat", request.shown()))
    }

    fn remove(&self, request: &Request<'_>) -> Result<()> {
        let (place, caller) = self.asked(request)?;
        namespace::remove(&self.client, &place, &caller)
            .map_err(|failure| failure.error("remove", request.shown()))
    }
}
