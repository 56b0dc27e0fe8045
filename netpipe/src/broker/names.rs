//! Who waits for whom: registrations by name, their pairing, and what was given up. No sockets, and no clock of its own.

use super::deadlines::Deadlines;
use super::tokens::Tokens;
use super::{Client, Limits, Times};
use crate::error::{Error, Reason, Result, code};
use crate::held::{self, Held, Place};
use crate::message::{Match, Message, Register};
use crate::{Address, Name, Role, Token};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::time::Instant;

/// The registrations of all connections.
#[derive(Debug)]
pub(crate) struct Names {
    limits: Limits,
    times: Times,
    /// By place: the connection, and the registration's id on it.
    registrations: BTreeMap<Place, Registration>,
    pipes: HashMap<Name, Ends>,
    /// Names whose writer gave up before a reader came, with the connection that said so.
    discards: HashMap<Name, Client>,
    discards_end: Deadlines<Name>,
    /// Ends to which nobody comes any more, by the word of who runs both, and why.
    abandoned: HashMap<(Name, Role), Reason>,
    /// What counts for a connection: its registrations, and its discards while they are remembered.
    held: HashMap<Client, usize>,
    /// Numbers registrations: instances may use ids again, and waiting writers are served in order.
    serial: u64,
    notices: VecDeque<(Client, Message)>,
    /// Connections of readers whose place another reader would take, if they are gone.
    doubted: Vec<Client>,
    log: Vec<String>,
}

#[derive(Debug)]
struct Registration {
    serial: u64,
    since: Instant,
    name: Name,
    origin: Origin,
    state: Phase,
}

/// The two addresses of an instance's connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The instance's, as the broker sees it.
    pub(crate) peer: SocketAddr,
    /// The broker's, as the instance reached it.
    pub(crate) local: IpAddr,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Reader,
    Waiting,
    Matched(Matched),
}

/// What a writer was told.
#[derive(Clone, Copy, Debug)]
struct Matched {
    reader: Place,
    reader_serial: u64,
    token: Token,
    until: Instant,
}

/// One name in use.
#[derive(Debug, Default)]
struct Ends {
    reader: Option<Reader>,
    /// Writers without a reader, in order of arrival. Empty while there is a reader.
    waiting: BTreeMap<u64, Place>,
}

#[derive(Debug)]
struct Reader {
    place: Place,
    addresses: Vec<Address>,
    /// How many more writers may be introduced; `None`: any number.
    room: Option<u32>,
}

impl Names {
    pub(crate) fn new(limits: Limits, times: Times) -> Self {
        Self {
            limits,
            times,
            registrations: BTreeMap::new(),
            pipes: HashMap::new(),
            discards: HashMap::new(),
            discards_end: Deadlines::new(),
            abandoned: HashMap::new(),
            held: HashMap::new(),
            serial: 0,
            notices: VecDeque::new(),
            doubted: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Takes the next thing to tell an instance, in the order in which they came up.
    pub(crate) fn notice(&mut self) -> Option<(Client, Message)> {
        self.notices.pop_front()
    }

    /// Takes the connections that are to show that they live.
    pub(crate) fn doubted(&mut self) -> Vec<Client> {
        std::mem::take(&mut self.doubted)
    }

    /// Takes the lines for the operator's log.
    pub(crate) fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Registers an open, and introduces it if its other side is there.
    ///
    /// # Errors
    /// The id is in use on this connection: [`Error::Protocol`]; [`Error::Random`].
    pub(crate) fn register(
        &mut self,
        now: Instant,
        client: Client,
        origin: Origin,
        wanted: Register,
    ) -> Result<()> {
        let place = (client, wanted.id);
        if self.registrations.contains_key(&place) {
            return Err(Error::protocol("REGISTER with the id of another registration"));
        }
        if let Some(text) = self.limit(client) {
            self.log.push(format!("refuse {:?} to {}: {text}", wanted.name.as_str(), origin.peer));
            self.tell_refused(place, code::EBUSY, &text);
            return Ok(());
        }
        self.serial += 1;
        let state = if wanted.role == Role::Reader { Phase::Reader } else { Phase::Waiting };
        let registration =
            Registration { serial: self.serial, since: now, name: wanted.name.clone(), origin, state };
        self.registrations.insert(place, registration);
        *self.held.entry(client).or_default() += 1;
        match wanted.role {
            Role::Reader => self.arrive_reader(now, place, wanted),
            Role::Writer => self.arrive_writer(now, place),
        }
    }

    /// Ends a registration. One that has ended already is no fault: a refusal may have crossed this.
    pub(crate) fn withdraw(&mut self, place: Place) {
        if let Some(Registration { name, origin, .. }) = self.remove(place) {
            self.log.push(format!("withdraw {:?}: {}", name.as_str(), origin.peer));
        }
    }

    /// Ends a registration whose writer gave the pipe up before it met its reader.
    ///
    /// # Errors
    /// The registration is a reader's: [`Error::Protocol`].
    pub(crate) fn discard(&mut self, now: Instant, place: Place) -> Result<()> {
        if matches!(self.registrations.get(&place), Some(Registration { state: Phase::Reader, .. })) {
            return Err(Error::protocol("DISCARDED of a reader"));
        }
        let Some(Registration { name, origin, state, .. }) = self.remove(place) else { return Ok(()) };
        self.log.push(format!("discard {:?}: {}", name.as_str(), origin.peer));
        if let Phase::Matched(matched) = state
            && self.has_reader(&matched)
        {
            // It crossed the introduction: that reader waits for nobody.
            let text = format!("the writer of {:?} gave it up", name.as_str());
            self.refuse(matched.reader, code::ECONNRESET, &text);
            return Ok(());
        }
        self.forget_discard(&name);
        self.discards.insert(name.clone(), place.0);
        self.discards_end.set(name, now + self.times.discard);
        *self.held.entry(place.0).or_default() += 1;
        Ok(())
    }

    /// Takes note that nobody comes to one end of a pipe any more: who waits for it, or comes to do so, is refused.
    pub(crate) fn abandon(&mut self, name: Name, role: Role, reason: Reason) {
        let waiting: Vec<Place> = match (self.pipes.get(&name), role) {
            (Some(pipe), Role::Reader) => pipe.waiting.values().copied().collect(),
            (Some(pipe), Role::Writer) => pipe.reader.iter().map(|reader| reader.place).collect(),
            (None, _) => Vec::new(),
        };
        for place in waiting {
            self.refuse(place, reason.code, &reason.text);
        }
        self.abandoned.insert((name, role), reason);
    }

    /// Lets a writer that reached none of its reader's addresses meet it here; `running` relays do so already.
    ///
    /// # Errors
    /// The token is not this registration's, or it is a reader's: [`Error::Protocol`]; [`Error::Random`].
    pub(crate) fn relay(
        &mut self,
        now: Instant,
        place: Place,
        given: Token,
        tokens: &mut Tokens,
        running: usize,
    ) -> Result<()> {
        let Some(registration) = self.registrations.get_mut(&place) else { return Ok(()) };
        let matched = match registration.state {
            Phase::Matched(matched) if matched.token == given => matched,
            _ => return Err(Error::protocol("UNREACHABLE with a token that is not its registration's")),
        };
        if matched.until < now {
            self.refuse(place, code::ETIMEDOUT, "the broker's token has expired");
            return Ok(());
        }
        if !self.has_reader(&matched) {
            // The reader went between; its instance may come back and register what still waits.
            return self.arrive_writer(now, place);
        }
        if tokens.len() + running >= self.limits.relays {
            let text = format!("over the broker's limit of {} relayed pipes", self.limits.relays);
            // They have not met, and there may be room for their relay when the writer comes again.
            self.give_back(matched.reader);
            self.refuse(place, code::EBUSY, &text);
            return Ok(());
        }
        let token = Token::random()?;
        let until = now + self.times.token;
        let Some(registration) = self.registrations.get_mut(&place) else { return Ok(()) };
        registration.state = Phase::Matched(Matched { token, until, ..matched });
        tokens.issue(token, registration.name.clone(), until);
        self.log.push(format!(
            "relay {:?}: for writer {}",
            registration.name.as_str(),
            registration.origin.peer
        ));
        let (client, id) = matched.reader;
        self.notices.push_back((client, Message::Relay { id, token }));
        self.notices.push_back((place.0, Message::Relay { id: place.1, token }));
        Ok(())
    }

    /// Ends everything of a connection that is gone.
    pub(crate) fn leave(&mut self, client: Client) {
        let places: Vec<Place> =
            self.registrations.range((client, 0)..=(client, u64::MAX)).map(|(place, _)| *place).collect();
        for place in places {
            self.remove(place);
        }
        self.held.remove(&client);
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.discards_end.next()
    }

    /// Forgets what was given up long ago.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(name) = self.discards_end.pop(now) {
            self.forget_discard(&name);
        }
    }

    /// How many registrations there are, and how many names that were given up.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.registrations.len(), self.discards.len())
    }

    /// What is told of the registrations behind a place.
    pub(crate) fn held(&self, now: Instant, after: Place, most: usize) -> Vec<Held> {
        let behind = self.registrations.range((Bound::Excluded(after), Bound::Unbounded));
        behind.take(most).map(|(place, registration)| self.tell(now, *place, registration)).collect()
    }

    fn tell(&self, now: Instant, place: Place, registration: &Registration) -> Held {
        let Registration { since, name, origin, state, .. } = registration;
        let reader = self.pipes.get(name).and_then(|pipe| pipe.reader.as_ref());
        let (state, met) = match state {
            Phase::Reader => (held::State::Reader, None),
            Phase::Waiting => (held::State::Writer, None),
            Phase::Matched(matched) => (held::State::Introduced, Some(matched)),
        };
        let met = met.filter(|matched| self.has_reader(matched));
        let met =
            met.and_then(|matched| self.registrations.get(&matched.reader)).map(|reader| reader.origin.peer);
        let peers: Vec<_> = [Some(origin.peer), met].into_iter().flatten().collect();
        let seconds = now.saturating_duration_since(*since).as_secs();
        let writers = reader.filter(|reader| reader.place == place).and_then(|reader| reader.room);
        Held { writers, ..Held::new(place, state, name, &peers, seconds) }
    }

    /// Names the limit that one more registration of this connection would break.
    fn limit(&self, client: Client) -> Option<String> {
        let Limits { registrations, registrations_per_connection, .. } = self.limits;
        if self.held.get(&client).is_some_and(|held| *held >= registrations_per_connection) {
            Some(format!(
                "over the broker's limit of {registrations_per_connection} registrations of one connection"
            ))
        } else if self.registrations.len() + self.discards.len() >= registrations {
            Some(format!("over the broker's limit of {registrations} registrations"))
        } else {
            None
        }
    }

    fn arrive_reader(&mut self, now: Instant, place: Place, wanted: Register) -> Result<()> {
        let name = wanted.name;
        if self.forget_discard(&name) {
            let text = format!("the writer of {:?} gave it up before its reader came", name.as_str());
            self.refuse(place, code::ECONNRESET, &text);
            return Ok(());
        }
        if let Some(Reason { code, text }) = self.abandoned(&name, Role::Writer) {
            self.refuse(place, code, &text);
            return Ok(());
        }
        let pipe = self.pipes.entry(name.clone()).or_default();
        if let Some(reader) = &pipe.reader {
            if wanted.takeover && reader.place.0 != place.0 {
                self.doubted.push(reader.place.0);
            }
            self.refuse(place, code::EBUSY, &format!("{:?} has a reader already", name.as_str()));
            return Ok(());
        }
        let room = match wanted.writers {
            Some(0) => None,
            given => Some(given.unwrap_or(1)),
        };
        pipe.reader = Some(Reader { place, addresses: wanted.addresses, room });
        for writer in std::mem::take(&mut pipe.waiting).into_values() {
            self.meet(now, writer)?;
        }
        Ok(())
    }

    fn arrive_writer(&mut self, now: Instant, place: Place) -> Result<()> {
        let Some(registration) = self.registrations.get_mut(&place) else { return Ok(()) };
        registration.state = Phase::Waiting;
        let (name, serial) = (registration.name.clone(), registration.serial);
        if self.pipes.get(&name).is_some_and(|pipe| pipe.reader.is_some()) {
            return self.meet(now, place);
        }
        if let Some(Reason { code, text }) = self.abandoned(&name, Role::Reader) {
            self.refuse(place, code, &text);
            return Ok(());
        }
        let pipe = self.pipes.entry(name).or_default();
        pipe.waiting.insert(serial, place);
        Ok(())
    }

    /// Introduces a writer to the reader that is there, or refuses it.
    fn meet(&mut self, now: Instant, writer: Place) -> Result<()> {
        let Some(registration) = self.registrations.get_mut(&writer) else { return Ok(()) };
        let name = registration.name.clone();
        let Some(reader) = self.pipes.get_mut(&name).and_then(|pipe| pipe.reader.as_mut()) else {
            return Ok(());
        };
        if let Some(room) = &mut reader.room {
            let Some(left) = room.checked_sub(1) else {
                let text = format!("{:?} has all the writers that its reader expects", name.as_str());
                self.refuse(writer, code::EBUSY, &text);
                return Ok(());
            };
            *room = left;
        }
        let (place, addresses) = (reader.place, reader.addresses.clone());
        let token = Token::random()?;
        let to = registration.origin;
        let Some(reader) = self.registrations.get(&place) else { return Ok(()) };
        let (reader_serial, from) = (reader.serial, reader.origin);
        let until = now + self.times.token;
        if let Some(registration) = self.registrations.get_mut(&writer) {
            registration.state = Phase::Matched(Matched { reader: place, reader_serial, token, until });
        }
        let addresses = addresses.iter().map(|address| complete(address, from, to)).collect();
        self.log.push(format!("match {:?}: writer {}, reader {}", name.as_str(), to.peer, from.peer));
        // The reader first: it should know the token before the writer dials.
        let (client, id) = place;
        self.notices.push_back((client, Message::Match(Match { id, token, addresses: Vec::new() })));
        let (client, id) = writer;
        self.notices.push_back((client, Message::Match(Match { id, token, addresses })));
        Ok(())
    }

    /// Why nobody comes to an end any more.
    fn abandoned(&self, name: &Name, role: Role) -> Option<Reason> {
        self.abandoned.get(&(name.clone(), role)).cloned()
    }

    /// Has a reader expect one writer more than it does now.
    fn give_back(&mut self, reader: Place) {
        let Some(Registration { name, .. }) = self.registrations.get(&reader) else { return };
        let pipe = self.pipes.get_mut(name).and_then(|pipe| pipe.reader.as_mut());
        if let Some(Reader { room: Some(room), .. }) = pipe.filter(|known| known.place == reader) {
            *room += 1;
        }
    }

    /// Whether the reader that a writer was told of is still registered.
    fn has_reader(&self, matched: &Matched) -> bool {
        self.registrations.get(&matched.reader).is_some_and(|reader| reader.serial == matched.reader_serial)
    }

    /// Ends a registration, and says why.
    fn refuse(&mut self, place: Place, code: u32, text: &str) {
        if let Some(Registration { name, origin, .. }) = self.remove(place) {
            self.log.push(format!("refuse {:?} to {}: {text}", name.as_str(), origin.peer));
        }
        self.tell_refused(place, code, text);
    }

    fn tell_refused(&mut self, (client, id): Place, code: u32, text: &str) {
        self.notices.push_back((client, Message::Refused { id, reason: Reason::new(code, text) }));
    }

    fn remove(&mut self, place: Place) -> Option<Registration> {
        let registration = self.registrations.remove(&place)?;
        self.release(place.0);
        if let Some(pipe) = self.pipes.get_mut(&registration.name) {
            pipe.waiting.remove(&registration.serial);
            pipe.reader.take_if(|reader| reader.place == place);
            if pipe.reader.is_none() && pipe.waiting.is_empty() {
                self.pipes.remove(&registration.name);
            }
        }
        Some(registration)
    }

    fn forget_discard(&mut self, name: &Name) -> bool {
        self.discards_end.clear(name);
        match self.discards.remove(name) {
            Some(client) => {
                self.release(client);
                true
            }
            None => false,
        }
    }

    fn release(&mut self, client: Client) {
        if let Some(held) = self.held.get_mut(&client) {
            *held = held.saturating_sub(1);
        }
    }
}

/// Fills the host in where the reader's instance left it out: the one that the broker sees. A loopback address means the
/// broker's own machine, so a writer elsewhere is told the address at which it found that.
fn complete(address: &Address, reader: Origin, writer: Origin) -> Address {
    if !address.host().is_empty() {
        return address.clone();
    }
    let seen = reader.peer.ip().to_canonical();
    let elsewhere = seen.is_loopback() && !writer.peer.ip().to_canonical().is_loopback();
    let host = if elsewhere { writer.local.to_canonical() } else { seen };
    let whole = SocketAddr::new(host, address.port());
    Address::new(&whole.to_string()).unwrap_or_else(|_| address.clone())
}

#[cfg(test)]
mod tests;
