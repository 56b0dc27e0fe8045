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
        let is_pausing = answer.bytes == 0 && (came.bytes == 0 || !paused.is_zero());
        if is_pausing {
            paused = paused.saturating_add(came.waited);
        }
        answer.add(came);
        self.note_silence(came);
        // One that pauses is judged a moment after it went on: until then nobody knows what it brings in how long.
        let went_on = answer.time.saturating_sub(paused) >= self.moment;
        let never_does = answer.bytes == 0 && answer.time >= MOMENT_MAX;
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
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const FAR: u64 = 1 << 40;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What comes in 10 ms at a rate, to a reader that waits for all of it.
    fn tick(mib_a_second: u64) -> Came {
        Came { bytes: mib_a_second * MIB / 100, time: ms(10), waited: ms(10) }
    }

    fn silence() -> Came {
        Came { bytes: 0, time: ms(50), waited: ms(50) }
    }

    fn came_beside(bytes: u64, time: u64) -> Beside {
        Beside { bytes, time: ms(time), is_reached: false, is_over: false, has_failed: false }
    }

    /// Reads one answer until something else is advised. Returns after how many ticks, and what.
    fn read_alone(tuner: &mut Tuner, came: Came, left: u64, ticks: usize) -> Option<(usize, Advice)> {
        (1..=ticks).find_map(|at| match tuner.alone(came, left) {
            Advice::GoOn => None,
            advice => Some((at, advice)),
        })
    }

    /// The same beside a second range, which brings so much a tick.
    fn read_beside(tuner: &mut Tuner, came: Came, second: u64, ticks: u64) -> Option<Advice> {
        (1..=ticks).find_map(|at| match tuner.beside(came, came_beside(second * at, 10 * at)) {
            Advice::GoOn => None,
            advice => Some(advice),
        })
    }

    #[test]
    fn a_second_range_that_adds_is_kept_and_one_that_shares_is_given_up() {
        // The server gives each answer 16 MiB/s: both bring that.
        let mut tuner = Tuner::new(ms(1));
        let (at, advice) = read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
        assert_eq!(at, 20, "after two moments");
        let Advice::Try(distance) = advice else { panic!("{advice:?}") };
        assert!(distance.abs_diff(16 * MIB / 5) < 1000, "{distance}");
        assert_eq!(read_beside(&mut tuner, tick(16), 16 * MIB / 100, 100), Some(Advice::Widen));
        // The line has 16 MiB/s: each brings half.
        let mut tuner = Tuner::new(ms(1));
        read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
        assert_eq!(read_beside(&mut tuner, tick(8), 8 * MIB / 100, 100), Some(Advice::GiveUp));
        // A fifth more is the bound.
        for (gain, advice) in [(18, Advice::GiveUp), (20, Advice::Widen)] {
            let mut tuner = Tuner::new(ms(1));
            read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
            assert_eq!(
                read_beside(&mut tuner, tick(gain / 2), gain / 2 * MIB / 100, 100),
                Some(advice),
                "{gain}"
            );
        }
    }

    #[test]
    fn nothing_is_tried_where_the_reader_is_the_slower_one() {
        let mut tuner = Tuner::new(ms(1));
        let slow_reader = Came { waited: ms(4), ..tick(16) };
        assert_eq!(read_alone(&mut tuner, slow_reader, FAR, 10_000), None);
    }

    #[test]
    fn nothing_is_tried_for_what_will_be_there_before_it_pays() {
        let mut tuner = Tuner::new(ms(1));
        assert_eq!(read_alone(&mut tuner, tick(100), 49 * MIB, 1000), None, "half a second's worth");
        assert!(read_alone(&mut tuner, tick(100), 51 * MIB, 1).is_some());
        // A longer round trip makes an attempt longer.
        let mut tuner = Tuner::new(ms(100));
        assert_eq!(read_alone(&mut tuner, tick(100), 99 * MIB, 1000), None);
        assert!(read_alone(&mut tuner, tick(100), 101 * MIB, 1).is_some());
    }

    /// nginx gives a limited answer the first second's bytes at once, and then nothing for a second.
    #[test]
    fn an_answer_that_brings_nothing_any_more_is_helped_at_once() {
        let mut tuner = Tuner::new(ms(1));
        let burst = Came { bytes: 16 * MIB, time: ms(20), waited: ms(5) };
        assert_eq!(tuner.alone(burst, 32 * MIB), Advice::GoOn);
        assert_eq!(tuner.patience(), Some(ms(50)));
        assert_eq!(tuner.alone(silence(), 32 * MIB), Advice::GoOn);
        assert_eq!(tuner.alone(silence(), 32 * MIB), Advice::Try(0));
        // The second one gets its first second's bytes as well, more than there is room for.
        let full = Beside { is_over: true, ..came_beside(16 * MIB, 30) };
        assert_eq!(tuner.beside(silence(), full), Advice::Widen);
        // What the answer brought at first is not what the others are held against.
        let after: Vec<Advice> = (0..200).map(|_| tuner.several(tick(64))).collect();
        assert!(after.iter().all(|advice| *advice == Advice::GoOn));
    }

    /// As nginx sends 4 MiB a second: 2 MiB at once each half second. Compared in a moment without a burst, or in one with two, a second range
    /// seemed to bring nothing.
    #[test]
    fn what_comes_in_bursts_is_judged_by_whole_ones() {
        for (burst, second, advice) in [(2, 2, Advice::Widen), (1, 1, Advice::GiveUp)] {
            let mut tuner = Tuner::new(ms(1));
            let at_once = |mib| Came { bytes: mib * MIB, time: ms(2), waited: ms(1) };
            assert_eq!(tuner.alone(at_once(2), 46 * MIB), Advice::GoOn);
            assert_eq!(tuner.alone(silence(), 46 * MIB), Advice::GoOn);
            assert_eq!(tuner.alone(silence(), 46 * MIB), Advice::Try(0));
            // The line's, if both share it: each has a half of what one had.
            let beside = |time| came_beside(second * MIB, time);
            assert!((1..=7).all(|at| tuner.beside(silence(), beside(50 * at)) == Advice::GoOn));
            assert_eq!(tuner.beside(at_once(burst), beside(352)), Advice::GoOn);
            assert_eq!(tuner.beside(silence(), beside(402)), Advice::GoOn);
            assert_eq!(tuner.beside(silence(), beside(452)), advice, "{burst} MiB");
            // What was tried for long is tried again after twenty times as long.
            let rest = (Duration::ZERO, 20 * (7 * ms(50) + ms(2) + 2 * ms(50)));
            assert_eq!(tuner.rest, if advice == Advice::Widen { rest.0 } else { rest.1 });
        }
    }

    #[test]
    fn several_that_come_in_bursts_are_not_judged_between_them() {
        let mut tuner = Tuner::new(ms(1));
        let burst = Came { bytes: MIB, time: ms(2), waited: ms(1) };
        assert_eq!(tuner.alone(burst, FAR), Advice::GoOn);
        assert_eq!(tuner.alone(silence(), FAR), Advice::GoOn);
        assert_eq!(tuner.alone(silence(), FAR), Advice::Try(0));
        let full = Beside { is_over: true, ..came_beside(MIB, 2) };
        assert!((0..17).all(|_| tuner.beside(silence(), came_beside(MIB, 2)) == Advice::GoOn));
        assert_eq!(tuner.beside(burst, full), Advice::Widen);
        // A second without a byte, and then as much as each has for it.
        let all = Came { bytes: 4 * MIB, ..burst };
        for _ in 0..10 {
            assert!((0..20).all(|_| tuner.several(silence()) == Advice::GoOn));
            assert_eq!(tuner.several(all), Advice::GoOn);
        }
    }

    /// Else the burst would promise that the rest is there in no time.
    #[test]
    fn what_is_left_takes_as_long_as_what_came_lately() {
        let mut tuner = Tuner::new(ms(1));
        let burst = Came { bytes: 16 * MIB, time: ms(20), waited: ms(15) };
        assert_eq!(tuner.alone(burst, 32 * MIB), Advice::GoOn);
        let (at, advice) = read_alone(&mut tuner, tick(16), 24 * MIB, 100).unwrap();
        assert!(at <= 50, "{at}");
        assert!(matches!(advice, Advice::Try(_)), "{advice:?}");
    }

    #[test]
    fn a_short_silence_on_a_full_line_is_found_out() {
        let mut tuner = Tuner::new(ms(1));
        for _ in 0..90 {
            assert_eq!(tuner.alone(tick(50), 15 * MIB), Advice::GoOn);
        }
        assert_eq!(tuner.alone(silence(), 15 * MIB), Advice::GoOn);
        assert!(matches!(tuner.alone(silence(), 15 * MIB), Advice::Try(0)));
        assert_eq!(read_beside(&mut tuner, tick(25), 25 * MIB / 100, 100), Some(Advice::GiveUp));
    }

    #[test]
    fn attempts_in_vain_become_rare() {
        let mut tuner = Tuner::new(ms(1));
        let mut pauses = Vec::new();
        for _ in 0..4 {
            pauses.push(read_alone(&mut tuner, tick(16), FAR, 1_000_000).unwrap().0);
            assert_eq!(read_beside(&mut tuner, tick(8), 8 * MIB / 100, 100), Some(Advice::GiveUp));
            assert_eq!(tuner.patience(), None);
        }
        assert_eq!(pauses, [20, 200, 400, 800]);
    }

    #[test]
    fn a_second_range_that_never_comes_is_given_up() {
        let mut tuner = Tuner::new(ms(1));
        read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
        let at = (1..100).find(|_| tuner.beside(tick(16), came_beside(0, 0)) == Advice::GiveUp);
        assert_eq!(at, Some(40), "four moments");
        read_alone(&mut tuner, tick(16), FAR, 1000).unwrap();
        let refused = Beside { has_failed: true, ..came_beside(MIB, 1) };
        assert_eq!(tuner.beside(tick(16), refused), Advice::GiveUp);
    }

    #[test]
    fn several_that_are_slower_than_one_was_are_given_up() {
        let mut tuner = Tuner::new(ms(1));
        read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
        assert_eq!(read_beside(&mut tuner, tick(16), 16 * MIB / 100, 100), Some(Advice::Widen));
        assert!((0..99).all(|_| tuner.several(tick(15)) == Advice::GoOn), "not before a second is over");
        assert_eq!(tuner.several(tick(15)), Advice::Narrow);
        // A reader that takes its time is not theirs.
        read_alone(&mut tuner, tick(16), FAR, 1000).unwrap();
        assert_eq!(read_beside(&mut tuner, tick(16), 16 * MIB / 100, 100), Some(Advice::Widen));
        let slow_reader = Came { waited: ms(1), ..tick(2) };
        assert!((0..1000).all(|_| tuner.several(slow_reader) == Advice::GoOn));
    }

    /// At a slow server the second range begins many seconds behind: until then the answer alone was held against itself.
    #[test]
    fn what_is_left_of_the_answer_says_nothing_of_several() {
        let mut tuner = Tuner::new(ms(1));
        read_alone(&mut tuner, tick(16), FAR, 100).unwrap();
        assert_eq!(read_beside(&mut tuner, tick(16), 16 * MIB / 100, 100), Some(Advice::Widen));
        let fetched = came_beside(16 * MIB, 1000);
        assert!((0..1000).all(|_| tuner.told(tick(8), FAR, Some(fetched)) == Advice::GoOn));
        let reached = Beside { is_reached: true, ..fetched };
        assert!((0..99).all(|_| tuner.told(tick(8), FAR, Some(reached)) == Advice::GoOn));
        assert_eq!(tuner.told(tick(8), FAR, Some(reached)), Advice::Narrow);
    }
}
