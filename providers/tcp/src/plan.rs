//! What an open is about to do: the request, and by which way its pipe is to meet.

use crate::settings::{self, Checksums, Config, Windows};
use netpipe::descriptor::Location;
use netpipe::digest::Algorithm;
use netpipe::hello::{FEATURE_ALIVE, FEATURE_CRC, FEATURE_WINDOWS};
use netpipe::pairing::Route;
use netpipe::provider::PipeRequest;
use netpipe::{BrokerAt, Name, Role};
use vfs_core::{Code, Error, Request, Result};

/// One open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The descriptor for messages.
    pub shown: String,
    /// Which end this side is.
    pub role: Role,
    /// How to meet.
    pub route: Route,
    /// The pipe.
    pub name: Name,
    /// Reader: the writers that it expects; `None`: any number.
    pub writers: Option<u32>,
    /// Reader: bytes on their way for each writer.
    pub window: Windows,
    /// When payload carries checksums.
    pub checksums: Checksums,
    /// How the whole pipe is digested, if the peer does so too.
    pub digest: Option<Algorithm>,
}

impl Plan {
    /// Makes the plan of a request.
    ///
    /// # Errors
    /// Those of [`PipeRequest::new`]. EINVAL: no broker is known. EACCES: a broker that the operator did not list.
    pub fn new(request: &Request<'_>, config: &Config) -> Result<Plan> {
        let wanted = PipeRequest::new(request, &settings::schema(), config.job.as_deref())?;
        let route = route(&wanted, config)?;
        let window = wanted.setting(settings::window).unwrap_or(config.window);
        let checksums = wanted.setting(settings::checksums).unwrap_or(config.checksums);
        let PipeRequest { shown, role, name, writers, digest, .. } = wanted;
        Ok(Plan { shown, role, route, name, writers, window, checksums, digest })
    }

    /// The features that this side has on a connection.
    pub fn features(&self, leaves_machine: bool) -> u64 {
        let crc = if self.checksums.wanted(leaves_machine) { FEATURE_CRC } else { 0 };
        FEATURE_WINDOWS | FEATURE_ALIVE | crc | self.digest.map_or(0, Algorithm::feature)
    }
}

fn route(wanted: &PipeRequest<'_>, config: &Config) -> Result<Route> {
    let broker = match &wanted.location {
        Location::Direct { at, listens } => {
            return match listens.unwrap_or(wanted.role == Role::Reader) {
                true => Ok(Route::Listen(at.clone())),
                false if wanted.role == Role::Reader && wanted.writers != Some(1) => {
                    let text = "a reader that connects has exactly one writer: leave out `writers`";
                    Err(wanted.refusal(Code::EINVAL, text))
                }
                false => Ok(Route::Dial(at.clone())),
            };
        }
        Location::Broker { broker: Some(named), .. } => BrokerAt::Named(named.clone()),
        Location::Broker { broker: None, .. } => {
            let offered = settings::broker(wanted.offered)
                .map_err(|error: Error| error.context(format!("open {}", wanted.shown)))?;
            let broker = offered.map(BrokerAt::Named).or_else(|| config.broker.clone());
            let absent = "no broker: name one in the descriptor, or set `broker` or `discover`";
            broker.ok_or_else(|| wanted.refusal(Code::EINVAL, absent))?
        }
    };
    if let BrokerAt::Named(named) = &broker
        && config.secret.is_some()
        && !config.listed.contains(named)
    {
        let text = format!(
            "the operator must add broker {named} to the setting `brokers`: the secret is used with those only"
        );
        return Err(wanted.refusal(Code::EACCES, &text));
    }
    Ok(Route::Broker(broker))
}
