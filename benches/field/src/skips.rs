//! What this run leaves out, and why: said where its rows would stand, and at the end.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use zvfs_test_support::find;

static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Says that a row or a part is left out.
pub fn skip(row: &str, reason: impl Display) {
    println!("{row:<44} skipped: {reason}");
    let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    let line = format!("{row}: {reason}");
    if !skipped.contains(&line) {
        skipped.push(line);
    }
}

/// Why programs cannot run; `None`: all are here.
pub fn missing(programs: &[&str]) -> Option<String> {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    (!missing.is_empty()).then(|| format!("this machine has no {}", missing.join(", ")))
}

/// Says it all once more.
pub fn tell() {
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    println!("\nskipped: {}", if skipped.is_empty() { "nothing" } else { "" });
    for row in skipped.iter() {
        println!("  {row}");
    }
}
