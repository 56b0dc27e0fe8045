//! What the command says on standard error: a line for each thing, as a person reads it, or with time and level for whoever keeps it.

use crate::text;
use clap::ValueEnum;
use serde_json::json;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::time::SystemTime;
use vfs_core::Level;

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `zvfs: ` and the message: for a terminal, or a journal that knows the time
    #[default]
    Plain,
    /// Time (UTC) and level before the message
    Text,
    /// One JSON object a line: time, level, message
    Json,
}

static FORMAT: OnceLock<Format> = OnceLock::new();

/// Sets the format of the process, once, before anything is told.
pub fn set(format: Format) {
    // Nobody sets it twice.
    let _ = FORMAT.set(format);
}

/// Writes a line to standard error. If that is closed there is nobody left to tell.
pub fn tell(level: Level, message: &str) {
    let format = FORMAT.get().copied().unwrap_or_default();
    // At once, so that lines of several threads and processes do not mix.
    let _ = io::stderr().write_all(line(format, SystemTime::now(), level, message).as_bytes());
}

/// A line with its end.
fn line(format: Format, time: SystemTime, level: Level, message: &str) -> String {
    // A clock beyond the year 9999 tells no time.
    let time = text::rfc3339_in_milliseconds(time).unwrap_or_default();
    match format {
        Format::Plain => format!("zvfs: {}\n", text::one_line(message)),
        Format::Text => format!("{time} {} {}\n", word(level), text::one_line(message)),
        Format::Json => text::json(&json!({ "time": time, "level": word(level), "message": message })) + "\n",
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
        Level::Debug => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_line_has_what_its_format_says() {
        let time = UNIX_EPOCH + Duration::from_millis(951_782_400_007);
        let lines = |message: &str| {
            [Format::Plain, Format::Text, Format::Json]
                .map(|format| line(format, time, Level::Warning, message))
        };
        assert_eq!(
            lines("open \"x\":\n no \u{1b}[2J\u{202e}"),
            [
                "zvfs: open \"x\": no \\u{1b}[2J\\u{202e}\n",
                "2000-02-29T00:00:00.007Z warning open \"x\": no \\u{1b}[2J\\u{202e}\n",
                "{\"level\":\"warning\",\"message\":\"open \\\"x\\\":\\n no \\u001b[2J\\u202e\",\
                 \"time\":\"2000-02-29T00:00:00.007Z\"}\n",
            ]
        );
    }
}
