//! What a test does where the machine lacks what it needs: it says so, and is counted.
//!
//! The harness keeps what a test that passes prints through `println!` and `eprintln!`, so a skipped one would be `ok` without
//! a word. What is written here goes to standard error itself, which it does not keep. In CI (`CI` is set) a skip is a failure.
//!
//! `cargo test` runs many programs. What they skipped is collected in one file for each run, and the last of them, the test
//! `wrap-up` of the crate `zvm`, prints the [`summary`].
//!
//! | Module | What it is |
//! |---|---|
//! | `packages` | Debian's names for what brings a program |
//! | `tally` | the file in which one run of `cargo test` collects |

mod packages;
mod tally;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use tally::Skip;

pub(crate) use tally::{ALONE, Tally};

/// Whether the machine has these programs, or files if their names are absolute paths. If not, the test is skipped: the caller
/// returns.
///
/// # Panics
/// One is missing, and `CI` is set.
pub fn have(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let packages: Vec<&str> = missing.iter().map(|program| packages::of(program)).collect();
    report(&format!("this machine has no {}", missing.join(", ")), &packages);
    false
}

/// Says that a test is skipped for want of something that no package brings, such as root's rights: the reason says what would help.
///
/// # Panics
/// `CI` is set.
pub fn skip(reason: impl Display) {
    report(&reason.to_string(), &[]);
}

/// Where a program lies: on the path, or in the folder of servers, which an ordinary user's path lacks.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program)) // an absolute name stays as it is
        .find(|file| file.is_file())
}

/// What this run of `cargo test` skipped, in a line or two; `None`: nothing. The run's file is removed.
pub fn summary() -> Option<String> {
    Tally::of_this_run()?.take_summary()
}

fn report(reason: &str, packages: &[&str]) {
    let skip = Skip::of_this_test(reason, packages);
    assert!(std::env::var_os("CI").is_none(), "{skip}: in CI nothing may be skipped");
    let Some(tally) = Tally::of_this_run() else { return say(&skip.to_string()) };
    // A helper may ask several times for one test.
    if tally.add(&skip) {
        say(&skip.to_string());
    }
}

/// Writes a line where the harness does not keep it: only the macros of `print!`'s family are captured.
fn say(line: &str) {
    // If standard error is closed, nobody wants to know.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
