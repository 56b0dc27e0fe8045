//! What the manifests of one run show of their netpipes: whether any names a broker, and how many writers a pipe has.
//!
//! A descriptor is opaque to a host. Here the command looks into one provider's, `tcp`'s, because one run of several
//! manifests sees both ends of a pipe, which no end does by itself. It knows that provider's forms (its module `descriptor`
//! is their authority) well enough to tell these two things, and leaves all that is odd to the provider to refuse:
//!
//! | Form | Broker, name |
//! |---|---|
//! | `tcp://host:port`, `tcp:host:port` | direct: neither |
//! | `tcp:2:`, `tcp:2:0` | the peer's node where this side's is known |
//! | `//[broker]/name` | as written |
//! | `netpipe:[broker:]name[:r\|w]` | the name is the peer's node where this side's is known |
//! | `opaque:[broker]\|[>]name` | as written; the broker `local` is none |
//!
//! Names are compared as they are written: `a` and `%61` are two. Then `writers` is for the manifest to say.

use netpipe::{Name, Role};
use std::collections::BTreeMap;
use vfs_core::Configuration;
use zvm::{ChannelSpec, Manifest};

/// The provider whose descriptors these are, and its schemes; an alias shows it the first one unless it says another.
pub const PROVIDER: &str = "tcp";
const SCHEMES: [&str; 3] = ["tcp", "netpipe", "opaque"];

/// The netpipes of one run.
#[derive(Debug, Default)]
pub struct Pipes {
    /// Channels through a broker that nobody names.
    pub brokerless: usize,
    /// Channels whose other end, or broker, may lie outside of this run.
    pub leading_out: usize,
    /// Whether the operator has a secret for those without a broker, which theirs would have to know.
    pub secret: bool,
    /// Per manifest: the writers of the pipes that it reads, by descriptor, where there are several.
    pub writers: Vec<BTreeMap<String, u64>>,
    /// Per manifest: its ends of pipes through a broker, as that knows them.
    pub ends: Vec<Vec<(Name, Role)>>,
}

/// One end of a pipe in one manifest.
struct End<'a> {
    manifest: usize,
    descriptor: &'a str,
    writes: bool,
    /// Whether the name is not within the job.
    whole: bool,
    /// The broker as written, and the pipe's name.
    pipe: (Option<&'a str>, String),
}

/// Where a descriptor leads.
enum Place<'a> {
    Direct,
    /// The broker as written, if it is; the name; whether it is the peer's node where this side's is known.
    Broker(Option<&'a str>, &'a str, bool),
}

impl Pipes {
    /// Looks at the manifests of a run, which may have a name, under an operator's configuration.
    pub fn of(manifests: &[Manifest], configuration: &Configuration, job: Option<&str>) -> Pipes {
        let mut pipes = Pipes { ends: vec![Vec::new(); manifests.len()], ..Pipes::default() };
        let mut ends = Vec::new();
        for (at, manifest) in manifests.iter().enumerate() {
            for channel in &manifest.channels {
                for descriptor in &channel.sources {
                    ends.extend(pipes.end(at, manifest, channel, descriptor, configuration));
                }
            }
        }
        let mut counts = BTreeMap::new();
        for end in ends.iter().filter(|end| end.writes) {
            *counts.entry(&end.pipe).or_insert(0) += 1;
        }
        for end in &ends {
            let role = if end.writes { Role::Writer } else { Role::Reader };
            let name = match job.filter(|_| !end.whole) {
                Some(job) => format!("{job}/{}", end.pipe.1),
                None => end.pipe.1.clone(),
            };
            // What is no name the provider refuses.
            pipes.ends[end.manifest].extend(Name::new(&name).map(|name| (name, role)));
        }
        pipes.writers = vec![BTreeMap::new(); manifests.len()];
        for end in ends.iter().filter(|end| !end.writes) {
            if let Some(count) = counts.get(&end.pipe).filter(|count| **count > 1) {
                pipes.writers[end.manifest].insert(end.descriptor.to_owned(), *count);
            }
        }
        pipes
    }

    /// Notes one source; what is a pipe's end through a broker is returned.
    fn end<'a>(
        &mut self,
        at: usize,
        manifest: &'a Manifest,
        channel: &ChannelSpec,
        descriptor: &'a str,
        configuration: &Configuration,
    ) -> Option<End<'a>> {
        let (written, rest) = descriptor.split_once(':')?;
        let (provider, shown) = configuration.leads_to(written);
        if provider != PROVIDER {
            return None;
        }
        let shown = shown.unwrap_or_else(|| written.to_ascii_lowercase());
        let shown = SCHEMES.into_iter().find(|scheme| *scheme == shown).unwrap_or(SCHEMES[0]);
        let Place::Broker(broker, name, of_peer) = place(shown, rest) else {
            self.leading_out += 1;
            return None;
        };
        let broker = broker.or(manifest.broker.as_deref());
        match broker {
            None if !configuration.sets(written, "broker") => {
                self.brokerless += 1;
                self.secret |= configuration.sets(written, "secret");
            }
            _ => self.leading_out += 1,
        }
        let writes = channel.limits.writable();
        let name = match manifest.node.as_deref().filter(|_| of_peer) {
            None => name.to_owned(),
            Some(node) => {
                let (peer, label) = name.split_at(name.find('/').unwrap_or(name.len()));
                let (writer, reader) = if writes { (node, peer) } else { (peer, node) };
                format!("{writer}>{reader}{label}")
            }
        };
        Some(End { manifest: at, descriptor, writes, whole: rest.starts_with("//"), pipe: (broker, name) })
    }
}

/// Takes apart what follows the scheme.
fn place<'a>(scheme: &str, rest: &'a str) -> Place<'a> {
    let body = rest.split_once('?').map_or(rest, |(body, _)| body);
    let given = |broker: &'a str| (!broker.is_empty()).then_some(broker);
    match (scheme, body.strip_prefix("//")) {
        (_, Some(url)) => match url.split_once('/') {
            None | Some((_, "")) => Place::Direct,
            Some((broker, name)) => Place::Broker(given(broker), name, false),
        },
        ("tcp", None) => match body.split_once(':') {
            Some((node, "" | "0")) if !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit()) => {
                Place::Broker(None, node, true)
            }
            _ => Place::Direct,
        },
        ("opaque", None) => {
            let (broker, name) = body.split_once('|').unwrap_or(("", body));
            let broker = if broker == "local" { "" } else { broker };
            Place::Broker(given(broker), name.strip_prefix('>').unwrap_or(name), false)
        }
        _ => {
            let body = body.strip_suffix(":r").or_else(|| body.strip_suffix(":w")).unwrap_or(body);
            let (broker, name) = body.rsplit_once(':').unwrap_or(("", body));
            Place::Broker(given(broker), name, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manifest with these sources, each read (`<`) or written (`>`).
    fn manifest(extra: &str, sources: &[&str]) -> Manifest {
        let mut text = format!(
            "Version = 20140509\nProgram = /p\nMemory = 65536, 0\nTimeout = 1\n{extra}\n\
             Channel = /dev/null, /dev/stdin, 0, 1, 1, 0, 0\n\
             Channel = /dev/null, /dev/stdout, 0, 0, 0, 1, 1\n\
             Channel = /dev/null, /dev/stderr, 0, 0, 0, 1, 1\n"
        );
        for (at, source) in sources.iter().enumerate() {
            let (way, source) = source.split_at(1);
            let quotas = if way == "<" { "1, 1, 0, 0" } else { "0, 0, 1, 1" };
            text += &format!("Channel = {source}, /{at}, 0, {quotas}\n");
        }
        Manifest::parse(text.as_bytes()).unwrap()
    }

    fn configuration(text: &str) -> Configuration {
        Configuration::parse(text).unwrap()
    }

    fn counted(extra: &str, source: &str, configuration: &Configuration) -> (usize, usize) {
        let pipes = Pipes::of(&[manifest(extra, &[source])], configuration, None);
        (pipes.brokerless, pipes.leading_out)
    }

    #[test]
    fn which_pipes_lack_a_broker() {
        let none = configuration("");
        for (source, counts) in [
            ("<netpipe:2:r", (1, 0)),
            ("<NetPipe:2", (1, 0)),
            ("<netpipe:2:r?window=64k", (1, 0)),
            (">opaque:|>x", (1, 0)),
            ("<tcp:///x?mode=r", (1, 0)),
            ("<netpipe:b:2:r", (0, 1)),
            ("<tcp:2:", (1, 0)),
            (">tcp:2:0", (1, 0)),
            ("<tcp:2:80", (0, 1)),
            (">opaque:local|>x", (1, 0)),
            ("<netpipe:[::1]:80:2:r", (0, 1)),
            ("<opaque:b|x", (0, 1)),
            ("<tcp://b/x", (0, 1)),
            ("<tcp://h:80/?x=a/b", (0, 1)),
            ("<tcp:h:80", (0, 1)),
            ("<mem:netpipe:2:r", (0, 0)),
            ("</dev/null", (0, 0)),
        ] {
            assert_eq!(counted("", source, &none), counts, "{source}");
        }
        assert_eq!(counted("Node = 1\nBroker = b", "<netpipe:2:r", &none), (0, 1));
    }

    #[test]
    fn the_operators_broker_and_aliases_count() {
        let text = "[provider.tcp]\nsettings = { broker = \"b\" }\n[provider.nats]";
        assert_eq!(counted("", "<netpipe:2:r", &configuration(text)), (0, 1));
        let nats = configuration("[alias]\nnetpipe = \"nats\"");
        assert_eq!(counted("", "<netpipe:2:r", &nats), (0, 0));
        let text = "[alias]\nlink = { provider = \"tcp\", scheme = \"netpipe\" }\nplain = \"tcp\"\n\
                    far = { provider = \"tcp\", scheme = \"netpipe\", settings = { broker = \"b\" } }";
        let secret = configuration("[provider.tcp]\nsettings = { secret-file = \"/s\" }");
        assert!(Pipes::of(&[manifest("", &["<netpipe:2:r"])], &secret, None).secret);
        let aliases = configuration(text);
        for (source, counts) in [("<link:2:r", (1, 0)), ("<plain:h:2", (0, 1)), ("<far:2:r", (0, 1))] {
            assert_eq!(counted("", source, &aliases), counts, "{source}");
        }
    }

    #[test]
    fn several_writers_are_counted_for_their_reader() {
        let manifests = [
            manifest("", &["<netpipe:in:r", "<netpipe:one:r", "<opaque:|other", "<netpipe:b:in:r"]),
            manifest("", &[">netpipe:in:w", ">netpipe:one:w?crc=on", ">opaque:|>other"]),
            manifest("", &[">netpipe:in", ">tcp:///other", ">netpipe:other:w"]),
        ];
        let writers = Pipes::of(&manifests, &configuration(""), None).writers;
        let expected = [("netpipe:in:r", 2), ("opaque:|other", 3)];
        assert_eq!(writers[0], expected.map(|(text, count)| (text.to_owned(), count)).into());
        assert!(writers[1].is_empty() && writers[2].is_empty());
    }

    #[test]
    fn between_nodes_each_pipe_has_one_writer() {
        let manifests = [
            manifest("Node = r1", &["<netpipe:m1:r", "<netpipe:m2:r"]),
            manifest("Node = m1", &[">netpipe:r1:w", ">netpipe:r1/left:w"]),
            manifest("Node = m2", &[">netpipe:r1:w"]),
        ];
        assert!(Pipes::of(&manifests, &configuration(""), None).writers.iter().all(BTreeMap::is_empty));
        // A labelled pipe that one node writes twice.
        let twice = [
            manifest("Node = r1", &["<netpipe:m1/x:r"]),
            manifest("Node = m1", &[">netpipe:r1/x:w", ">netpipe:r1/x:w"]),
        ];
        let writers = Pipes::of(&twice, &configuration(""), None).writers;
        assert_eq!(writers[0].get("netpipe:m1/x:r"), Some(&2));
    }

    #[test]
    fn ends_have_the_names_that_the_broker_knows() {
        let sources = ["<netpipe:m1:r", ">netpipe:r2/left:w", "<opaque:|x", "<tcp:///j/y", "<tcp:h:1"];
        let pipes = Pipes::of(&[manifest("Node = r1", &sources)], &configuration(""), Some("j"));
        let ends = pipes.ends[0].iter().map(|(name, role)| (name.as_str(), *role));
        let expected = [
            ("j/m1>r1", Role::Reader),
            ("j/r1>r2/left", Role::Writer),
            ("j/x", Role::Reader),
            ("j/y", Role::Reader),
        ];
        assert_eq!(ends.collect::<Vec<_>>(), expected);
    }
}
