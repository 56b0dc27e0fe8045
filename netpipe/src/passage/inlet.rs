//! The reader's end of the memory through which the rest of a pipe comes, and its way there.

use super::outlet::{End, Moment, Waits, broke, rang};
use crate::error::{Error, Reason, Result, code};
use crate::frame::{HEADER, Kind};
use crate::pipe::{Incoming, Next};
use crate::same_host::{Arriving, Bell, Consumer, Heard, Ring, Way};
use parking_lot::Mutex;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use vfs_core::Spin;

/// A control frame is taken in such pieces at most; most are smaller.
const PIECE: usize = 64;

/// How far a reader has come to the memory of one of its writers.
#[derive(Debug, Default)]
pub struct Arrival {
    stage: Stage,
    watched: bool,
}

#[derive(Debug, Default)]
enum Stage {
    /// It goes nowhere.
    #[default]
    Never,
    /// The writer may wait for it some time.
    May(Way),
    /// It is there, and the writer has not shown its memory yet.
    Comes(Box<(Way, Arriving)>),
    /// The two have met; so many bytes of payload come through the network before.
    Met(Box<Consumer>, OwnedFd, u64),
    /// Everything comes this way.
    Through(Box<Inlet>),
}

impl Arrival {
    /// Begins where the two may meet.
    pub fn new(way: Option<Way>) -> Arrival {
        Arrival { stage: way.map_or(Stage::Never, Stage::May), watched: false }
    }

    /// The writer says that it waits: goes there, once, however often it says so. Where it cannot, the network carries everything.
    pub fn go(&mut self) {
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::May(way) => match Arriving::new(&way) {
                Some(arriving) => Stage::Comes(Box::new((way, arriving))),
                None => Stage::Never,
            },
            stage => stage,
        };
    }

    /// Whether the writer may have left the network.
    pub fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Never | Stage::May(_))
    }

    /// The payload bytes that come through the network, once that is known.
    pub fn from(&self) -> Option<u64> {
        match &self.stage {
            Stage::Met(_, _, from) => Some(*from),
            Stage::Through(inlet) => Some(inlet.from),
            _ => None,
        }
    }

    /// The memory, if all that is to come comes through it.
    pub fn inlet(&mut self) -> Option<&mut Inlet> {
        match &mut self.stage {
            Stage::Through(inlet) => Some(inlet),
            _ => None,
        }
    }

    /// Whether that is so.
    pub fn is_through(&self) -> bool {
        matches!(self.stage, Stage::Through(_))
    }

    /// Whether a frame was begun: its rest comes before anything of other writers.
    pub fn is_within_frame(&self) -> bool {
        match &self.stage {
            Stage::Through(inlet) => inlet.is_within_frame(),
            _ => false,
        }
    }

    /// Looks whether the writer has shown its memory, and goes on there once so many bytes of payload were `taken` that nothing more comes
    /// through the network. `incoming` gives who follows the writer's frames from there.
    ///
    /// # Errors
    /// ECONNRESET: what it shows is no memory of a ring, or takes back what it has sent.
    pub fn go_on(
        &mut self,
        received: u64,
        taken: u64,
        incoming: impl FnOnce() -> Incoming,
    ) -> Result<(), Reason> {
        if let Stage::Comes(_) = &self.stage {
            self.look()?;
        }
        match self.from() {
            Some(from) if from < received => {
                return Err(broke(Error::protocol(format!("{received} bytes came of {from}"))));
            }
            Some(from) if from == taken => {}
            _ => return Ok(()),
        }
        self.stage = match std::mem::take(&mut self.stage) {
            Stage::Met(ring, socket, from) => {
                Stage::Through(Box::new(Inlet::new(*ring, socket, from, incoming())))
            }
            stage => stage,
        };
        Ok(())
    }

    fn look(&mut self) -> Result<(), Reason> {
        let Stage::Comes(comes) = std::mem::take(&mut self.stage) else { return Ok(()) };
        let (way, mut arriving) = *comes;
        match arriving.look(&way) {
            Ok(None) => self.stage = Stage::Comes(Box::new((way, arriving))),
            Ok(Some(theirs)) => match arriving.join(theirs) {
                Ok((Ring::Consumer(ring), socket)) => {
                    let from = ring.begins_at();
                    self.stage = Stage::Met(Box::new(ring), socket, from);
                }
                _ => return Err(broke(Error::protocol("it shows no memory of a ring"))),
            },
            // Whoever shows nothing, or something else, has not met this side; a writer that thinks so finds this side gone.
            Err(_) => {}
        }
        Ok(())
    }

    /// A moment's wait for bytes, without the pipe's lock; `None`: others are waited for.
    pub fn moment(&self) -> Option<Moment> {
        match &self.stage {
            Stage::Through(inlet) => Some(Moment(Waits::Reader(inlet.end.clone()))),
            _ => None,
        }
    }

    /// Says that this side waits: it is to be rung. Look once more. `watch` is given the socket where the two meet, until it says
    /// that this will wake this side.
    pub fn sleep(&mut self, watch: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        let socket = match &mut self.stage {
            Stage::Never | Stage::May(_) => return,
            Stage::Comes(comes) => comes.1.socket(),
            Stage::Met(_, socket, _) => OwnedFd::as_fd(socket),
            Stage::Through(inlet) => {
                inlet.end.lock().ring.sleep();
                inlet.expects = true;
                inlet.bell.as_fd()
            }
        };
        self.watched = self.watched || watch(socket);
    }

    /// Sees to it that a writer that nobody reads any more wakes nobody. The socket stays, as long as its writer does: where it ends, the
    /// other end is gone.
    pub fn hush(&mut self) {
        let Stage::Through(inlet) = &mut self.stage else {
            self.stage = Stage::Never;
            return;
        };
        let mut end = inlet.end.lock();
        while let Ok(Heard::Ring) = inlet.bell.hear(|| end.ring.rang()) {}
        let is_over = !matches!(inlet.bell.hear(|| end.ring.rang()), Ok(Heard::Silence));
        drop(end);
        if is_over {
            self.stage = Stage::Never;
        }
    }
}

/// What is there of a writer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Payload.
    Ready,
    /// Nothing yet.
    Nothing,
    /// Nothing any more: the pipe has ended well.
    End,
    /// The pipe is broken.
    Broken(Reason),
}

/// A writer's memory.
pub struct Inlet {
    end: Arc<Mutex<End<Consumer>>>,
    bell: Bell,
    incoming: Incoming,
    from: u64,
    /// It waits: what comes by the bell is to be heard.
    expects: bool,
    /// The writer is gone.
    lost: bool,
    broken: Option<Reason>,
}

impl Inlet {
    /// Begins with a ring, the socket where the two met, the payload bytes that went before, and who follows the frames.
    pub fn new(ring: Consumer, socket: OwnedFd, from: u64, incoming: Incoming) -> Inlet {
        Inlet {
            end: Arc::new(Mutex::new(End { ring, spin: Spin::default() })),
            bell: Bell::new(socket),
            incoming,
            from,
            expects: false,
            lost: false,
            broken: None,
        }
    }

    fn is_within_frame(&self) -> bool {
        matches!(self.incoming.next(), Ok(Next::Payload(_)))
    }

    /// Looks what is there, as far as that needs no payload. `is_lost`: the writer is, as far as others know.
    pub fn look(&mut self, is_lost: bool) -> Look {
        loop {
            match self.step() {
                Err(why) => return self.breaks(why),
                Ok(Some(Look::Nothing)) => {}
                Ok(Some(look)) => return look,
                Ok(None) => continue,
            }
            match self.hear() {
                Err(why) => return self.breaks(why),
                Ok(()) if !self.lost && !is_lost => return Look::Nothing,
                Ok(()) => {}
            }
            // What was there when the writer went still counts.
            if self.end.lock().ring.there() == Ok(0) {
                let why = Reason::new(code::ECONNRESET, "the writer was lost before the pipe's end");
                return self.breaks(why);
            }
        }
    }

    fn breaks(&mut self, why: Reason) -> Look {
        Look::Broken(self.broken.get_or_insert(why).clone())
    }

    /// Goes over a control frame, or a part of it (`None`), or says what is there.
    fn step(&mut self) -> Result<Option<Look>, Reason> {
        if let Some(why) = &self.broken {
            return Err(why.clone());
        }
        let want = match self.incoming.next() {
            Ok(Next::Control(want)) => Some(want),
            Ok(Next::Payload(_)) => None,
            Ok(Next::End) => return Ok(Some(Look::End)),
            Ok(Next::Meeting(_)) => {
                return Err(Reason::new(code::EPROTO, "a step to a meeting after the two have met"));
            }
            Err(error) => return Err(Reason::new(error.code(), &error.to_string())),
        };
        let first = self.end.lock().ring.first().map_err(broke)?;
        Ok(match (first, want) {
            (None, _) => Some(Look::Nothing),
            (Some(_), None) => Some(Look::Ready),
            // Left where it is: a frame that was begun comes before other writers'.
            (Some(first), Some(HEADER)) if first == Kind::Data as u8 => Some(Look::Ready),
            (Some(_), Some(want)) => {
                self.control(want)?;
                None
            }
        })
    }

    /// Takes a part of a header or of a control frame; false: nothing is there.
    fn control(&mut self, want: usize) -> Result<bool, Reason> {
        let mut bytes = [0; PIECE];
        let count = self.end.lock().ring.take([&mut bytes[..want.min(PIECE)], &mut []]).map_err(broke)?;
        // The ring bounds what is on its way.
        self.incoming.reported(self.incoming.received());
        // What it means is asked of `next`.
        let _ = self.incoming.control(&mut &bytes[..count]);
        Ok(count > 0)
    }

    /// Reads what is there. What ended that, [`look`](Inlet::look) says.
    pub fn read(&mut self, buf: &mut [u8]) -> usize {
        let mut done = 0;
        while done < buf.len() && self.broken.is_none() {
            let moved = match self.incoming.next() {
                Ok(Next::Payload(left)) => {
                    let part = done..buf.len().min(done + left);
                    let taken = self.end.lock().ring.take([&mut buf[part], &mut []]).map_err(broke);
                    taken.map(|count| {
                        self.incoming.payload(&buf[done..done + count]);
                        done += count;
                        count > 0
                    })
                }
                Ok(Next::Control(want)) => self.control(want),
                _ => break,
            };
            match moved {
                Ok(true) => self.expects = false,
                Ok(false) => break,
                Err(why) => self.broken = Some(why),
            }
        }
        if self.end.lock().ring.wake() {
            self.bell.ring();
        }
        done
    }

    /// Hears whether the writer is still there, where this side waits for it.
    fn hear(&mut self) -> Result<(), Reason> {
        if self.expects && !self.lost {
            let mut end = self.end.lock();
            self.lost = self.bell.hear(|| end.ring.rang()).map_err(|_| rang())? == Heard::End;
        }
        Ok(())
    }
}

impl fmt::Debug for Inlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inlet({} bytes received)", self.incoming.received())
    }
}
