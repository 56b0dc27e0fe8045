//! What an open is about to do: the request, checked by the operator's rules.

use crate::peers::Parties;
use crate::settings::{self, Config};
use netpipe::descriptor::{Location, Naming};
use netpipe::digest::Algorithm;
use netpipe::hello::FEATURE_SAME_HOST;
use netpipe::provider::{PipeRequest, window};
use netpipe::same_host::SameHost;
use netpipe::{BROKER_PORT, Name, Role};
use vfs_core::{Code, Request, Result};

/// One open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Which end this side is.
    pub role: Role,
    /// The pipe.
    pub name: Name,
    /// Who may be the other end.
    pub others: Parties,
    /// Reader: the writers that it expects; `None`: any number.
    pub writers: Option<u32>,
    /// Reader: bytes on their way for each writer.
    pub window: u32,
    /// How the whole pipe is digested, if the peer does so too.
    pub digest: Option<Algorithm>,
    /// Where ends on one host meet.
    pub same_host: Option<SameHost>,
}

impl Plan {
    /// Makes the plan of a request.
    ///
    /// # Errors
    /// Those of [`PipeRequest::new`]. EINVAL: the pipe has no name. EACCES: a peer that the operator did not list; a node that is
    /// another peer's.
    pub fn new(request: &Request<'_>, config: &Config) -> Result<Plan> {
        let wanted = PipeRequest::new(request, &settings::schema(), config.job.as_deref())?;
        let node = wanted.setting(|settings| settings.text("node").map(str::to_owned));
        let others = others(&wanted.location, node.as_deref(), config)
            .map_err(|(code, text)| wanted.refusal(code, &text))?;
        let window = wanted.setting(window).unwrap_or(config.window);
        let PipeRequest { role, name, writers, digest, .. } = wanted;
        Ok(Plan { role, name, others, writers, window, digest, same_host: config.same_host.clone() })
    }

    /// What this side would have in use on a stream.
    pub fn features(digest: Option<Algorithm>, same_host: Option<&SameHost>) -> u64 {
        digest.map_or(0, Algorithm::feature) | same_host.map_or(0, |_| FEATURE_SAME_HOST)
    }
}

/// Who may be the other end: the peer that the descriptor names, or whose node it names; else everybody who is known.
fn others(
    location: &Location,
    node: Option<&str>,
    config: &Config,
) -> std::result::Result<Parties, (Code, String)> {
    let (peers, own) = (&config.peers, config.key.public());
    match location {
        Location::Direct { .. } => {
            let text = "a pipe between peers has a name: write p2p:name, or p2p:peer:name";
            Err((Code::EINVAL, text.to_owned()))
        }
        Location::Broker { broker: Some(peer), .. } => {
            if peer.port() != BROKER_PORT {
                return Err((Code::EINVAL, format!("{peer}: a peer is a name or a key, without a port")));
            }
            let peer = peer.host();
            let known = peers.find(&peer).or_else(|| peer.parse().ok().filter(|key| *key == own));
            let unlisted =
                || (Code::EACCES, format!("the operator must add the peer {peer} to the setting `peers`"));
            known.map(Parties::One).ok_or_else(unlisted)
        }
        Location::Broker { broker: None, name, naming: Naming::PeerOrName } => {
            let Some(node) = node else { return Ok(Parties::Known) };
            if let Some(other) = peers.find(node).filter(|other| *other != own) {
                let text = format!(
                    "the setting `peers` says that the node {node} has the key {other}, and this side's is {own}"
                );
                return Err((Code::EACCES, text));
            }
            let peer = name.split('/').next().unwrap_or_default();
            Ok(peers.find(peer).map_or(Parties::Known, Parties::One))
        }
        Location::Broker { .. } => Ok(Parties::Known),
    }
}
