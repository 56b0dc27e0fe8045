//! Tokens that let two connections meet in a relay.

use super::Client;
use super::deadlines::Deadlines;
use crate::{Name, Token};
use std::collections::HashMap;
use std::time::Instant;

/// The tokens of RELAY that are still good, and who waits with one.
#[derive(Debug)]
pub(crate) struct Tokens {
    open: HashMap<[u8; 16], Issued>,
    end: Deadlines<[u8; 16]>,
}

#[derive(Debug)]
struct Issued {
    name: Name,
    first: Option<Client>,
}

/// What a connection with a token does next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redeemed {
    /// The token is unknown, used up or expired.
    Unknown,
    /// It waits for the other.
    First,
    /// The other waits already, for this pipe.
    Second(Client, Name),
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { open: HashMap::new(), end: Deadlines::new() }
    }

    /// Tells how many tokens are good.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// Makes a token good for two connections.
    pub(crate) fn issue(&mut self, token: Token, name: Name, until: Instant) {
        self.open.insert(token.0, Issued { name, first: None });
        self.end.set(token.0, until);
    }

    /// Takes a connection with a token. The second one uses it up.
    pub(crate) fn redeem(&mut self, token: Token, client: Client) -> Redeemed {
        let Some(issued) = self.open.get_mut(&token.0) else { return Redeemed::Unknown };
        let Some(first) = issued.first.replace(client) else { return Redeemed::First };
        let name = issued.name.clone();
        self.open.remove(&token.0);
        self.end.clear(&token.0);
        Redeemed::Second(first, name)
    }

    /// Lets the token of a waiting connection that is gone be redeemed again.
    pub(crate) fn forget(&mut self, token: Token, client: Client) {
        if let Some(issued) = self.open.get_mut(&token.0) {
            issued.first.take_if(|first| *first == client);
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.end.next()
    }

    /// Forgets the tokens whose time is over. Who waits with one has a deadline of its own.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(token) = self.end.pop(now) {
            self.open.remove(&token);
        }
    }
}
