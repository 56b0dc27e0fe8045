//! Two instances, and a broker's own names and tokens between them: no socket, no clock, no sleep.

use crate::broker::{Limits, Names, Redeemed, Times, Tokens};
use crate::pairing::*;
use crate::{Error, Handshake, Local, Name, Progress};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The instances, by their number: the host with that number in its address.
pub const READING: usize = 1;
pub const WRITING: usize = 2;
/// Where introduced writers are accepted.
pub const MEETING: u16 = 9000;

/// What was told of a pipe, or became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Connected(u64),
    Dismissed,
    Failed(u64, u32, String),
}

pub struct Instance {
    pub pairing: Pairing,
    pub timers: BTreeMap<(Instant, u64), Timer>,
    pub listening: HashMap<u64, u16>,
    /// Handshakes that wait for a broker's word: their token, and the dial at the other end.
    pub early: HashMap<Token, (usize, u64)>,
    pub told: Vec<Told>,
    pub troubles: Vec<String>,
    /// How many connections it began to make.
    pub connects: usize,
    /// The broker that it is connected to, as it knows it, and where it met one.
    pub broker: Option<BrokerAt>,
    pub met: Vec<SocketAddr>,
}

pub struct World {
    pub now: Instant,
    pub serial: u64,
    pub instances: HashMap<usize, Instance>,
    pub names: Names,
    pub tokens: Tokens,
    /// The broker takes connections.
    pub broker_up: bool,
    /// What the local network answers who asks for brokers, and how often it was asked.
    pub announced: Vec<SocketAddr>,
    pub asked: usize,
    /// What comes of a handshake with whoever is no broker.
    pub liars: HashMap<SocketAddr, Error>,
    /// Relayed connections that wait for their other half: who dialled.
    pub halves: HashMap<u64, (usize, u64)>,
    /// Hosts that cannot be reached.
    pub cut_off: BTreeSet<usize>,
    /// Hosts that take connections and say nothing.
    pub silent: BTreeSet<usize>,
}

pub fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text, None).unwrap()
}

pub fn broker() -> BrokerAt {
    BrokerAt::Named(endpoint("10.0.0.9:9713"))
}

pub fn open(role: Role, route: Route) -> Open {
    Open { role, name: Name::new("pipe").unwrap(), route, writers: Some(1) }
}

pub fn host(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(address) => address.octets()[3].into(),
        IpAddr::V6(_) => 0,
    }
}

impl World {
    pub fn new() -> World {
        World::with(Limits::default(), false)
    }

    pub fn with(limits: Limits, takeover: bool) -> World {
        let rules = Rules {
            connect_timeout: Duration::from_secs(3),
            peer_timeout: Duration::from_secs(60),
            takeover,
            advertise: Vec::new(),
        };
        let instance = || Instance {
            pairing: Pairing::new(rules.clone()),
            timers: BTreeMap::new(),
            listening: HashMap::new(),
            early: HashMap::new(),
            told: Vec::new(),
            troubles: Vec::new(),
            connects: 0,
            broker: None,
            met: Vec::new(),
        };
        World {
            now: Instant::now(),
            serial: 0,
            instances: HashMap::from([(READING, instance()), (WRITING, instance())]),
            names: Names::new(limits, Times::default()),
            tokens: Tokens::new(),
            broker_up: true,
            announced: Vec::new(),
            asked: 0,
            liars: HashMap::new(),
            halves: HashMap::new(),
            cut_off: BTreeSet::new(),
            silent: BTreeSet::new(),
        }
    }

    pub fn at(&mut self, number: usize) -> &mut Instance {
        self.instances.get_mut(&number).unwrap()
    }

    pub fn pairing(&mut self, number: usize) -> &mut Pairing {
        &mut self.at(number).pairing
    }

    /// Opens a pipe, and lets everything happen that needs no time.
    pub fn open(&mut self, number: usize, id: u64, open: Open) {
        let now = self.now;
        self.pairing(number).open(now, id, open);
        self.settle();
    }

    pub fn close(&mut self, number: usize, id: u64) {
        let now = self.now;
        self.pairing(number).close(now, id);
        self.settle();
    }

    pub fn told(&mut self, number: usize) -> Vec<Told> {
        std::mem::take(&mut self.at(number).told)
    }

    pub fn state(&self, number: usize, id: u64) -> Option<&PipeState> {
        self.instances[&number].pairing.state(id)
    }

    /// Lets time pass, from one timer to the next.
    pub fn later(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.instances.iter().filter_map(|(number, instance)| {
                instance.timers.first_key_value().map(|((at, serial), _)| (*at, *serial, *number))
            });
            let Some((at, serial, number)) = next.min().filter(|(at, ..)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.names.expire(self.now);
            self.tokens.expire(self.now);
            let timer = self.at(number).timers.remove(&(at, serial)).unwrap();
            let now = self.now;
            self.pairing(number).fire(now, timer);
            self.settle();
        }
        self.now = end;
        self.give_up_the_early();
    }

    /// Ends the handshakes whose other side has not heard of them from the broker, and relayed halves that are alone.
    pub fn give_up_the_early(&mut self) {
        let early: Vec<_> = self.instances.values_mut().flat_map(|instance| instance.early.drain()).collect();
        let halves = self.halves.drain().map(|(_, half)| half);
        for (number, dial) in early.into_iter().map(|(_, dialler)| dialler).chain(halves).collect::<Vec<_>>()
        {
            let (now, error) = (self.now, Error::Refused(Reason::new(code::ECONNRESET, "unknown here")));
            self.pairing(number).refused(now, dial, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1), &error);
        }
        self.settle();
    }

    /// Does what both instances and the broker want done, until nobody wants anything.
    pub fn settle(&mut self) {
        loop {
            let action = [READING, WRITING]
                .into_iter()
                .find_map(|number| Some((number, self.pairing(number).poll()?)));
            if let Some((number, action)) = action {
                self.act(number, action);
            } else if let Some((client, message)) = self.names.notice() {
                let (number, now) = (client as usize, self.now);
                let at = self.at(number).broker.clone().unwrap_or_else(broker);
                self.pairing(number).broker_said(now, &at, client, message);
            } else {
                return;
            }
        }
    }

    pub fn act(&mut self, number: usize, action: Action) {
        let now = self.now;
        match action {
            Action::LookUp(dial, _) => self.pairing(number).resolved(now, dial, Err("no such name".into())),
            Action::Discover(dial) => {
                self.asked += 1;
                let announced = self.announced.clone();
                self.pairing(number).resolved(now, dial, Ok(announced));
            }
            Action::Listen(pipe, at) => {
                if self.at(number).listening.values().any(|port| *port == at.port()) {
                    self.pairing(number).fail(now, pipe, Failure::new(code::EBUSY, "in use"));
                } else {
                    self.at(number).listening.insert(pipe, at.port());
                }
            }
            Action::StopListening(pipe) => drop(self.at(number).listening.remove(&pipe)),
            Action::Connect { dial, to, until, .. } => {
                assert!(until > now);
                self.at(number).connects += 1;
                self.connect(number, dial, to);
            }
            Action::Tell(_, message) => self.hear(number, message),
            Action::HangUp(client) => self.names.leave(client),
            Action::Expect(token) => {
                if let Some((from, dial)) = self.at(number).early.remove(&token) {
                    self.handshake(from, dial, number, Awaited::Introduced);
                }
            }
            Action::SetTimer(at, timer) => {
                self.serial += 1;
                let serial = self.serial;
                self.at(number).timers.insert((at, serial), timer);
            }
            Action::Note(_, trouble) => self.at(number).troubles.extend(trouble),
            Action::Fail(pipe, Failure { code, text }) => {
                self.at(number).told.push(Told::Failed(pipe, code, text));
            }
        }
    }

    pub fn connect(&mut self, number: usize, dial: u64, to: SocketAddr) {
        let (now, peer) = (self.now, host(to.ip()));
        if let Some(error) = self.liars.get(&to).cloned() {
            assert!(self.pairing(number).connected(dial).is_some());
            return self.pairing(number).refused(now, dial, to, &error);
        }
        if to.port() == 9713 && self.broker_up {
            return self.meet_broker(number, dial, to);
        }
        let instance = self.instances.get(&peer).filter(|_| !self.cut_off.contains(&peer));
        let awaited = instance.and_then(|instance| match to.port() {
            MEETING => Some(Awaited::Introduced),
            port => instance.listening.iter().find(|(_, at)| **at == port).map(|(id, _)| Awaited::Pipe(*id)),
        });
        match awaited {
            None => self.pairing(number).missed(now, dial, format!("{to}: refused")),
            Some(_) if self.silent.contains(&peer) => {
                self.pairing(number).refused(now, dial, to, &Error::Silent);
            }
            Some(awaited) => self.handshake(number, dial, peer, awaited),
        }
    }

    /// Runs a handshake, byte for byte, and tells both what came of it.
    pub fn handshake(&mut self, from: usize, dial: u64, to: usize, awaited: Awaited) {
        let now = self.now;
        let Some(greeting) = self.pairing(from).connected(dial) else { return };
        let token = greeting.hello.token;
        let mut dialler = Handshake::dialler(greeting.hello, None, None).unwrap();
        let mut acceptor = Handshake::acceptor(None);
        let Ok(Progress::Hello(hello)) = acceptor.input(&mut &dialler.output()[..]) else {
            panic!("no HELLO")
        };
        let pipe = match self.pairing(to).judge(now, awaited, &hello) {
            Ok(None) => {
                self.at(to).early.insert(token.unwrap(), (from, dial));
                return;
            }
            Ok(Some(pipe)) => Some((pipe, acceptor.accept(Local::default(), None).unwrap())),
            Err(reason) => {
                acceptor.refuse(reason);
                None
            }
        };
        if let Some((pipe, Progress::Done(established))) = pipe {
            let next = self.pairing(to).accepted(pipe, &established);
            self.follow(to, next);
        }
        match dialler.input(&mut &acceptor.output()[..]) {
            Ok(Progress::Done(established)) => {
                let next = self.pairing(from).established(now, dial, &established);
                self.follow(from, next);
            }
            Ok(progress) => panic!("{progress:?}"),
            Err(error) => {
                let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
                self.pairing(from).refused(now, dial, at, &error);
            }
        }
    }

    pub fn meet_broker(&mut self, number: usize, dial: u64, to: SocketAddr) {
        let now = self.now;
        let Some(greeting) = self.pairing(number).connected(dial) else { return };
        self.at(number).met.push(to);
        let mut dialler = Handshake::dialler(greeting.hello, None, None).unwrap();
        let mut acceptor = Handshake::acceptor(None);
        acceptor.input(&mut &dialler.output()[..]).unwrap();
        acceptor.accept(Local::default(), None).unwrap();
        let Ok(Progress::Done(established)) = dialler.input(&mut &acceptor.output()[..]) else {
            panic!("the broker refuses nobody")
        };
        let token = match self.pairing(number).connected(dial).unwrap().hello {
            Hello { purpose: Purpose::Relay, token, .. } => token,
            _ => None,
        };
        let next = self.pairing(number).established(now, dial, &established);
        let Some(token) = token else { return self.follow(number, next) };
        // Each half goes on once the other is there; the writer's is the dialler of the next handshake.
        self.serial += 1;
        let half = (self.serial, (number, if let Disposition::Dial(dial) = next { dial } else { 0 }));
        match self.tokens.redeem(token, half.0) {
            Redeemed::First => drop(self.halves.insert(half.0, half.1)),
            Redeemed::Second(first, _) => {
                let pair = [self.halves.remove(&first).unwrap(), half.1];
                let (from, dial) = pair.into_iter().find(|(_, dial)| *dial != 0).unwrap();
                let (reader, _) = pair.into_iter().find(|(_, dial)| *dial == 0).unwrap();
                self.handshake(from, dial, reader, Awaited::Introduced);
            }
            Redeemed::Unknown => self.pairing(number).missed(now, dial, format!("{to}: unknown token")),
        }
    }

    pub fn follow(&mut self, number: usize, next: Disposition) {
        match next {
            Disposition::Connect(id) => self.at(number).told.push(Told::Connected(id)),
            Disposition::Dismiss(_) => self.at(number).told.push(Told::Dismissed),
            Disposition::Broker(at) => {
                self.at(number).broker = Some(at.clone());
                self.pairing(number).broker_connected(&at, number as u64);
            }
            Disposition::Close => {}
            Disposition::Dial(_) | Disposition::Accept => panic!("not through a relay"),
        }
    }

    /// The broker hears an instance.
    pub fn hear(&mut self, number: usize, message: Message) {
        let (client, now) = (number as u64, self.now);
        let local = IpAddr::from([10, 0, 0, 9]);
        let peer = SocketAddr::new([10, 0, 0, number as u8].into(), 5000);
        let result = match message {
            Message::Register(mut register) => {
                if register.role == Role::Reader {
                    register.addresses = vec![crate::Address::new(&format!(":{MEETING}")).unwrap()];
                }
                self.names.register(now, client, crate::broker::Origin { peer, local }, register)
            }
            Message::Withdraw(id) => {
                self.names.withdraw((client, id));
                Ok(())
            }
            Message::Discarded(id) => self.names.discard(now, (client, id)),
            Message::Unreachable { id, token } => {
                self.names.relay(now, (client, id), token, &mut self.tokens, 0)
            }
            other => panic!("{other:?}"),
        };
        result.unwrap();
    }

    /// The broker goes, with all that it knew; or another comes.
    pub fn restart_broker(&mut self, up: bool) {
        self.broker_up = up;
        let now = self.now;
        for number in [READING, WRITING] {
            self.names.leave(number as u64);
            self.pairing(number).broker_lost(now, number as u64, "the broker closed the connection", None);
        }
        self.settle();
    }
}
