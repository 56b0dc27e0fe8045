//! Whether it pays to read ahead: judged by what came in which time, without a clock and without a socket of its own.
//!
//! One answer is read as long as it fills the line, or its reader is the slower one. Where the reader mostly waits, a second range is
//! fetched beside the answer for a moment. If both together are clearly faster than the answer was alone, several ranges are
//! read ahead from then on; else the second one is given up, and the next attempt is put off, longer each time. What an attempt may
//! cost is bounded by what is left to read.
//!
//! Servers that limit an answer send it in bursts: what a second is to bring at once, and then nothing for that second. Such an answer is
//! judged by whole bursts with the pauses before them.

use std::time::Duration;

/// The shortest time that a rate is measured in.
const MOMENT: Duration = Duration::from_millis(100);
/// The longest, on a line with the longest round trip.
const MOMENT_MAX: Duration = Duration::from_secs(2);
/// A rate is that of about so long: what was before counts half.
const HORIZON: Duration = Duration::from_secs(2);
/// A second range may cost half of what an attempt takes. So what is left has to take so many times as long.
const LEAST_LEFT: u32 = 5;
/// Several are judged each time they were read for so many moments.
const TERM: u32 = 10;
/// After an attempt in vain one answer is read for so many times as long as that took; doubled each time.
const REST: u32 = 20;
const REST_MAX: Duration = Duration::from_secs(300);
/// Several are judged over so many of the pauses that one answer made, so that none of them is taken for the whole.
const PAUSES: u32 = 4;
/// An attempt that brings nothing at all is given up after so many moments.
const PATIENCE: u32 = 4;
/// Bytes that came at once came in this time.
const SHORTEST: Duration = Duration::from_millis(1);
/// What comes in a pause goes on with the answer if it is no less than this part of what came lately.
const BURST: u64 = 4;
/// Both together have to be so much faster than one alone.
const GAIN: f64 = 1.2;

/// Bytes, in which time, and how much of that was spent waiting for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Came {
    pub bytes: u64,
    pub time: Duration,
    pub waited: Duration,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing else than before.
    GoOn,
    /// Fetch a second range beside the answer, from so many bytes behind what is read.
    Try(u64),
    /// The second range is given up.
    GiveUp,
    /// Read several ahead: it pays.
    Widen,
    /// Read one answer again: it no longer does.
    Narrow,
}

/// What is fetched beside an answer that is read, or in its place.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// What has come of it in all.
    pub bytes: u64,
    /// From its first byte to its last.
    pub time: Duration,
    /// It is what is read now: the answer came to where it begins.
    pub is_reached: bool,
    /// No more of it can come, or none of the answer is wanted.
    pub is_over: bool,
    /// It cannot be had.
    pub has_failed: bool,
}

/// Judges one file that is read from start to end.
#[derive(Debug)]
pub struct Tuner {
    moment: Duration,
    /// Nothing is judged by an answer's first moment: servers that limit it give the first bytes at once.
    has_begun: bool,
    /// What one answer alone brings.
    alone: Came,
    /// The same, of the last moment or two.
    lately: Came,
    /// How long it has brought nothing.
    silent: Duration,
    /// The longest that it brought nothing before it went on: a server that limits it may send a second's bytes at once, and then none.
    pause: Duration,
    phase: Phase,
    /// How long one answer is read before the next attempt.
    rest: Duration,
    rested: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// One answer is read.
    Alone,
    /// A second range is fetched, of which nothing has come yet for so long.
    Asked(Duration),
    /// Something of it has come, and this of the answer since, which first went on pausing for so long.
    Both(Came, Duration),
    /// Several are read ahead. They are to be as fast as this, in bytes a second.
    Several { came: Came, least: f64 },
}

impl Came {
    fn add(&mut self, other: Came) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.time = self.time.saturating_add(other.time);
        self.waited = self.waited.saturating_add(other.waited);
    }

    /// Forgets half of what there is once it is of twice this time.
    fn fade(&mut self, horizon: Duration) {
        if self.time > 2 * horizon {
            *self = Came { bytes: self.bytes / 2, time: self.time / 2, waited: self.waited / 2 };
        }
    }

    /// Bytes a second.
    fn rate(&self) -> f64 {
        match self.time.as_secs_f64() {
            0.0 => 0.0,
            seconds => self.bytes as f64 / seconds,
        }
    }

    /// Whether the reader was faster than what it read.
    fn is_waited_for(&self) -> bool {
        self.waited * 2 >= self.time
    }
}

impl Tuner {
    /// Begins with one answer, whose head came so long after it was asked for.
    pub fn new(round_trip: Duration) -> Tuner {
        Tuner {
            moment: (2 * round_trip).clamp(MOMENT, MOMENT_MAX),
            has_begun: false,
            alone: Came::default(),
            lately: Came::default(),
            silent: Duration::ZERO,
            pause: Duration::ZERO,
            phase: Phase::Alone,
            rest: Duration::ZERO,
            rested: Duration::ZERO,
        }
    }

    /// How long a wait may last before it is told of here, as long as something may come of it.
    pub fn patience(&self) -> Option<Duration> {
        match self.phase {
            Phase::Alone if self.rested < self.rest => None,
            Phase::Several { .. } => None,
            _ => Some(self.moment / 2),
        }
    }

    /// Tells of what came; `left`: bytes to come. To be called after each read, and within a wait after each
    /// [`patience`](Tuner::patience).
    pub fn told(&mut self, came: Came, left: u64, beside: Option<Beside>) -> Advice {
        match (self.phase, beside) {
            (Phase::Alone, _) => self.alone(came, left),
            // The rest of the answer says nothing of them.
            (Phase::Several { .. }, Some(Beside { is_reached: false, .. })) => Advice::GoOn,
            (Phase::Several { .. }, _) => self.several(came),
            (_, Some(beside)) => self.beside(came, beside),
            // It could not be begun.
            (_, None) => self.rest_from(Advice::GiveUp),
        }
    }

    /// What came of the answer.
    fn alone(&mut self, came: Came, left: u64) -> Advice {
        self.alone.add(came);
        self.alone.fade(HORIZON);
        self.lately.add(came);
        self.lately.fade(self.moment);
        self.rested = self.rested.saturating_add(came.time);
        self.note_silence(came);
        if self.rested < self.rest || self.alone.time < self.moment || !self.lately.is_waited_for() {
            return Advice::GoOn;
        }
        // Where nothing comes at all, a second range takes nothing away.
        let is_silent = self.silent >= self.moment;
        if !self.has_begun && !is_silent {
            self.has_begun = true;
            (self.alone, self.lately) = (Came::default(), Came::default());
            return Advice::GoOn;
        }
        // By what came lately: the first bytes may have come sooner than the others will.
        let time_left = left as f64 / self.lately.rate().max(1.0);
        if !is_silent && time_left < (LEAST_LEFT * self.moment).as_secs_f64() {
            return Advice::GoOn;
        }
        self.phase = Phase::Asked(Duration::ZERO);
        let in_two_moments =
            if is_silent { 0.0 } else { self.lately.rate() * 2.0 * self.moment.as_secs_f64() };
        Advice::Try(in_two_moments as u64)
    }

    /// The same during an attempt.
    fn beside(&mut self, came: Came, second: Beside) -> Advice {
        if second.has_failed {
            return self.rest_from(Advice::GiveUp);
        }
        let (mut answer, mut paused) = match self.phase {
            Phase::Both(answer, paused) => (answer, paused),
            Phase::Asked(since) if second.bytes == 0 => {
                let since = since.saturating_add(came.time);
                if second.is_over || since >= PATIENCE * self.moment {
                    return self.rest_from(Advice::GiveUp);
                }
                self.phase = Phase::Asked(since);
                return Advice::GoOn;
            }
            _ => Default::default(),
        };
        // A server's kernel may keep the end of a burst for 0.2 s (TCP_CORK): that is no other burst.
        let has_gone_on = |bytes: u64| bytes > 0 && bytes >= self.lately.bytes / BURST;
        let is_in_pause = came.bytes == 0 || !self.silent.is_zero() && !paused.is_zero();
        if is_in_pause && !has_gone_on(answer.bytes) {
            paused = paused.saturating_add(came.waited);
        }
        answer.add(came);
        // One that pauses is judged a moment after it went on: until then nobody knows what it brings in how long.
        let went_on = answer.time.saturating_sub(paused) >= self.moment;
        let never_does = !has_gone_on(answer.bytes) && answer.time >= MOMENT_MAX;
        self.note_silence(came);
        self.phase = Phase::Both(answer, paused);
        if !went_on && !never_does && !second.is_over {
            return Advice::GoOn;
        }
        // It would have paused alone, too.
        let alone = Came { time: self.alone.time.saturating_add(paused), ..self.alone }.rate();
        // One that has no more room has not been fetched all the time.
        let time = if second.is_over { second.time.max(SHORTEST) } else { answer.time };
        let together = answer.rate() + Came { bytes: second.bytes, time, ..came }.rate();
        if together < GAIN * alone {
            return self.rest_from(Advice::GiveUp);
        }
        // Several must not be slower than the answer alone. What came of it at first may have been more than comes of it in the
        // long run, and beside another one it gets a half at least.
        let least = alone.min(2.0 * answer.rate());
        self.phase = Phase::Several { came: Came::default(), least };
        Advice::Widen
    }

    /// What came of several.
    fn several(&mut self, came: Came) -> Advice {
        let Phase::Several { came: all, least } = &mut self.phase else { return Advice::GoOn };
        all.add(came);
        if all.time < (TERM * self.moment).max(PAUSES * self.pause) {
            return Advice::GoOn;
        }
        let is_slow = all.is_waited_for() && all.rate() < *least;
        *all = Came::default();
        if is_slow { self.rest_from(Advice::Narrow) } else { Advice::GoOn }
    }

    /// Notes whether the answer is silent, and for how long it was.
    fn note_silence(&mut self, came: Came) {
        if came.bytes == 0 {
            self.silent = self.silent.saturating_add(came.waited);
        } else {
            self.pause = self.pause.max(self.silent.saturating_add(came.waited)).min(MOMENT_MAX);
            self.silent = Duration::ZERO;
        }
    }

    /// Reads one answer again, for longer than before.
    fn rest_from(&mut self, advice: Advice) -> Advice {
        let tried = match self.phase {
            Phase::Asked(time) | Phase::Both(Came { time, .. }, _) => time,
            _ => Duration::ZERO,
        };
        self.rest = (self.rest * 2).max(REST * self.moment.max(tried)).min(REST_MAX);
        self.rested = Duration::ZERO;
        self.phase = Phase::Alone;
        (self.alone, self.lately, self.silent) = (Came::default(), Came::default(), Duration::ZERO);
        advice
    }
}

#[cfg(test)]
mod tests;
