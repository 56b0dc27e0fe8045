//! Scripts in Python that measure themselves, so that the interpreter's start does not count.

use crate::Cost;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The interpreter with a script, which the caller gives its arguments.
pub fn script(text: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-c").arg(text);
    command
}

/// Runs a script, which prints what it measured in nanoseconds: by the clock, then of the processors if it knows.
///
/// # Errors
/// What its last line on standard error says, such as a package that is missing.
pub fn cost(script: &mut Command) -> Result<Cost, String> {
    let output = script.stdin(Stdio::null()).output().map_err(|error| format!("python3: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().map(Duration::from_nanos));
    match (numbers.next(), numbers.next().transpose()) {
        (Some(Ok(wall)), Ok(cpu)) if output.status.success() => Ok(Cost { wall, cpu }),
        _ => {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(error.lines().last().unwrap_or("no time was printed").to_owned())
        }
    }
}
