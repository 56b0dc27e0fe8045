//! What an open is about to do: the request, checked by the operator's rules.

use crate::settings::{self, Config};
use netpipe::descriptor::Location;
use netpipe::digest::Algorithm;
use netpipe::provider::{PipeRequest, window};
use netpipe::{Name, Role};
use vfs_core::{Code, Request, Result};

/// One open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which end this side is.
    pub role: Role,
    /// The pipe.
    pub name: Name,
    /// Reader: the writers that it expects; `None`: any number.
    pub writers: Option<u32>,
    /// Reader: bytes on their way for each writer.
    pub window: u32,
    /// How the whole pipe is digested, if the peer does so too.
    pub digest: Option<Algorithm>,
}

impl Plan {
    /// Makes the plan of a request.
    ///
    /// # Errors
    /// Those of [`PipeRequest::new`]. EINVAL: the pipe has no name. EACCES: a server that the operator did not list.
    pub fn new(request: &Request<'_>, config: &Config) -> Result<Plan> {
        let wanted = PipeRequest::new(request, &settings::schema(), config.job.as_deref())?;
        match &wanted.location {
            Location::Direct { .. } => {
                let text = "a pipe over NATS has a name: write nats:name, or nats://server:port/name";
                return Err(wanted.refusal(Code::EINVAL, text));
            }
            Location::Broker { broker: Some(server), .. } if !config.servers.contains(server) => {
                let text = format!("the operator must add {server} to the setting `servers`");
                return Err(wanted.refusal(Code::EACCES, &text));
            }
            Location::Broker { .. } => {}
        }
        let window = wanted.setting(window).unwrap_or(config.window);
        let PipeRequest { role, name, writers, digest, .. } = wanted;
        Ok(Plan { role, name, writers, window, digest })
    }
}
