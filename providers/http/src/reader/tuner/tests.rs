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

/// As nginx with `tcp_nopush` sends the same: a test of ours never found out. What is no whole segment of a burst comes 0.2 s later, and
/// was taken for the next one.
#[test]
fn the_end_of_a_burst_that_comes_late_is_no_other_burst() {
    const END: u64 = 32 << 10;
    for (burst, second, advice) in [(2, 2, Advice::Widen), (1, 1, Advice::GiveUp)] {
        let mut tuner = Tuner::new(ms(1));
        let at_once = |bytes| Came { bytes, time: ms(2), waited: ms(1) };
        assert_eq!(tuner.alone(at_once(2 * MIB - END), 46 * MIB), Advice::GoOn);
        assert_eq!(tuner.alone(silence(), 46 * MIB), Advice::GoOn);
        assert_eq!(tuner.alone(silence(), 46 * MIB), Advice::Try(0));
        let beside = |time| came_beside(second * MIB, time);
        assert!((1..=2).all(|at| tuner.beside(silence(), beside(50 * at)) == Advice::GoOn));
        assert_eq!(tuner.beside(at_once(END), beside(102)), Advice::GoOn);
        assert!((1..=5).all(|at| tuner.beside(silence(), beside(102 + 50 * at)) == Advice::GoOn));
        assert_eq!(tuner.beside(at_once(burst * MIB), beside(354)), Advice::GoOn);
        assert_eq!(tuner.beside(silence(), beside(404)), Advice::GoOn);
        assert_eq!(tuner.beside(silence(), beside(454)), advice, "{burst} MiB");
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
