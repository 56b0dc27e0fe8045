//! The guest's clocks: a virtual one, the same in every run, or the host's.

use super::errno::Errno;
use std::time::{Duration, Instant, SystemTime};

/// How far a reading moves the virtual clock, in nanoseconds; also its resolution.
const TICK: u64 = 1_000;

/// Which of the four clocks: WASI's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockId {
    /// Since 1970.
    Realtime = 0,
    /// Since the session began.
    Monotonic = 1,
    /// CPU time; a session is one thread, so that these two are the same.
    Process = 2,
    /// CPU time of the thread.
    Thread = 3,
}

impl ClockId {
    /// Reads a guest's number.
    ///
    /// # Errors
    /// INVAL: there is no such clock.
    pub(super) fn new(raw: u32) -> Result<ClockId, Errno> {
        match raw {
            0 => Ok(ClockId::Realtime),
            1 => Ok(ClockId::Monotonic),
            2 => Ok(ClockId::Process),
            3 => Ok(ClockId::Thread),
            _ => Err(Errno::INVAL),
        }
    }
}

/// The session's clock.
#[derive(Debug)]
pub(super) enum Clock {
    /// Starts at 0 and moves by its readings and by sleeps only, all four clocks alike but for the time of day's epoch.
    Virtual {
        /// Nanoseconds.
        now: u64,
        /// What the time of day is at 0, in nanoseconds since 1970.
        epoch: u64,
    },
    /// The host's.
    Real {
        /// When the session began.
        start: Instant,
    },
}

impl Clock {
    /// A clock for a deterministic session, whose time of day begins at `epoch`, in seconds since 1970; or the host's.
    pub(super) fn new(deterministic: bool, epoch: u64) -> Clock {
        let epoch = epoch.saturating_mul(1_000_000_000);
        if deterministic { Clock::Virtual { now: 0, epoch } } else { Clock::Real { start: Instant::now() } }
    }

    /// Reads one clock, in nanoseconds.
    pub(super) fn now(&mut self, id: ClockId) -> u64 {
        if let Clock::Virtual { now, .. } = self {
            *now = now.saturating_add(TICK);
        }
        self.look(id)
    }

    /// The time without a reading's effect on it.
    fn look(&self, id: ClockId) -> u64 {
        match (self, id) {
            (Clock::Virtual { now, epoch }, ClockId::Realtime) => now.saturating_add(*epoch),
            (Clock::Virtual { now, .. }, _) => *now,
            (Clock::Real { .. }, ClockId::Realtime) => {
                nanoseconds(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
            }
            (Clock::Real { start }, ClockId::Monotonic) => nanoseconds(start.elapsed()),
            (Clock::Real { .. }, ClockId::Process | ClockId::Thread) => thread_time(),
        }
    }

    /// Whether a time of day may be one of the virtual clock's readings, also one that a file has from it.
    pub(super) fn may_have_said(&self, time: u64) -> bool {
        match self {
            Clock::Virtual { epoch, .. } => (*epoch..=self.look(ClockId::Realtime)).contains(&time),
            Clock::Real { .. } => false,
        }
    }

    /// A clock's resolution, in nanoseconds.
    pub(super) fn resolution(&self) -> u64 {
        match self {
            Clock::Virtual { .. } => TICK,
            Clock::Real { .. } => 1,
        }
    }

    /// The time from now to a moment of one clock. Doesn't count as a reading.
    pub(super) fn until(&self, id: ClockId, moment: u64) -> Duration {
        Duration::from_nanos(moment.saturating_sub(self.look(id)))
    }

    /// Lets virtual time pass. Returns what must pass in the host's.
    pub(super) fn sleep(&mut self, time: Duration) -> Duration {
        match self {
            Clock::Virtual { now, .. } => {
                *now = now.saturating_add(nanoseconds(time));
                Duration::ZERO
            }
            Clock::Real { .. } => time,
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of this thread: that of the process would tell of its other sessions.
fn thread_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_moves_virtual_time_by_a_microsecond_and_a_sleep_by_its_length() {
        let mut clock = Clock::new(true, 0);
        assert_eq!(clock.now(ClockId::Realtime), 1_000);
        assert_eq!(clock.now(ClockId::Thread), 2_000);
        assert_eq!(clock.sleep(Duration::from_nanos(500)), Duration::ZERO);
        assert_eq!(clock.now(ClockId::Monotonic), 3_500);
        assert_eq!(clock.until(ClockId::Monotonic, 4_000), Duration::from_nanos(500));
        assert_eq!(clock.until(ClockId::Monotonic, 3_000), Duration::ZERO);
    }

    #[test]
    fn the_virtual_time_of_day_begins_where_the_manifest_says() {
        let mut clock = Clock::new(true, 1_000);
        assert_eq!(clock.now(ClockId::Realtime), 1_000_000_001_000);
        assert_eq!(clock.now(ClockId::Monotonic), 2_000);
    }

    #[test]
    fn virtual_time_has_an_end_and_stays_there() {
        let mut clock = Clock::new(true, 0);
        clock.sleep(Duration::MAX);
        assert_eq!(clock.now(ClockId::Realtime), u64::MAX);
    }

    #[test]
    fn the_real_clock_is_the_hosts() {
        let mut clock = Clock::new(false, 0);
        let year_2020 = 1_577_836_800_000_000_000;
        assert!(clock.now(ClockId::Realtime) > year_2020);
        assert!(clock.now(ClockId::Monotonic) <= clock.now(ClockId::Monotonic));
        assert_eq!(clock.sleep(Duration::from_secs(1)), Duration::from_secs(1));
    }

    #[test]
    fn there_are_four_clocks() {
        assert_eq!(ClockId::new(3), Ok(ClockId::Thread));
        assert_eq!(ClockId::new(4), Err(Errno::INVAL));
    }
}
