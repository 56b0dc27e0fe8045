//! What the manifests of one job show of their netpipes: who is at the ends of each, how many writers it has, and whether any lacks
//! a broker.
//!
//! A descriptor is opaque to a host. Here the command looks into those of netpipes, by the grammar of all their providers, because
//! one run of several manifests sees both ends of a pipe, which no end does by itself. What cannot be parsed is left to the
//! provider to refuse.

use netpipe::descriptor::{Location, SCHEMES};
use netpipe::{BROKER_PORT, Endpoint, Name, Role};
use std::collections::BTreeMap;
use vfs_core::{Configuration, Descriptor};
use zvm::{ChannelSpec, Manifest};

/// The provider whose pipes meet through `zvfs broker`.
pub const BROKERED: &str = "tcp";

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
    /// Per manifest: its ends of pipes through `zvfs broker`, as that knows them.
    pub ends: Vec<Vec<(Name, Role)>>,
}

/// One end of a pipe in one manifest.
pub struct End<'a> {
    /// Which manifest.
    pub manifest: usize,
    /// Its channel.
    pub channel: &'a ChannelSpec,
    /// The channel's source.
    pub descriptor: &'a str,
    /// Whether it reads or writes.
    pub role: Role,
    /// The pipe.
    pub pipe: Pipe,
}

/// Which pipe it is: two ends that have this alike meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pipe {
    provider: String,
    /// The broker or server that is named, or where one side listens.
    at: Option<Endpoint>,
    /// `None`: the ends meet at an address, without a broker.
    name: Option<Name>,
}

/// The ends of all netpipes of a job's manifests, as far as they can be parsed, in the order of the manifests and their channels.
pub fn ends<'a>(manifests: &'a [Manifest], configuration: &Configuration, job: Option<&str>) -> Vec<End<'a>> {
    Pipes::default().ends(manifests, configuration, job)
}

impl Pipes {
    /// Looks at the manifests of a run, which may have a name, under an operator's configuration.
    pub fn of(manifests: &[Manifest], configuration: &Configuration, job: Option<&str>) -> Pipes {
        let mut pipes = Pipes { ends: vec![Vec::new(); manifests.len()], ..Pipes::default() };
        let ends = pipes.ends(manifests, configuration, job);
        let named = || ends.iter().filter_map(|end| Some((end, end.pipe.name.as_ref()?)));
        let mut counts = BTreeMap::new();
        for (end, _) in named().filter(|(end, _)| end.role == Role::Writer) {
            *counts.entry(&end.pipe).or_insert(0) += 1;
        }
        for (end, name) in named().filter(|(end, _)| end.pipe.provider == BROKERED) {
            pipes.ends[end.manifest].push((name.clone(), end.role));
        }
        pipes.writers = vec![BTreeMap::new(); manifests.len()];
        for (end, _) in named().filter(|(end, _)| end.role == Role::Reader) {
            if let Some(count) = counts.get(&end.pipe).filter(|count| **count > 1) {
                pipes.writers[end.manifest].insert(end.descriptor.to_owned(), *count);
            }
        }
        pipes
    }

    /// Notes all sources; those that are ends of pipes are returned.
    fn ends<'a>(
        &mut self,
        manifests: &'a [Manifest],
        configuration: &Configuration,
        job: Option<&str>,
    ) -> Vec<End<'a>> {
        let mut ends = Vec::new();
        for (at, manifest) in manifests.iter().enumerate() {
            for channel in &manifest.channels {
                for descriptor in &channel.sources {
                    ends.extend(self.end(at, manifest, channel, descriptor, configuration, job));
                }
            }
        }
        ends
    }

    fn end<'a>(
        &mut self,
        at: usize,
        manifest: &'a Manifest,
        channel: &'a ChannelSpec,
        descriptor: &'a str,
        configuration: &Configuration,
        job: Option<&str>,
    ) -> Option<End<'a>> {
        let written = Descriptor::parse(descriptor).ok()?;
        let (provider, scheme) = netpipe_of(written.scheme(), configuration)?;
        let pipe = netpipe::Descriptor::parse(scheme, written.rest()).ok()?;
        let is_brokered = provider == BROKERED;
        let role = if channel.limits.writable() { Role::Writer } else { Role::Reader };
        let broker = match &pipe.location {
            Location::Broker { broker, .. } => broker,
            Location::Direct { at: address, .. } => {
                self.leading_out += usize::from(is_brokered);
                let pipe = Pipe { provider, at: Some(address.clone()), name: None };
                return Some(End { manifest: at, channel, descriptor, role, pipe });
            }
        };
        let sets = |setting| configuration.sets(written.scheme(), setting);
        let is_named = broker.is_some() || manifest.broker.is_some() || sets("broker") || sets("discover");
        if is_brokered && is_named {
            self.leading_out += 1;
        } else if is_brokered {
            self.brokerless += 1;
            self.secret |= sets("secret");
        }
        let name = pipe.name(role, manifest.node.as_deref(), job).ok()?;
        let offered =
            || Endpoint::parse(manifest.broker.as_deref().filter(|_| is_brokered)?, Some(BROKER_PORT)).ok();
        let pipe = Pipe { provider, at: broker.clone().or_else(offered), name: Some(name) };
        Some(End { manifest: at, channel, descriptor, role, pipe })
    }
}

/// The provider that a written scheme leads to, and the scheme of netpipes that it has there: the one that an alias gives, the written
/// one, or the provider's own. `None`: it is no netpipe's.
fn netpipe_of(written: &str, configuration: &Configuration) -> Option<(String, &'static str)> {
    let (provider, given) = configuration.leads_to(written);
    let known = |scheme: &str| SCHEMES.into_iter().find(|known| known.eq_ignore_ascii_case(scheme));
    let scheme = match given {
        Some(given) => known(&given),
        None => known(written).or_else(|| known(&provider)),
    };
    Some((provider, scheme?))
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
        let found = configuration("[provider.tcp]\nsettings = { discover = true, secret-file = \"/s\" }");
        assert_eq!(counted("", "<netpipe:2:r", &found), (0, 1));
        // A refusal in words is no broker.
        let text = "[provider.tcp]\nsettings = { discover = false }";
        assert_eq!(counted("", "<netpipe:2:r", &configuration(text)), (1, 0));
        let text = "[provider.tcp]\nsettings = { discover = true, secret-file = \"/s\" }\n\
                    [alias]\nnetpipe = { provider = \"tcp\", scheme = \"netpipe\", settings = { discover = false } }";
        assert_eq!(counted("", "<netpipe:2:r", &configuration(text)), (1, 0));
        // Whatever else carries pipes has no broker of ours.
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
    fn writers_are_counted_whatever_carries_the_pipe() {
        let text = "[alias]\nnetpipe = \"nats\"\nnear = { provider = \"nats\", scheme = \"netpipe\" }\nplain = \"nats\"\n\
                    far = { provider = \"theirs\", scheme = \"netpipe\" }\nother = \"theirs\"";
        let configuration = configuration(text);
        for (reader, writers, count) in [
            ("<netpipe:x:r", [">nats:x:w", ">netpipe:x:w"], Some(2)),
            ("<near:x:r", [">plain:x:w", ">Near:x:w"], Some(2)),
            ("<nats:h:x:r", [">nats://h/x?mode=w", ">nats:h:4222:x:w"], Some(2)),
            ("<far:x:r", [">far:x:w", ">far:x"], Some(2)),
            // Other pipes of this name, and one whose grammar nobody knows.
            ("<netpipe:x:r", [">far:x:w", ">opaque:|>x"], None),
            ("<other:x:r", [">other:x:w", ">other:x:w"], None),
        ] {
            let manifests = [manifest("", &[reader]), manifest("", &writers)];
            let pipes = Pipes::of(&manifests, &configuration, None);
            assert_eq!(pipes.writers[0].get(&reader[1..]).copied(), count, "{reader}");
        }
    }

    #[test]
    fn a_pipe_is_the_same_however_its_ends_are_written() {
        let ends = [">tcp://B:9713/%69n", ">opaque:b|>in"];
        let manifests = [manifest("", &["<netpipe:b:in:r"]), manifest("", &ends)];
        let counted =
            |job| Pipes::of(&manifests, &configuration(""), job).writers[0].get("netpipe:b:in:r").copied();
        assert_eq!(counted(None), Some(2));
        // In a job, what is written as the whole name is another pipe.
        assert_eq!(counted(Some("j")), None);
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
