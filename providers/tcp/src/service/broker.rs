//! Connections to brokers.

use super::{Service, Source, Timer};
use crate::failure::{for_pairing, listening, of_protocol};
use crate::link::{Link, Received};
use crate::reactor::Reactor;
use netpipe::pairing::Awaited;
use netpipe::{Address, BrokerAt, Decoder, Message, Role, Sender};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use vfs_core::{Level, written_duration};
use zvfs_net::failure::{Failure, words};
use zvfs_net::socket;

/// Receives made at one time: a broker that talks without end must not keep this thread from everything else.
const ROUNDS: u32 = 16;
/// What a broker may leave unread before it counts as lost.
const OUTPUT_MAX: usize = 4 << 20;

/// The connection to a broker.
#[derive(Debug)]
pub struct BrokerConnection {
    broker: BrokerAt,
    link: Link,
    decoder: Decoder,
    output: Vec<u8>,
    writes: bool,
    /// PINGs sent since it was heard.
    pub unanswered: u32,
}

impl BrokerConnection {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Whether something is to be sent yet.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sends what there is, now or when the kernel takes it.
    fn flush(&mut self, reactor: &Reactor<Timer>, key: u64) {
        // A lost connection shows when it is read; one that is stuck is cut, and then does.
        if !self.push() {
            self.link.cut();
        }
        let writes = self.has_output();
        if writes != self.writes {
            self.writes = writes;
            reactor.change(&self.link, key, true, writes);
        }
    }

    fn push(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.link.send(&self.output, &[]) {
                Ok(0) => return self.output.len() <= OUTPUT_MAX,
                Ok(count) => drop(self.output.drain(..count)),
                Err(_) => return false,
            }
        }
        true
    }

    /// Reads what has come; `Err`: why nothing more will.
    fn read(&mut self) -> (Vec<Message>, Result<(), String>) {
        let (mut messages, mut bytes) = (Vec::new(), [0; 4096]);
        for _ in 0..ROUNDS {
            let mut input = match self.link.receive(&mut bytes, &mut []) {
                Ok(Received::Bytes(count)) => {
                    self.unanswered = 0;
                    &bytes[..count]
                }
                Ok(Received::Nothing) => return (messages, Ok(())),
                Ok(Received::End) => return (messages, Err("the broker closed the connection".to_owned())),
                Err(errno) => {
                    return (messages, Err(format!("the connection to the broker: {}", words(errno))));
                }
            };
            loop {
                match self.decoder.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(message)) => messages.push(message),
                    Err(error) => return (messages, Err(error.to_string())),
                }
            }
        }
        (messages, Ok(()))
    }
}

impl Service {
    /// The handshake with a broker is complete.
    pub(super) fn serve_broker(&mut self, broker: BrokerAt, link: Link) {
        if broker == BrokerAt::Discovered {
            let text = format!("netpipe: broker {broker}: {} has proven the secret", link.peer());
            self.log(Level::Info, &text);
        }
        let decoder = Decoder::new(Sender::Broker);
        let output = Vec::new();
        let connection =
            BrokerConnection { broker: broker.clone(), link, decoder, output, writes: false, unanswered: 0 };
        match self.keep(Source::Broker(connection), true, false) {
            Some(key) => {
                self.watch_broker(key);
                self.pairing.broker_connected(&broker, key);
            }
            None => self.pairing.broker_missed(Instant::now(), &broker, "out of memory"),
        }
    }

    /// Sends a frame of the state machine's; a REGISTER of a reader with the addresses at which its writers are accepted.
    pub(super) fn tell_for_pipe(&mut self, key: u64, mut message: Message) {
        if let Message::Register(register) = &mut message
            && register.role == Role::Reader
        {
            match self.addresses(key) {
                Ok(addresses) => register.addresses = addresses,
                Err(failure) => return self.pairing.fail(Instant::now(), register.id, for_pairing(failure)),
            }
        }
        self.tell(key, &message);
    }

    /// Where introduced peers are accepted, in a broker's words.
    fn addresses(&mut self, key: u64) -> Result<Vec<Address>, Failure> {
        let Some(Source::Broker(connection)) = self.sources.get(&key) else { return Ok(Vec::new()) };
        let local = socket::local(&connection.link).map_err(Failure::system)?;
        let (address, port) = match self.config.listen {
            None => (local.ip(), 0),
            Some(listen) => (listen.ip(), listen.port()),
        };
        let port = self.introduced_port(address, port)?;
        let text = match &self.config.advertise[..] {
            [] if self.config.listen.is_some() && !address.is_unspecified() => {
                vec![SocketAddr::new(address, port).to_string()]
            }
            [] => vec![format!(":{port}")],
            given => given
                .iter()
                .map(|endpoint| match endpoint.port() {
                    0 => endpoint.with_port(port).to_string(),
                    _ => endpoint.to_string(),
                })
                .collect(),
        };
        text.iter().map(|text| Address::new(text).map_err(|error| of_protocol(&error))).collect()
    }

    /// The port of the listener for introduced peers at an address.
    fn introduced_port(&mut self, address: IpAddr, port: u16) -> Result<u16, Failure> {
        if let Some(port) = self.introduced_ports.get(&address) {
            return Ok(*port);
        }
        let at = SocketAddr::new(address, port);
        let port = socket::listen(at, self.config.window.most).and_then(|socket| {
            let port = socket::local(&socket)?.port();
            self.serve_listener(socket, Awaited::Introduced)?;
            Ok(port)
        });
        let port = port.map_err(|errno| Failure::system(errno).context(&listening(at, errno)))?;
        self.introduced_ports.insert(address, port);
        Ok(port)
    }

    /// Sends a frame to a broker.
    pub(super) fn tell(&mut self, key: u64, message: &Message) {
        if let Some(Source::Broker(connection)) = self.sources.get_mut(&key) {
            message.append_to(&mut connection.output);
            connection.flush(&self.reactor, key);
        }
    }

    /// Reads what a broker says, and hands it on.
    pub(super) fn listen_to_broker(
        &mut self,
        key: u64,
        mut connection: BrokerConnection,
    ) -> Option<BrokerConnection> {
        let (messages, outcome) = connection.read();
        let (now, broker, mut goes_on) = (Instant::now(), connection.broker.clone(), outcome.is_ok());
        for message in messages {
            match message {
                Message::Ping => Message::Pong.append_to(&mut connection.output),
                message => {
                    // REFUSAL is the last frame on this connection; the next one to this broker is another.
                    goes_on &= !matches!(message, Message::Refusal(_));
                    self.pairing.broker_said(now, &broker, key, message);
                }
            }
        }
        connection.flush(&self.reactor, key);
        if let Err(trouble) = outcome {
            self.log(Level::Warning, &format!("netpipe: broker {broker}: {trouble}"));
            self.pairing.broker_lost(now, key, &trouble, None);
        }
        goes_on.then_some(connection)
    }

    /// A broker that was here answers nothing any more.
    pub(super) fn broker_silent(&mut self, key: u64, silence: Duration) {
        let Some(Source::Broker(connection)) = self.sources.remove(&key) else { return };
        let trouble = format!("no answer for {}: its process may be stopped", written_duration(silence));
        self.log(Level::Warning, &format!("netpipe: broker {}: {trouble}", connection.broker));
        self.pairing.broker_lost(Instant::now(), key, &trouble, Some(silence));
    }
}
