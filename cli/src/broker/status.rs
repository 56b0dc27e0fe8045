//! `zvfs broker status`: asks a broker what it holds, in the netpipe protocol.

use super::{read_secret, with_port};
use crate::exit::Failure;
use crate::metrics::Metrics;
use crate::options::duration;
use crate::{stdout, text};
use clap::Args;
use netpipe::handshake::Handshake;
use netpipe::held::{Held, State, Totals};
use netpipe::hello::FEATURE_STATUS;
use netpipe::{Decoder, Hello, Message, Progress, Secret, Sender};
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use vfs_core::{Code, Error, Result};

/// Show a broker's status: which ends of pipes wait, for whom, and which pipes it relays
///
/// Whoever has the broker's secret may ask; without a secret, whoever reaches the broker.
#[derive(Args, Debug)]
pub struct Status {
    /// The broker: HOST, HOST:PORT, an IPv6 address in brackets
    #[arg(value_name = "ADDRESS", default_value = "127.0.0.1")]
    broker: String,
    /// The broker's secret
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// OpenMetrics text: how many there are of each
    #[arg(long, conflicts_with = "json")]
    metrics: bool,
    /// How long to wait for the broker
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    timeout: Duration,
}

/// Everything that a broker told.
struct Told {
    totals: Totals,
    held: Vec<Held>,
}

/// A connection to a broker, until a point in time.
struct Link {
    stream: TcpStream,
    until: Instant,
}

impl Status {
    pub fn execute(&self) -> Result<(), Failure> {
        let secret = self.secret_file.as_deref().map(read_secret).transpose()?;
        let told = self.ask(secret).map_err(|error| error.context(format!("ask broker {}", self.broker)))?;
        let text = match (self.json, self.metrics) {
            (true, _) => text::json(&told.json()) + "\n",
            (_, true) => told.metrics(),
            _ => told.lines(),
        };
        let mut output = stdout::writer()?;
        output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(Failure::output)
    }

    fn ask(&self, secret: Option<Secret>) -> Result<Told> {
        let mut link = Link::dial(&with_port(&self.broker), Instant::now() + self.timeout)?;
        let agent = Some(concat!("zvfs broker status ", env!("CARGO_PKG_VERSION")).to_owned());
        let hello = Hello { features: FEATURE_STATUS, agent, ..Hello::broker() };
        let mut dialler = Handshake::dialler(hello, secret, None).map_err(of_netpipe)?;
        let established = loop {
            link.send(&dialler.output())?;
            let mut bytes = vec![0; dialler.want()];
            let count = link.receive(&mut bytes)?;
            if count == 0 {
                return Err(of_netpipe(dialler.closed()));
            }
            match dialler.input(&mut &bytes[..count]).map_err(of_netpipe)? {
                Progress::Done(established) => break established,
                Progress::More | Progress::Hello(_) => {}
            }
        };
        if established.features & FEATURE_STATUS == 0 {
            return Err(Error::new(
                Code::ENOTSUP,
                "its version does not report a status: start a newer broker",
            ));
        }
        // The last PROOF is not answered.
        link.send(&dialler.output())?;
        link.list()
    }
}

impl Link {
    fn dial(broker: &str, until: Instant) -> Result<Link> {
        let mut failed = Error::new(Code::EHOSTUNREACH, "no such address");
        for address in broker.to_socket_addrs()? {
            let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            match TcpStream::connect_timeout(&address, left) {
                Ok(stream) => return Ok(Link { stream, until }),
                Err(error) => failed = error.into(),
            }
        }
        Err(failed)
    }

    /// Gets the list, page after page.
    fn list(&mut self) -> Result<Told> {
        let (mut decoder, mut bytes, mut held) =
            (Decoder::new(Sender::Broker), vec![0; 16 << 10], Vec::new());
        self.send(&Message::Status((0, 0)).to_bytes())?;
        loop {
            let count = self.receive(&mut bytes)?;
            if count == 0 {
                return Err(Error::new(Code::ECONNRESET, "the broker closed the connection"));
            }
            let mut input = &bytes[..count];
            while let Some(message) = decoder.next(&mut input).map_err(of_netpipe)? {
                match message {
                    Message::Held(entry) => held.push(*entry),
                    Message::Totals(totals) if totals.next == (0, 0) => return Ok(Told { totals, held }),
                    Message::Totals(totals) => self.send(&Message::Status(totals.next).to_bytes())?,
                    Message::Ping => self.send(&Message::Pong.to_bytes())?,
                    Message::Refusal(reason) => return Err(of_netpipe(netpipe::Error::Refused(reason))),
                    _ => {}
                }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(bytes).map_err(of_io)
    }

    fn receive(&mut self, bytes: &mut [u8]) -> Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(bytes).map_err(of_io)
    }

    fn left(&self) -> Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(of_io(io::ErrorKind::WouldBlock.into())) } else { Ok(left) }
    }
}

impl Told {
    fn lines(&self) -> String {
        let Totals { connections, handshakes, registrations, discards, relays, .. } = self.totals;
        let first = format!(
            "connections {connections} (in the handshake {handshakes}), registrations {registrations}, given up {discards}, relays {relays}\n"
        );
        self.held.iter().fold(first, |lines, held| lines + &line(held) + "\n")
    }

    fn json(&self) -> Value {
        let Totals { connections, handshakes, registrations, discards, relays, .. } = self.totals;
        let held: Vec<Value> = self.held.iter().map(entry).collect();
        json!({
            "connections": connections, "handshakes": handshakes, "registrations": registrations,
            "given_up": discards, "relays": relays, "held": held,
        })
    }
}

impl Told {
    fn metrics(&self) -> String {
        let mut metrics = Metrics::default();
        let Totals { connections, handshakes, registrations, discards, relays, .. } = self.totals;
        for (name, help, count) in [
            ("zvfs_broker_connections", "Connections, those in the handshake too.", connections),
            ("zvfs_broker_handshakes", "Connections in the handshake.", handshakes),
            ("zvfs_broker_registrations", "Ends of pipes that are registered.", registrations),
            ("zvfs_broker_given_up", "Pipes whose end was given up, remembered for the other end.", discards),
            ("zvfs_broker_relays", "Pipes that are relayed.", relays),
        ] {
            metrics.family(name, "", help, [(vec![], count)]);
        }
        let of = |wanted: State| self.held.iter().filter(move |held| held.state == wanted);
        let states = [State::Reader, State::Writer, State::Introduced, State::Relay];
        let label = |state| vec![("state", word(state).to_owned())];
        let counts = states.map(|state| (label(state), of(state).count()));
        metrics.family("zvfs_broker_held", "", "What is held, by what it waits for or does.", counts);
        let oldest =
            states.map(|state| (label(state), of(state).map(|held| held.seconds).max().unwrap_or(0)));
        metrics.family(
            "zvfs_broker_oldest",
            "seconds",
            "How long the oldest of them has been there.",
            oldest,
        );
        let relayed: u64 = of(State::Relay).flat_map(|held| held.bytes).sum();
        metrics.family(
            "zvfs_broker_relayed",
            "bytes",
            "What went through the relays that are there.",
            [(vec![], relayed)],
        );
        metrics.text()
    }
}

fn line(held: &Held) -> String {
    let peers: Vec<&str> = held.peers.iter().map(netpipe::Address::as_str).collect();
    let (first, second) = (peers.first().unwrap_or(&"-"), peers.get(1));
    let what = match (held.state, held.writers) {
        (State::Reader, None) => format!("reader {first} waits for any writers"),
        (State::Reader, Some(0)) => format!("reader {first} has been told of all its writers"),
        (State::Reader, Some(1)) => format!("reader {first} waits for a writer"),
        (State::Reader, Some(more)) => format!("reader {first} waits for {more} writers"),
        (State::Writer, _) => format!("writer {first} waits for a reader"),
        (State::Introduced, _) => match second {
            Some(reader) => format!("writer {first} was introduced to reader {reader}"),
            None => format!("writer {first} was introduced to a reader that is gone"),
        },
        (State::Relay, _) => {
            let [there, back] = held.bytes;
            format!("relay of {first} ({there} bytes) and {} ({back} bytes)", second.unwrap_or(&"-"))
        }
    };
    format!("{}: {} for {}s", text::name(held.name.as_str().as_bytes()), text::printable(&what), held.seconds)
}

fn entry(held: &Held) -> Value {
    let state = word(held.state);
    let peers: Vec<&str> = held.peers.iter().map(netpipe::Address::as_str).collect();
    let mut entry =
        json!({ "name": held.name.as_str(), "state": state, "peers": peers, "seconds": held.seconds });
    match held.state {
        // Null: any number.
        State::Reader => entry["writers"] = json!(held.writers),
        State::Relay => entry["bytes"] = json!(held.bytes),
        State::Writer | State::Introduced => {}
    }
    entry
}

fn word(state: State) -> &'static str {
    match state {
        State::Reader => "reader",
        State::Writer => "writer",
        State::Introduced => "introduced",
        State::Relay => "relay",
    }
}

fn of_netpipe(error: netpipe::Error) -> Error {
    Error::new(Code::from_raw(error.code().into()), error.to_string())
}

/// A timeout of a socket is "would block" to the system.
fn of_io(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => Error::new(Code::ETIMEDOUT, "it did not answer in time"),
        _ => error.into(),
    }
}
