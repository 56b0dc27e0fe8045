//! What an open is about to do: the descriptor, completed by the settings, checked by the operator's rules.

use crate::descriptor::{self, Label, Mode, Parsed, Place, Role};
use crate::settings::{self, Checksums, Config, Windows};
use netpipe::Name;
use netpipe::digest::Algorithm;
use netpipe::hello::{FEATURE_ALIVE, FEATURE_CRC, FEATURE_WINDOWS};
use netpipe::pairing::Route;
use vfs_core::{Code, Error, OpenFlags, Request, Result, Scope, Settings};

/// One open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The descriptor for messages.
    pub shown: String,
    /// Which way.
    pub mode: Mode,
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
        let parsed = descriptor::parse(request)?;
        let mode = direction(request, &parsed)?;
        let written = Settings::check(&settings::schema(), Scope::OPEN, &parsed.options)
            .map_err(|error| error.context(format!("open {shown}")))?;
        let given = [&written, request.settings()];
        let text = |name: &str| given.iter().find_map(|settings| settings.text(name));

        let writers = first(given, settings::writers).transpose()?;
        if writers.is_some() && mode == Mode::Write {
            return Err(refuse(Code::EINVAL, "`writers` is the reader's to say".into()));
        }
        let writers = writers.unwrap_or(Some(1));
        let job = text("job").or(config.job.as_deref());
        let name = name(&parsed.label, mode, text("node"), job).map_err(|text| refuse(Code::EINVAL, text))?;
        let route = match parsed.place {
            Place::Direct(at) => match (parsed.role, mode) {
                (Some(Role::Listen), _) | (None, Mode::Read) => Route::Listen(at),
                _ => Route::Dial(at),
            },
            Place::Broker(named) => {
                let offered = request.settings().text("broker");
                let offered =
                    offered.map(|text| crate::endpoint::parse(text, Some(crate::endpoint::BROKER_PORT)));
                let broker = match named {
                    Some(named) => Some(named),
                    None => offered.transpose()?.or_else(|| config.broker.clone()),
                };
                let absent = "no broker: name one in the descriptor, or set `broker`";
                Route::Broker(broker.ok_or_else(|| refuse(Code::EINVAL, absent.into()))?)
            }
        };
        if let (Route::Dial(_), Mode::Read, true) = (&route, mode, writers != Some(1)) {
            return Err(refuse(Code::EINVAL, "a reader that dials has one writer".into()));
        }
        if let Route::Broker(broker) = &route
            && config.secret.is_some()
            && !config.listed.contains(broker)
        {
            let text =
                format!("broker {broker} gets no proof: the operator must list it in the setting `brokers`");
            return Err(refuse(Code::EACCES, text));
        }
        Ok(Plan {
            shown: shown.to_owned(),
            mode,
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
fn direction(request: &Request<'_>, parsed: &Parsed) -> Result<Mode> {
    let (flags, shown) = (request.flags(), request.shown());
    let refuse = |code, text: &str| Err(Error::new(code, format!("open {shown}: {text}")));
    let asked = match (flags.contains(OpenFlags::READ), flags.contains(OpenFlags::WRITE)) {
        (true, true) => return refuse(Code::EINVAL, "a netpipe goes one way: open it to read or to write"),
        (true, false) => Some(Mode::Read),
        (false, true) => Some(Mode::Write),
        (false, false) => None,
    };
    match (parsed.mode, asked) {
        (Some(Mode::Read), Some(Mode::Write)) => refuse(Code::EBADF, "the descriptor is for reading"),
        (Some(Mode::Write), Some(Mode::Read)) => refuse(Code::EBADF, "the descriptor is for writing"),
        (Some(mode), _) | (None, Some(mode)) => Ok(mode),
        (None, None) => refuse(Code::EINVAL, "neither descriptor nor flags say whether to read or to write"),
    }
}

/// The pipe's name: `job/name`, or `job/writer>reader[/label]` where both nodes are known.
fn name(label: &Label, mode: Mode, node: Option<&str>, job: Option<&str>) -> Result<Name, String> {
    let in_job = |name: String| match job {
        Some(job) => format!("{job}/{name}"),
        None => name,
    };
    let text = match (label, node) {
        (Label::None, _) => Name::unnamed().as_str().to_owned(),
        (Label::Whole(name), _) => name.clone(),
        (Label::InJob(name), _) | (Label::PeerOrName(name), None) if !name.is_empty() => in_job(name.clone()),
        (Label::PeerOrName(name), Some(node)) if !name.is_empty() => {
            let (peer, label) = match name.split_once('/') {
                Some((peer, label)) => (peer, format!("/{label}")),
                None => (name.as_str(), String::new()),
            };
            if let Some(odd) =
                [node, peer].into_iter().find(|node| node.is_empty() || node.contains(['/', '>']))
            {
                return Err(format!(
                    "`{}` is no node: neither empty nor with `/` or `>`",
                    odd.escape_debug()
                ));
            }
            let (writer, reader) = match mode {
                Mode::Read => (peer, node),
                Mode::Write => (node, peer),
            };
            in_job(format!("{writer}>{reader}{label}"))
        }
        _ => return Err("the pipe has no name".to_owned()),
    };
    Name::new(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_short_form_find_the_same_name() {
        let peer = |text: &str| Label::PeerOrName(text.to_owned());
        let named =
            |label: &Label, mode, node, job| name(label, mode, node, job).unwrap().as_str().to_owned();
        assert_eq!(named(&peer("2"), Mode::Write, Some("1"), Some("j")), "j/1>2");
        assert_eq!(named(&peer("1"), Mode::Read, Some("2"), Some("j")), "j/1>2");
        assert_eq!(named(&peer("2/left"), Mode::Write, Some("1"), Some("j")), "j/1>2/left");
        assert_eq!(named(&peer("x"), Mode::Write, None, Some("j")), "j/x");
        assert_eq!(named(&peer("x"), Mode::Read, None, None), "x");
        assert_eq!(named(&Label::InJob("x".into()), Mode::Read, Some("2"), Some("j")), "j/x");
        assert_eq!(named(&Label::Whole("j/1>2".into()), Mode::Read, Some("2"), Some("k")), "j/1>2");
        for (label, node) in
            [("", None), ("2>3", Some("1")), ("/left", Some("1")), ("2", Some("a/b")), ("2", Some(""))]
        {
            assert!(name(&peer(label), Mode::Read, node, None).is_err(), "{label} {node:?}");
        }
    }
}
