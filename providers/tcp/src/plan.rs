//! What an open is about to do: the descriptor, completed by the settings, checked by the operator's rules.

use crate::settings::{self, Checksums, Config, Windows};
use netpipe::descriptor::Location;
use netpipe::digest::Algorithm;
use netpipe::hello::{FEATURE_ALIVE, FEATURE_CRC, FEATURE_WINDOWS};
use netpipe::pairing::Route;
use netpipe::{BrokerAt, Descriptor, Name, Role};
use vfs_core::{Code, Error, OpenFlags, Request, Result, Scope, Settings};

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
    /// EINVAL: the descriptor or a setting cannot be. EBADF: the flags ask for the other direction. EACCES: a broker that the
    /// operator did not list.
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

        let writers = first(given, settings::writers).transpose()?;
        if writers.is_some() && role == Role::Writer {
            return Err(refuse(Code::EINVAL, "only a reader takes `writers`".into()));
        }
        let writers = writers.unwrap_or(Some(1));
        let job = offered.text("job").or(config.job.as_deref());
        let name = descriptor.name(role, offered.text("node"), job).map_err(invalid)?;
        let route = match descriptor.location {
            Location::Direct { at, listens } => match listens.unwrap_or(role == Role::Reader) {
                true => Route::Listen(at),
                false if role == Role::Reader && writers != Some(1) => {
                    return Err(refuse(
                        Code::EINVAL,
                        "a reader that connects has exactly one writer: leave out `writers`".into(),
                    ));
                }
                false => Route::Dial(at),
            },
            Location::Broker { broker: Some(named), .. } => Route::Broker(BrokerAt::Named(named)),
            Location::Broker { broker: None, .. } => {
                let offered = settings::broker(offered).map_err(in_open)?.map(BrokerAt::Named);
                let broker = offered.or_else(|| config.broker.clone());
                let absent = "no broker: name one in the descriptor, or set `broker` or `discover`";
                Route::Broker(broker.ok_or_else(|| refuse(Code::EINVAL, absent.into()))?)
            }
        };
        if let Route::Broker(BrokerAt::Named(broker)) = &route
            && config.secret.is_some()
            && !config.listed.contains(broker)
        {
            let text = format!(
                "the operator must add broker {broker} to the setting `brokers`: the secret is used with those only"
            );
            return Err(refuse(Code::EACCES, text));
        }
        Ok(Plan {
            shown: shown.to_owned(),
            role,
            route,
            name,
            writers,
            window: first(given, settings::window).unwrap_or(config.window),
            checksums: first(given, settings::checksums).unwrap_or(config.checksums),
            digest: first(given, settings::digest),
        })
    }
}

impl Plan {
    /// The features that this side has on a connection.
    pub fn features(&self, leaves_machine: bool) -> u64 {
        let crc = if self.checksums.wanted(leaves_machine) { FEATURE_CRC } else { 0 };
        FEATURE_WINDOWS | FEATURE_ALIVE | crc | self.digest.map_or(0, Algorithm::feature)
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

#[cfg(test)]
mod tests {
    use super::*;
    use netpipe::descriptor::SCHEMES;
    use vfs_core::Shown;

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
