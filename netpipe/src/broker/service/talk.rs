//! Handshakes, and what instances and the broker tell each other.

use super::Service;
use crate::broker::Client;
use crate::broker::connection::{Arrival, Connection, Stage};
use crate::broker::names::Origin;
use crate::broker::tokens::Redeemed;
use crate::error::{Error, Reason, Result, code};
use crate::handshake::{Established, Local, Progress};
use crate::hello::{FEATURE_STATUS, Purpose};
use crate::message::{Decoder, Message, Sender};
use std::collections::BTreeSet;

impl Service {
    /// Reads what has arrived on a connection that is not joined, and acts on it.
    pub(super) fn read(&mut self, key: Client, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let input = match connection.read(buffer) {
            Ok(Arrival::Bytes(count)) => &buffer[..count],
            Ok(Arrival::Nothing) => return,
            Ok(Arrival::End) => return self.close(key, "the peer closed the connection"),
            Err(error) => return self.close(key, &error.to_string()),
        };
        match connection.stage {
            Stage::Handshake(_) => self.handshake(key, input),
            Stage::Instance { .. } => self.listen(key, input),
            Stage::Waiting { .. } => {}
            Stage::Closing { .. } => {
                if !connection.throw(input.len()) {
                    connection.abort();
                    self.close(key, "does not go");
                }
            }
        }
        self.deliver();
    }

    fn handshake(&mut self, key: Client, mut input: &[u8]) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let secret = self.config.secret.clone();
        let established = match answer(connection, &mut input, secret) {
            Ok(None) => {
                if connection.unsent() > 0 {
                    // It was answered: from here on it has its time anew.
                    connection.since = self.now;
                }
                return;
            }
            Ok(Some(established)) => established,
            Err(error) => {
                let line = format!("refuse {}: {error}", connection.peer);
                self.log(&line);
                return self.dismiss(key, None);
            }
        };
        let peer = connection.peer;
        self.leave_stage(key);
        self.deadlines.clear(&key);
        let asks = established.features & FEATURE_STATUS != 0;
        let agent = established.peer.agent.unwrap_or_default();
        match established.peer.token {
            None => {
                self.log(&format!("instance {peer}: {agent:?}"));
                if let Some(connection) = self.connections.get_mut(&key) {
                    let decoder = Decoder::new(Sender::Instance);
                    connection.stage = Stage::Instance { decoder, pinged: false, asks };
                }
                self.deadlines.set(key, self.now + self.config.times.idle);
                self.listen(key, input);
            }
            Some(token) => {
                let redeemed = self.tokens.redeem(token, key);
                if let Some(connection) = self.connections.get_mut(&key) {
                    connection.stage = Stage::Waiting { token, early: input.to_vec() };
                }
                match redeemed {
                    Redeemed::First => self.deadlines.set(key, self.now + self.config.times.half),
                    Redeemed::Second(first, name) => self.join([first, key], name),
                    Redeemed::Unknown => {
                        self.log(&format!("refuse {peer}: the token of its RELAY is not good"));
                        let text = "the token is unknown, used up or expired";
                        self.dismiss(key, Some(Reason::new(code::EACCES, text)));
                    }
                }
            }
        }
    }

    /// Takes an instance's frames.
    fn listen(&mut self, key: Client, mut input: &[u8]) {
        loop {
            let Some(connection) = self.connections.get_mut(&key) else { return };
            let Stage::Instance { decoder, pinged, .. } = &mut connection.stage else { return };
            let message = match decoder.next(&mut input) {
                Ok(None) => return,
                Ok(Some(message)) => message,
                Err(error) => return self.break_off(key, &error),
            };
            if message == Message::Pong {
                *pinged = false;
            }
            if !*pinged {
                self.deadlines.set(key, self.now + self.config.times.idle);
            }
            if let Err(error) = self.take(key, message) {
                return self.break_off(key, &error);
            }
        }
    }

    fn take(&mut self, key: Client, message: Message) -> Result<()> {
        let Some(connection) = self.connections.get_mut(&key) else { return Ok(()) };
        match message {
            Message::Register(wanted) => {
                let origin = Origin { peer: connection.peer, local: connection.local };
                self.names.register(self.now, key, origin, wanted)
            }
            Message::Withdraw(id) => {
                self.names.withdraw((key, id));
                Ok(())
            }
            Message::Discarded(id) => self.names.discard(self.now, (key, id)),
            Message::Unreachable { id, token } => {
                let running = self.relays.len();
                self.names.relay(self.now, (key, id), token, &mut self.tokens, running)
            }
            Message::Ping => {
                self.tell(key, &Message::Pong);
                Ok(())
            }
            Message::Status(after) if matches!(connection.stage, Stage::Instance { asks: true, .. }) => {
                self.tell_status(key, after);
                Ok(())
            }
            Message::Pong => Ok(()),
            Message::Refusal(reason) => {
                self.close(key, &format!("the peer refused: {reason}"));
                Ok(())
            }
            other => Err(other.kind().out_of_turn()),
        }
    }

    /// Tells a connection something; one that does not read is closed.
    pub(super) fn tell(&mut self, key: Client, message: &Message) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if !matches!(connection.tell(message, self.config.limits.output), Ok(true)) {
            connection.abort();
            self.close(key, "does not read what it is sent");
        }
    }

    /// Ends an instance's connection for a broken rule.
    fn break_off(&mut self, key: Client, error: &Error) {
        if let Some(connection) = self.connections.get(&key) {
            let line = format!("refuse {}: {error}", connection.peer);
            self.log(&line);
        }
        self.dismiss(key, error.refusal());
    }

    /// Sends what came up for anybody.
    pub(super) fn deliver(&mut self) {
        let mut told = BTreeSet::new();
        while let Some((key, message)) = self.names.notice() {
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            if !matches!(connection.stage, Stage::Instance { .. }) {
                continue;
            }
            if matches!(connection.tell(&message, self.config.limits.output), Ok(true)) {
                told.insert(key);
            } else {
                connection.abort();
                self.close(key, "does not read what it is sent");
            }
        }
        for key in told {
            self.settle(key);
        }
        for key in self.names.doubted() {
            self.ping(key, self.config.times.takeover);
        }
        for line in self.names.log() {
            self.log(&line);
        }
    }
}

/// Goes on with a handshake as far as the input allows; what was agreed on, once it is complete.
fn answer(
    connection: &mut Connection,
    input: &mut &[u8],
    secret: Option<crate::Secret>,
) -> Result<Option<Established>> {
    let Stage::Handshake(handshake) = &mut connection.stage else { return Ok(None) };
    let mut result = handshake.input(input);
    if let Ok(Progress::Hello(hello)) = &result {
        result = if hello.purpose == Purpose::Pipe {
            Err(handshake.refuse(Reason::new(code::EPROTO, "this is a broker: it takes no pipes")))
        } else {
            let agent = Some(concat!("netpipe broker ", env!("CARGO_PKG_VERSION")).to_owned());
            let local = Local { agent, features: FEATURE_STATUS, ..Local::default() };
            match handshake.accept(local, secret) {
                Ok(Progress::More) => handshake.input(input),
                other => other,
            }
        };
    }
    let output = handshake.output();
    connection.push(&output);
    match result? {
        Progress::Done(established) => Ok(Some(established)),
        Progress::More | Progress::Hello(_) => Ok(None),
    }
}
