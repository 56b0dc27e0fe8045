//! The writing end: it seeks its reader, sends as much as the reader's window allows, and brings its last word home.

use crate::side::{Wish, of_protocol, of_reason};
use crate::troubles::Troubles;
use bytes::{BufMut, BytesMut};
use netpipe::digest::{Algorithm, Digest};
use netpipe::frame::{ATOMIC, Header};
use netpipe::handshake::Established;
use netpipe::passage::{Moment, Outlet};
use netpipe::pipe::Window;
use netpipe::same_host::{Leaving, SameHost, Way};
use netpipe::{Decoder, Message, Reason, Sender};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use tokio::sync::Notify;
use vfs_core::Code;
use zvfs_net::failure::Failure;

/// The payload of one frame, at most: larger ones would make another writer of the pipe wait.
const FRAME_MAX: usize = 256 << 10;

/// How a pipe came to its end for its writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reader has taken everything.
    Done,
    /// The reader closed before that.
    Closed,
    /// It broke, or this writer was refused.
    Failed(Failure),
}

/// The writing end of a pipe.
pub struct WriterEnd {
    /// Told when the file has changed it.
    pub news: Arc<Notify>,
    met: Option<Box<Met>>,
    last_word: Option<LastWord>,
    outcome: Option<Outcome>,
    /// Why the reader is not there yet.
    pub troubles: Troubles,
    /// A COMMIT failed: a close takes its END back.
    abandoned: bool,
    /// Where readers on this host are met.
    same_host: Option<SameHost>,
}

struct Met {
    window: Window,
    heard: Decoder,
    digest: Option<Digest>,
    /// Frames on their way out.
    out: BytesMut,
    /// They are still sent though the pipe is over: the last one says so.
    parting: bool,
    /// The way to where the two meet on one host.
    leaving: Leaving,
    /// Everything goes through memory from here on.
    outlet: Option<Outlet>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum LastWord {
    End,
    Discard(Reason),
}

impl WriterEnd {
    /// A writer without a reader.
    pub fn new(same_host: Option<SameHost>) -> WriterEnd {
        WriterEnd {
            news: Arc::default(),
            met: None,
            last_word: None,
            outcome: None,
            troubles: Troubles::default(),
            abandoned: false,
            same_host,
        }
    }

    /// Whether a reader has let this writer in.
    pub fn has_met(&self) -> bool {
        self.met.is_some()
    }

    /// How it ended.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// Whether the last word was said.
    pub fn is_finished(&self) -> bool {
        self.last_word.is_some()
    }

    /// Whether the reader has taken all that was written.
    pub fn is_taken(&mut self) -> bool {
        match (&self.outcome, &mut self.met) {
            (Some(outcome), _) => *outcome == Outcome::Done,
            (None, Some(met)) => met.is_taken(),
            (None, None) => true,
        }
    }

    /// Takes bytes in; `None`: there is no reader yet, or no room.
    pub fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let met = self.met.as_mut()?;
        if !met.leaving.is_over() && met.approach() {
            self.news.notify_one();
        }
        if let Some(outlet) = &mut met.outlet {
            let written = outlet.write(bytes, met.window.sent() - met.window.taken());
            if let (Some(digest), Ok(Some(count))) = (&mut met.digest, &written) {
                digest.update(&bytes[..*count]);
            }
            return written.unwrap_or_else(|why| {
                self.over(Outcome::Failed(of_reason(&why)));
                None
            });
        }
        let room = usize::try_from(met.window.room()).unwrap_or(usize::MAX);
        if room < bytes.len().min(ATOMIC) {
            return None;
        }
        let bytes = &bytes[..bytes.len().min(room).min(FRAME_MAX)];
        met.window.send(bytes.len() as u64);
        met.out.put_slice(&Header::data(bytes, false).encode());
        met.out.put_slice(bytes);
        if let Some(digest) = &mut met.digest {
            digest.update(bytes);
        }
        self.news.notify_one();
        Some(bytes.len())
    }

    /// No more bytes follow.
    pub fn end(&mut self) {
        if self.last_word.is_none() {
            self.last_word = Some(LastWord::End);
            // A reader that has closed, but with everything, misses nothing.
            let has_all = self.met.as_mut().is_some_and(|met| met.is_taken());
            if self.outcome == Some(Outcome::Closed) && has_all {
                self.outcome = Some(Outcome::Done);
            }
            self.say_last();
        }
    }

    /// A COMMIT failed. Another may follow; if the file is closed instead, the pipe is discarded.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// The writer failed. Takes back an END that no reader has met.
    pub fn discard(&mut self, why: &str) {
        if matches!(self.last_word, Some(LastWord::Discard(_))) || self.outcome.is_some() {
            return;
        }
        let has_ended = self.last_word.is_some();
        self.last_word = Some(LastWord::Discard(Reason::new(netpipe::code::ECANCELED, why)));
        match &mut self.met {
            None => self.news.notify_one(),
            // Nothing follows an END. That the stream breaks off says the same, where END is not there yet.
            Some(met) if has_ended => met.out.clear(),
            Some(_) => self.say_last(),
        }
        if self.met.is_some() {
            self.over(Outcome::Failed(Failure::new(Code::ECONNRESET, "the pipe was discarded")));
        }
    }

    /// Its file was closed.
    pub fn close(&mut self) {
        match (&self.last_word, self.abandoned) {
            (None, _) if self.met.is_none() => {
                self.over(Outcome::Failed(Failure::new(Code::ECONNRESET, "it was closed")));
            }
            (None, _) => self.discard("it closed without END"),
            (Some(LastWord::End), true) => self.discard("its commit failed"),
            _ => {}
        }
    }

    /// What to leave where its reader will look, if it was discarded before it met one.
    pub fn early_discard(&self) -> Option<Message> {
        match (&self.last_word, &self.met) {
            (Some(LastWord::Discard(reason)), None) => Some(Message::Discard(reason.clone())),
            _ => None,
        }
    }

    /// Whether a reader is still looked for.
    pub fn is_seeking(&self) -> bool {
        self.met.is_none() && self.outcome.is_none()
    }

    /// A reader lets this writer in.
    pub fn meet(&mut self, established: Established) {
        let way = self.same_host.clone().zip(established.meeting).map(|(at, meeting)| Way { at, meeting });
        let leaving = way.map_or(Leaving::Over, Leaving::new);
        let window = Window::new(established.peer.window()).with_features(established.features);
        let digest = Algorithm::of(established.features).map(Digest::new);
        let met = Met {
            window,
            heard: Decoder::new(Sender::Reader),
            digest,
            out: BytesMut::new(),
            parting: false,
            leaving,
            outlet: None,
        };
        self.met = Some(Box::new(met));
        self.say_last();
    }

    /// It ends.
    pub fn over(&mut self, outcome: Outcome) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.news.notify_one();
        }
    }

    /// Takes bytes of the reader's.
    pub fn hear(&mut self, mut bytes: &[u8]) {
        while self.outcome.is_none() {
            let Some(met) = &mut self.met else { return };
            match met.heard.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(message)) => match met.window.hear(&message) {
                    Err(error) => self.broken(&error),
                    Ok(()) => match message {
                        Message::Done => self.over(Outcome::Done),
                        Message::Closed(total) => {
                            let has_ended = self.last_word == Some(LastWord::End);
                            let has_all = has_ended && total == met.window.sent() && met.is_memory_taken();
                            self.over(if has_all { Outcome::Done } else { Outcome::Closed });
                        }
                        _ => {}
                    },
                },
                Err(error) => self.broken(&error),
            }
        }
    }

    /// The stream ended.
    pub fn ended(&mut self, failure: Option<Failure>) {
        let lost = || Failure::new(Code::ECONNRESET, "the reader was lost");
        self.over(Outcome::Failed(failure.unwrap_or_else(lost)));
    }

    /// For its file, before it looks at anything else: what memory tells, where everything goes through that.
    pub fn look(&mut self) {
        let Some(met) = self.met.as_mut().filter(|_| self.outcome.is_none()) else { return };
        let is_stream_taken = met.window.taken() == met.window.sent();
        let Some(outlet) = &mut met.outlet else { return };
        let done = match self.last_word == Some(LastWord::End) && is_stream_taken {
            true => outlet.is_taken(),
            false => Ok(false),
        };
        match done.and_then(|done| Ok((done, outlet.hear()?))) {
            Ok((true, _)) => self.over(Outcome::Done),
            Ok((false, true)) => {}
            Ok((false, false)) => self.ended(None),
            Err(why) => self.over(Outcome::Failed(of_reason(&why))),
        }
    }

    /// For its file, before a wait: a moment's wait for memory, without this end's lock; `None`: others are waited for.
    pub fn moment(&self) -> Option<Moment> {
        let met = self.met.as_ref().filter(|met| met.window.taken() == met.window.sent())?;
        met.outlet.as_ref()?.moment()
    }

    /// Before a longer wait: it is to be woken by what `watch` is given, and answers that it will wake it. Look once more.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        if let Some(outlet) = self.met.as_mut().and_then(|met| met.outlet.as_mut()) {
            outlet.sleep(watch);
        }
    }

    /// What it wants now.
    pub fn wish(&mut self) -> Wish {
        let Some(met) = &mut self.met else { return Wish::End };
        match self.outcome {
            Some(_) if !met.parting || met.out.is_empty() => Wish::End,
            None if met.out.is_empty() => Wish::Wait(None),
            _ => Wish::Send(met.out.split().freeze()),
        }
    }

    fn say_last(&mut self) {
        if let (Some(met), Some(word)) = (&mut self.met, &self.last_word) {
            let words = match word {
                LastWord::End => {
                    met.window.end();
                    let written = met.outlet.as_ref().map_or(0, Outlet::written);
                    let end = Message::End(met.window.sent() + written);
                    met.digest.iter().map(|digest| Message::Digest(digest.value())).chain([end]).collect()
                }
                LastWord::Discard(reason) => {
                    met.parting = true;
                    vec![Message::Discard(reason.clone())]
                }
            };
            match &mut met.outlet {
                Some(outlet) => {
                    if let Err(why) = outlet.say(&words) {
                        self.over(Outcome::Failed(of_reason(&why)));
                    }
                }
                None => words.iter().for_each(|word| met.say(word)),
            }
        }
        self.news.notify_one();
    }

    /// The reader broke a rule, or refused: it hears why, where that is news.
    fn broken(&mut self, error: &netpipe::Error) {
        if let (Some(met), Some(reason)) = (&mut self.met, error.refusal()) {
            met.out.clear();
            met.say(&Message::Refusal(reason));
            met.parting = true;
        }
        self.over(Outcome::Failed(of_protocol(error)));
    }
}

impl Met {
    /// Goes a step towards where the two meet; true: the reader is to be told. What was written before that still goes by the stream.
    fn approach(&mut self) -> bool {
        let (sent, taken) = (self.window.sent(), self.window.taken());
        match self.leaving.go_on(sent, taken, |guest| Outlet::new(guest, sent)) {
            None => false,
            Some((_, Some(outlet))) => {
                self.outlet = Some(outlet);
                false
            }
            Some((step, None)) => {
                self.say(&Message::Meeting(step));
                true
            }
        }
    }

    fn is_taken(&mut self) -> bool {
        self.window.taken() == self.window.sent() && self.is_memory_taken()
    }

    fn is_memory_taken(&mut self) -> bool {
        // A reader that lies is found out by who looks.
        self.outlet.as_mut().is_none_or(|outlet| outlet.is_taken() == Ok(true))
    }

    fn say(&mut self, message: &Message) {
        self.out.put_slice(&message.to_bytes());
    }
}
