//! What an open is about to do: the descriptor, completed by the settings, checked by the operator's rules.

use crate::peers::Parties;
use crate::settings::{self, Config};
use netpipe::descriptor::{Location, Naming};
use netpipe::digest::Algorithm;
use netpipe::{BROKER_PORT, Descriptor, Name, Role};
use vfs_core::{Code, Error, OpenFlags, Request, Result, Scope, Settings};

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
}

impl Plan {
    /// Makes the plan of a request.
    ///
    /// # Errors
    /// EINVAL: the descriptor or a setting cannot be. EBADF: the flags ask for the other direction. EACCES: a peer that the operator
    /// did not list; a node that is another peer's.
    pub fn new(request: &Request<'_>, config: &Config) -> Result<Plan> {
        let shown = request.shown();
        let refuse = |code, text: String| Error::new(code, format!("open {shown}: {text}"));
        let invalid = |error: netpipe::Error| refuse(Code::EINVAL, error.to_string());
        let in_open = |error: Error| error.context(format!("open {shown}"));
        let descriptor = Descriptor::parse(request.scheme(), request.rest()).map_err(invalid)?;
        let role = direction(request, descriptor.role)?;
        let written =
            Settings::check(&settings::schema(), Scope::OPEN, &descriptor.options).map_err(in_open)?;
        let offered = request.settings();
        let given = [&written, offered];
        let writers = first(given, settings::writers).transpose().map_err(in_open)?;
        if writers.is_some() && role == Role::Writer {
            return Err(refuse(Code::EINVAL, "only a reader takes `writers`".into()));
        }
        let node = written.text("node").or(offered.text("node"));
        let job = offered.text("job").or(config.job.as_deref());
        let others = others(&descriptor, node, config).map_err(|(code, text)| refuse(code, text))?;
        Ok(Plan {
            role,
            name: descriptor.name(role, node, job).map_err(invalid)?,
            others,
            writers: writers.unwrap_or(Some(1)),
            window: first(given, settings::window).unwrap_or(config.window),
            digest: first(given, settings::digest),
        })
    }
}

/// Who may be the other end: the peer that the descriptor names, or whose node it names; else everybody who is known.
fn others(
    descriptor: &Descriptor,
    node: Option<&str>,
    config: &Config,
) -> std::result::Result<Parties, (Code, String)> {
    let (peers, own) = (&config.peers, config.key.public());
    match &descriptor.location {
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

/// The first of the settings that gives a value.
fn first<T>(given: [&Settings; 2], read: impl Fn(&Settings) -> Option<T>) -> Option<T> {
    given.into_iter().find_map(read)
}

/// The direction that descriptor and flags agree on.
fn direction(request: &Request<'_>, written: Option<Role>) -> Result<Role> {
    let (flags, shown) = (request.flags(), request.shown());
    let refuse = |code, text: &str| Err(Error::new(code, format!("open {shown}: {text}")));
    let asked = match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => return refuse(Code::EINVAL, "a netpipe goes one way: open it to read or to write"),
        (true, false) => Some(Role::Reader),
        (false, true) => Some(Role::Writer),
        (false, false) => None,
    };
    match (written, asked) {
        (Some(Role::Reader), Some(Role::Writer)) => refuse(Code::EBADF, "the descriptor is for reading"),
        (Some(Role::Writer), Some(Role::Reader)) => refuse(Code::EBADF, "the descriptor is for writing"),
        (Some(role), _) | (None, Some(role)) => Ok(role),
        (None, None) => {
            refuse(Code::EINVAL, "neither the descriptor nor the flags say whether to read or to write")
        }
    }
}
