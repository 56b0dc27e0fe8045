//! The CPU time of a session.

use crate::report::CpuTime;
use std::fs;
use std::time::Duration;

/// Ticks in a second: a constant of the kernel's interface on every machine that the engine runs on.
const PER_SECOND: u64 = 100;

/// The CPU time of the calling thread; 0 where /proc is not there.
///
/// From /proc, because the system's own call for it needs `unsafe`; its ticks of 10 ms are what a report shows.
pub(super) fn thread_time() -> CpuTime {
    fs::read_to_string("/proc/thread-self/stat").ok().and_then(|text| parse(&text)).unwrap_or_default()
}

/// Reads fields 14 and 15, in clock ticks; the second one, a name in parentheses, may hold anything.
fn parse(stat: &str) -> Option<CpuTime> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let tick = |ticks: u64| {
        Duration::from_secs(ticks / PER_SECOND)
            + Duration::from_millis(ticks % PER_SECOND * 1000 / PER_SECOND)
    };
    Some(CpuTime { system: tick(system), user: tick(user) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1 0 99";
        let time = parse(stat).unwrap();
        assert_eq!((time.user, time.system), (Duration::from_millis(1500), Duration::from_millis(250)));
        assert_eq!(parse("7 (a"), None);
    }

    #[test]
    fn work_takes_time() {
        let before = thread_time();
        let start = std::time::Instant::now();
        let mut sum = 0u64;
        while thread_time().user == before.user {
            assert!(start.elapsed() < Duration::from_secs(30), "{sum}");
            (0..1_000_000).for_each(|number: u64| sum = std::hint::black_box(sum.wrapping_add(number)));
        }
    }
}
