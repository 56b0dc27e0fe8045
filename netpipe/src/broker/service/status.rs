//! What the broker tells of itself, a page at a time: whoever asks keeps the place, so nothing is kept here.

use super::Service;
use crate::broker::Client;
use crate::held::{Place, Totals};
use crate::message::Message;
use std::ops::Bound;

/// What is told at one time: far less than an instance may leave unread.
const PAGE: usize = 32;

impl Service {
    /// Tells a connection what is held behind a place, and how much there is.
    pub(super) fn tell_status(&mut self, key: Client, after: Place) {
        let mut page = self.names.held(self.now, after, PAGE);
        let relays = self.relays.range((Bound::Excluded(after.0), Bound::Unbounded));
        let relays = relays.map(|(key, joined)| joined.held(self.now, (*key, 0)));
        page.extend(relays.take(PAGE - page.len()));
        let next = if page.len() < PAGE { (0, 0) } else { page.last().map_or((0, 0), |held| held.place) };
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let (registrations, discards) = self.names.counts();
        let totals = Totals {
            next,
            connections: count(self.admission.connections()),
            handshakes: count(self.admission.handshakes()),
            registrations: count(registrations),
            discards: count(discards),
            relays: count(self.relays.len()),
        };
        let mut messages: Vec<_> = page.into_iter().map(|held| Message::Held(Box::new(held))).collect();
        messages.push(Message::Totals(totals));
        for message in messages {
            self.tell(key, &message);
        }
    }
}
