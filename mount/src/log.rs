//! Messages, no more than somebody reads: a program that goes through a tree in vain would fill the log with one line.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::time::{Duration, Instant};
use zvfs_command::exit::warn;

/// How long a message is not said again.
const SPAN: Duration = Duration::from_secs(60);
/// The most messages in that time.
const LINES_MAX: usize = 100;

static SAID: Mutex<Option<Said>> = Mutex::new(None);

/// What was said of late.
struct Said {
    since: Instant,
    lines: HashSet<String>,
    left_out: u64,
}

/// Says something, unless it was said a moment ago, or too much was.
pub fn say(text: &str) {
    let mut said = SAID.lock();
    let now = Instant::now();
    let said = said.get_or_insert_with(|| Said::new(now));
    for line in said.lines(text, now) {
        warn(&line);
    }
}

impl Said {
    fn new(since: Instant) -> Said {
        Said { since, lines: HashSet::new(), left_out: 0 }
    }

    /// What is to be written of a message.
    fn lines(&mut self, text: &str, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        if now > self.since + SPAN {
            if self.left_out > 0 {
                let (count, time) = (self.left_out, now - self.since);
                lines.push(format!(
                    "{count} messages were left out in the last {time:.0?}, as too many or said before"
                ));
            }
            *self = Said::new(now);
        }
        if self.lines.len() < LINES_MAX && !self.lines.contains(text) {
            self.lines.insert(text.to_owned());
            lines.push(text.to_owned());
        } else {
            self.left_out += 1;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_said_once_a_minute_and_no_more_than_a_hundred() {
        let now = Instant::now();
        let mut said = Said::new(now);
        assert_eq!(said.lines("one", now), ["one"]);
        assert!(said.lines("one", now).is_empty());
        let more: usize = (0..1000).map(|number| said.lines(&format!("line {number}"), now).len()).sum();
        assert_eq!(more, LINES_MAX - 1);
        let later = said.lines("one", now + 2 * SPAN);
        assert!(later.len() == 2 && later[0].starts_with("902 messages"), "{later:?}");
        assert_eq!(later[1], "one");
    }
}
