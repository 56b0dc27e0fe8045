//! A writer whose reader has let it in: what it sends and asks, over the network and through memory.

use crate::digest::{Algorithm, Digest};
use crate::error::{Reason, code};
use crate::lossy::end::{Place, To, Transmit};
use crate::lossy::frame::Frame;
use crate::lossy::outgoing::Outgoing;
use crate::message::Message;
use crate::passage::{Moment, Outlet};
use crate::same_host::{Leaving, Way};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// A reader that has not taken everything is asked how far it is after this, then after twice as much, and so on.
const ASK_FIRST: Duration = Duration::from_millis(200);
const ASK_MOST: Duration = Duration::from_secs(1);

/// What a writer says last.
#[derive(Clone, Debug)]
pub enum LastWord {
    /// All was written.
    End,
    /// The writer failed.
    Discard(Reason),
}

/// What the reader that lets a writer in says of itself.
pub struct Host {
    /// Where it hears.
    pub place: Place,
    /// Its window in bytes.
    pub window: u32,
    /// The digest that both want.
    pub digest: Option<Algorithm>,
    /// Where the two may meet on one host.
    pub way: Option<Way>,
}

/// The writer's side of that.
pub struct Met {
    reader: Place,
    outgoing: Outgoing,
    digest: Option<Digest>,
    /// How often a reader that says nothing is asked, as a sign of life.
    interval: Duration,
    /// The way to where the two meet on one host.
    leaving: Leaving,
    /// The reader is to be told that this side waits there.
    waits: bool,
    /// Everything goes through memory from here on.
    outlet: Option<Outlet>,
    /// The last word was sent since it was last in doubt. Through memory it is said once.
    said: bool,
    /// The reader is to be asked now.
    ask: bool,
    ask_at: Instant,
    pause: Duration,
    /// How long the reader was asked in vain.
    silence: Duration,
}

impl Met {
    /// Begins when the reader lets it in.
    pub fn new(now: Instant, host: Host, interval: Duration) -> Met {
        Met {
            reader: host.place,
            outgoing: Outgoing::new(host.window),
            digest: host.digest.map(Digest::new),
            interval,
            leaving: host.way.map_or(Leaving::Over, Leaving::where_words_are_lost),
            waits: false,
            outlet: None,
            said: false,
            ask: false,
            ask_at: now + interval,
            pause: interval,
            silence: Duration::ZERO,
        }
    }

    /// Who has let it in.
    pub fn reader(&self) -> &Place {
        &self.reader
    }

    /// The payload bytes written, over the network and through memory.
    pub fn written(&self) -> u64 {
        self.outgoing.written() + self.outlet.as_ref().map_or(0, Outlet::written)
    }

    /// Takes bytes in; `None`: there is no room.
    ///
    /// # Errors
    /// ECONNRESET: the reader broke the rules of the memory.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Option<usize>, Reason> {
        if !self.leaving.is_over() {
            self.approach();
        }
        let count = match &mut self.outlet {
            None => self.outgoing.write(bytes),
            Some(outlet) => outlet.write(bytes, self.outgoing.written() - self.outgoing.taken())?,
        };
        if let (Some(digest), Some(count)) = (&mut self.digest, count) {
            digest.update(&bytes[..count]);
        }
        Ok(count)
    }

    /// Goes a step towards where the two meet. What was written before that still goes through the network.
    fn approach(&mut self) {
        let (written, taken) = (self.outgoing.written(), self.outgoing.taken());
        let met = self.leaving.go_on(written, taken, |guest| Outlet::new(guest, written));
        self.waits |= met.is_some();
        if let Some((_, Some(outlet))) = met {
            (self.outlet, self.waits) = (Some(outlet), false);
            self.outgoing.push();
        }
    }

    /// Sends what was written at once.
    pub fn push(&mut self) {
        self.outgoing.push();
    }

    /// Looks at what the memory tells, if everything goes through that; true: the reader has taken all, and END is said.
    ///
    /// # Errors
    /// ECONNRESET: the reader is gone, or broke the rules of the memory.
    pub fn look(&mut self, is_ended: bool) -> Result<bool, Reason> {
        let Some(outlet) = &mut self.outlet else { return Ok(false) };
        let is_done = is_ended && self.outgoing.is_taken() && outlet.is_taken()?;
        match outlet.hear()? || is_done {
            true => Ok(is_done),
            false => Err(Reason::new(code::ECONNRESET, "the reader was lost")),
        }
    }

    /// Says the last word through memory, where everything goes through that; true: it does so now.
    ///
    /// # Errors
    /// ECONNRESET: the reader broke the rules of the memory.
    pub fn say_last(&mut self, word: &LastWord) -> Result<bool, Reason> {
        let total = self.written();
        let (Some(outlet), false) = (&mut self.outlet, self.said) else { return Ok(false) };
        self.said = true;
        match word {
            LastWord::End => {
                let end = Message::End(total);
                match &self.digest {
                    Some(digest) => outlet.say(&[Message::Digest(digest.value()), end])?,
                    None => outlet.say(&[end])?,
                }
            }
            LastWord::Discard(reason) => outlet.say(&[Message::Discard(reason.clone())])?,
        }
        Ok(true)
    }

    /// Whether the last word lies in memory, where it cannot be taken back.
    pub fn has_said_in_memory(&self) -> bool {
        self.outlet.is_some() && self.said
    }

    /// Whether, beside that, the network has brought all that went before.
    pub fn is_left_behind(&self) -> bool {
        self.has_said_in_memory() && self.outgoing.is_received()
    }

    /// There is another last word than was said.
    pub fn unsay(&mut self) {
        self.said = false;
    }

    /// Whether the reader has taken all that was written.
    pub fn is_taken(&mut self) -> bool {
        // A reader that lies is found out by who looks.
        self.outgoing.is_taken() && self.outlet.as_mut().is_none_or(|outlet| outlet.is_taken() == Ok(true))
    }

    /// Whether that is so, by what the reader says of the network's part.
    pub fn has_all(&mut self, taken: u64) -> bool {
        taken == self.outgoing.written()
            && self.outlet.as_mut().is_none_or(|outlet| outlet.is_taken() == Ok(true))
    }

    /// The reader says something.
    pub fn hear(&mut self) {
        self.silence = Duration::ZERO;
    }

    /// The reader tells how far it is.
    ///
    /// # Errors
    /// EPROTO: it tells of bytes that were never sent.
    pub fn report(&mut self, now: Instant, received: u64, taken: u64, resend: bool) -> Result<(), Reason> {
        let Ok(farther) = self.outgoing.heard(received, taken) else {
            return Err(Reason::new(code::EPROTO, "the reader reports bytes that were never sent"));
        };
        if resend {
            self.outgoing.resend();
            self.said &= self.outlet.is_some();
        }
        if farther || self.outgoing.is_taken() {
            self.wait(now);
        }
        Ok(())
    }

    /// Asks anew after a while: soon if something is outstanding, else as a sign of life.
    fn wait(&mut self, now: Instant) {
        // What was said in memory needs no answer.
        let is_calm = self.outgoing.is_taken() && (!self.said || self.outlet.is_some());
        self.pause = if is_calm { self.interval } else { ASK_FIRST.min(self.interval) };
        self.ask_at = now + self.pause;
    }

    /// Asks the reader now.
    pub fn ask(&mut self) {
        self.ask = true;
    }

    /// The network is there again: whatever was on its way may be lost.
    pub fn doubt(&mut self) {
        (self.ask, self.said) = (true, self.said && self.outlet.is_some());
    }

    /// When to call [`tick`](Met::tick).
    pub fn deadline(&self) -> Instant {
        self.ask_at
    }

    /// Asks, if it is time; how long the reader has said nothing.
    pub fn tick(&mut self, now: Instant) -> Duration {
        if now >= self.ask_at {
            self.silence += self.pause;
            self.ask = true;
            if self.pause < self.interval {
                self.pause = (self.pause * 2).min(ASK_MOST).min(self.interval);
            }
            self.ask_at = now + self.pause;
        }
        self.silence
    }

    /// The next message for the reader.
    pub fn transmit(&mut self, now: Instant, last_word: Option<&LastWord>) -> Option<Transmit> {
        let to = To::Peer(self.reader.clone());
        if std::mem::take(&mut self.waits) {
            return Some(Transmit::new(to, &Frame::Meeting));
        }
        if let Some(frame) = self.outgoing.next() {
            if self.pause == self.interval {
                self.wait(now); // nothing was outstanding
            }
            return Some(Transmit { to, answer: None, frame });
        }
        let frame = match last_word {
            Some(word) if self.outlet.is_none() && self.outgoing.is_sent() && (!self.said || self.ask) => {
                if !std::mem::replace(&mut self.said, true) {
                    self.wait(now);
                }
                let total = self.outgoing.written();
                match word {
                    LastWord::End => Frame::End { total, digest: self.digest.as_ref().map(Digest::value) },
                    LastWord::Discard(reason) => Frame::Discard { total, reason: reason.clone() },
                }
            }
            _ if self.ask => Frame::Ask { sent: self.outgoing.reached() },
            _ => return None,
        };
        self.ask = false;
        Some(Transmit::new(to, &frame))
    }

    /// Whether nothing is to be sent because of what its file did.
    pub fn is_quiet(&self) -> bool {
        self.outlet.is_some() && self.outgoing.is_taken() && !self.ask
    }

    /// A moment's wait for the memory; `None`: the network is waited for.
    pub fn moment(&self) -> Option<Moment> {
        self.outlet.as_ref().filter(|_| self.outgoing.is_taken())?.moment()
    }

    /// Asks to be woken by what `watch` is given.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        if let Some(outlet) = &mut self.outlet {
            outlet.sleep(watch);
        }
    }
}
