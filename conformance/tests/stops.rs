//! `stops` finds calls that end late or wrongly. Alone in its process, whose processor time is the clock of a late call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use rustix::time::{ClockId, clock_gettime};
use std::panic::catch_unwind;
use std::thread;
use std::time::Duration;
use vfs_core::{Control, Result};
use zvfs_conformance::stops;

const STEP: Duration = Duration::from_millis(1);

/// Waits until it is stopped, and ends when this process has had so much processor time more.
fn late(control: &Control, time: Duration) -> Result<()> {
    while control.status().is_ok() {
        thread::sleep(STEP);
    }
    let start = processor_time();
    while processor_time() - start < time {
        thread::sleep(STEP);
    }
    control.status()
}

fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// What it panics with.
fn told(test: fn()) -> String {
    let panic = catch_unwind(test).expect_err("it found nothing");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref().map(|text: &&str| (*text).to_owned()))
        .unwrap()
}

#[test]
fn what_breaks_the_rule_is_found() {
    assert_eq!(stops(|control, _| late(control, Duration::ZERO)), 2);
    let text = told(|| _ = stops(|control, _| late(control, Duration::from_millis(300))));
    assert!(text.contains("the rule is 100ms"), "{text}");
    let text = told(|| _ = stops(|_, _| Ok(())));
    assert!(text.contains("did not wait"), "{text}");
    let text = told(|| _ = stops(|control, _| late(control, Duration::ZERO).or(Ok(()))));
    assert!(text.contains("as if nobody had stopped it"), "{text}");
}
