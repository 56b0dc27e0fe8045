//! What every provider of netpipes makes of a request: the pipe that the descriptor and the settings mean together, whatever carries
//! it. The rest of the crate knows nothing of the ABI.

use crate::descriptor::{Descriptor, Location};
use crate::digest::Algorithm;
use crate::endpoint::Endpoint;
use crate::same_host::{Place, SameHost};
use crate::values::{Name, Role};
use std::ops::RangeInclusive;
use vfs_core::{Code, Error, OpenFlags, Request, Result, Scope, Setting, SettingKind, Settings, Shown};

/// What the setting `window` may be, in bytes: it holds at least a write that must arrive whole, and at most what a receive buffer may
/// be asked for.
pub const WINDOW: RangeInclusive<i64> = (64 << 10)..=(64 << 20);

/// The settings of a [`PipeRequest`].
pub fn settings() -> [Setting; 4] {
    let text = |name, help| Setting::new(name, SettingKind::Text, help);
    [
        text("digest", "both ends digest the whole pipe and compare, if both set the same")
            .values(["sha256", "blake3"])
            .scope(Scope::OPEN),
        text("writers", "writers that a reader expects, or `*` for any number; 1 by default")
            .scope(Scope::OPEN),
        text("node", "this side's name in a job; a short descriptor then names the peer's node")
            .scope(Scope::OPEN),
        text("job", "the job that the pipes belong to; a prefix of their names")
            .scope(Scope::OPERATOR | Scope::OPEN),
    ]
}

/// Where none is set. To meet and to touch a new ring takes one to four milliseconds on a busy machine, and a pipe is to have taken several
/// times that; so one that ends soon after has lost little.
const SAME_HOST_AFTER: u64 = 16 << 20;

/// The settings of [`same_host`].
pub fn same_host_settings() -> [Setting; 2] {
    [
        Setting::new(
            "same-host",
            SettingKind::Text,
            "on, or a folder that both ends can write: where ends on one host meet, to go on through shared memory; off: they do not",
        )
        .default_value("on"),
        Setting::new(
            "same-host-after",
            SettingKind::Size,
            "bytes that a pipe carries, each write counting as 16k at least, before its writer goes to where the ends on one host meet",
        )
        .default_value("16m")
        .range(0..),
    ]
}

/// Where ends on one host meet, as an operator sets it; `None`: nowhere.
///
/// # Errors
/// EINVAL: no such place.
pub fn same_host(settings: &Settings) -> Result<Option<SameHost>> {
    let place = match settings.text("same-host") {
        Some("off") => return Ok(None),
        None | Some("on") => Place::Abstract,
        Some(folder) if folder.starts_with('/') && folder.len() <= Place::FOLDER_MAX => {
            Place::Folder(folder.into())
        }
        Some(_) => {
            let text = "setting `same-host` is on, off, or a folder's whole path of at most 64 bytes";
            return Err(Error::new(Code::EINVAL, text));
        }
    };
    Ok(Some(SameHost { place, after: settings.size("same-host-after").unwrap_or(SAME_HOST_AFTER) }))
}

/// A request to open one end of a pipe.
#[derive(Clone, Debug)]
pub struct PipeRequest<'a> {
    /// The descriptor for messages.
    pub shown: String,
    /// Which end this side is.
    pub role: Role,
    /// Where the other end is.
    pub location: Location,
    /// The pipe.
    pub name: Name,
    /// Reader: the writers that it expects; `None`: any number.
    pub writers: Option<u32>,
    /// How the whole pipe is digested, if the peer does so too.
    pub digest: Option<Algorithm>,
    /// What the host sets for this open.
    pub offered: &'a Settings,
    /// What the descriptor sets.
    written: Settings,
}

impl<'a> PipeRequest<'a> {
    /// Reads a request under a provider's schema. `job` is the operator's.
    ///
    /// # Errors
    /// EINVAL: the descriptor or a setting cannot be. EBADF: the flags ask for the other direction.
    pub fn new(request: &Request<'a>, schema: &[Setting], job: Option<&str>) -> Result<PipeRequest<'a>> {
        let shown = request.shown().to_owned();
        let in_open = |error: Error| error.context(format!("open {shown}"));
        let invalid = |error: crate::Error| refusal(&shown, Code::EINVAL, error);
        let descriptor = Descriptor::parse(request.scheme(), request.rest()).map_err(invalid)?;
        let role = direction(request, descriptor.role)?;
        let written = Settings::check(schema, Scope::OPEN, &descriptor.options).map_err(in_open)?;
        let offered = request.settings();
        let writers = first([&written, offered], writers).transpose().map_err(in_open)?;
        if writers.is_some() && role == Role::Writer {
            return Err(refusal(&shown, Code::EINVAL, "only a reader takes `writers`"));
        }
        let job = offered.text("job").or(job);
        let name = descriptor.name(role, offered.text("node"), job).map_err(invalid)?;
        let digest = first([&written, offered], digest);
        let (location, writers) = (descriptor.location, writers.unwrap_or(Some(1)));
        Ok(PipeRequest { shown, role, location, name, writers, digest, offered, written })
    }

    /// What the descriptor or, where it says nothing, the host sets.
    pub fn setting<T>(&self, read: impl Fn(&Settings) -> Option<T>) -> Option<T> {
        first([&self.written, self.offered], read)
    }

    /// The error of this open.
    pub fn refusal(&self, code: Code, text: &str) -> Error {
        refusal(&self.shown, code, text)
    }
}

/// The setting of a [`window`] that stays as it is: 1 MiB where none is set.
pub fn window_setting() -> Setting {
    Setting::new("window", SettingKind::Size, "bytes sent and not yet read, for each writer of a pipe")
        .range(WINDOW)
        .scope(Scope::OPERATOR | Scope::OPEN)
        .default_value("1m")
}

/// The window that these settings give; the schema bounds it by [`WINDOW`].
pub fn window(settings: &Settings) -> Option<u32> {
    settings.size("window").and_then(|size| u32::try_from(size).ok())
}

/// An operator's `host[:port]`, with the default port.
///
/// # Errors
/// EINVAL: it is none.
pub fn endpoint(setting: &str, text: &str, port: u16) -> Result<Endpoint> {
    Endpoint::parse(text, Some(port)).map_err(|error| {
        Error::new(Code::EINVAL, format!("setting `{setting}`: `{}` is {error}", Shown(text)))
    })
}

fn refusal(shown: &str, code: Code, text: impl std::fmt::Display) -> Error {
    Error::new(code, format!("open {shown}: {text}"))
}

fn first<T>(given: [&Settings; 2], read: impl Fn(&Settings) -> Option<T>) -> Option<T> {
    given.into_iter().find_map(read)
}

/// The direction that descriptor and flags agree on.
fn direction(request: &Request<'_>, written: Option<Role>) -> Result<Role> {
    let flags = request.flags();
    let refuse = |code, text| Err(refusal(request.shown(), code, text));
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

fn digest(settings: &Settings) -> Option<Algorithm> {
    match settings.text("digest")? {
        "sha256" => Some(Algorithm::Sha256),
        "blake3" => Some(Algorithm::Blake3),
        _ => None,
    }
}

/// `Ok(None)` is any number.
fn writers(settings: &Settings) -> Option<Result<Option<u32>>> {
    Some(match settings.text("writers")? {
        "*" => Ok(None),
        text => match text.parse() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(Error::new(Code::EINVAL, "setting `writers` is a number from 1 on, or `*`")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::SCHEMES;

    /// One parser for what is dialled and what is shown: whatever stands where, a message names the endpoint that is dialled or
    /// hides it, and shows no secret.
    #[test]
    fn a_message_names_no_other_endpoint_than_the_one_that_is_dialled() {
        let endpoint = |descriptor: Descriptor| match descriptor.location {
            Location::Direct { at, .. } => Some(at),
            Location::Broker { broker, .. } => broker,
        };
        let starts = ["", "//"];
        let users = ["", "S3CRET@", "u:S3CRET@", "user:S3CRET@"];
        let hosts = ["h", "H.example:80", "0x7f.1:80", "[::1]:80", "10.0.0.1", "ex%61mple:80"];
        let ends = ["", "/x", "/", ":2:w", ":2", "|>x", "/x@h", "\\@g:80", "/?mode=%77&job=S3CRET"];
        let combinations = SCHEMES.len() * starts.len() * users.len() * hosts.len() * ends.len();
        let (mut dialled, mut refused) = (0, 0);
        for mut number in 0..combinations {
            let mut pick = |list: &[&'static str]| {
                let picked = list[number % list.len()];
                number /= list.len();
                picked
            };
            let scheme = pick(&SCHEMES);
            let text = [scheme, ":", pick(&starts), pick(&users), pick(&hosts), pick(&ends)].concat();
            let parse = |text: &str| Descriptor::parse(scheme, &text[scheme.len() + 1..]);
            let shown = Shown(&text).to_string();
            assert!(!shown.contains("S3CRET"), "{text} is shown as {shown}");
            match parse(&text) {
                Ok(descriptor) => {
                    dialled += 1;
                    let seen = parse(&shown).ok().and_then(endpoint);
                    assert!(seen.is_none() || seen == endpoint(descriptor), "{text} is shown as {shown}");
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().contains("S3CRET"), "{text}: {error}");
                }
            }
        }
        assert!(dialled > 100 && refused > 100, "{dialled} are dialled, {refused} refused");
    }
}
