//! What an open is about to do: the descriptor, completed by the settings, checked by the operator's rules.

use crate::settings::{self, Config};
use netpipe::descriptor::Location;
use netpipe::digest::Algorithm;
use netpipe::{Descriptor, Name, Role};
use vfs_core::{Code, Error, OpenFlags, Request, Result, Scope, Settings};

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
    /// EINVAL: the descriptor or a setting cannot be. EBADF: the flags ask for the other direction. EACCES: a server that the
    /// operator did not list.
    pub fn new(request: &Request<'_>, config: &Config) -> Result<Plan> {
        let shown = request.shown();
        let refuse = |code, text: String| Error::new(code, format!("open {shown}: {text}"));
        let invalid = |error: netpipe::Error| refuse(Code::EINVAL, error.to_string());
        let in_open = |error: Error| error.context(format!("open {shown}"));
        let descriptor = Descriptor::parse(request.scheme(), request.rest()).map_err(invalid)?;
        let role = direction(request, descriptor.role)?;
        match &descriptor.location {
            Location::Direct { .. } => {
                let text = "a pipe over NATS has a name: write nats:name, or nats://server:port/name";
                return Err(refuse(Code::EINVAL, text.to_owned()));
            }
            Location::Broker { broker: Some(server), .. } if !config.servers.contains(server) => {
                let text = format!("the operator must add {server} to the setting `servers`");
                return Err(refuse(Code::EACCES, text));
            }
            Location::Broker { .. } => {}
        }
        let written =
            Settings::check(&settings::schema(), Scope::OPEN, &descriptor.options).map_err(in_open)?;
        let offered = request.settings();
        let given = [&written, offered];
        let writers = first(given, settings::writers).transpose().map_err(in_open)?;
        if writers.is_some() && role == Role::Writer {
            return Err(refuse(Code::EINVAL, "only a reader takes `writers`".into()));
        }
        let job = offered.text("job").or(config.job.as_deref());
        Ok(Plan {
            role,
            name: descriptor.name(role, offered.text("node"), job).map_err(invalid)?,
            writers: writers.unwrap_or(Some(1)),
            window: first(given, settings::window).unwrap_or(config.window),
            digest: first(given, settings::digest),
        })
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
