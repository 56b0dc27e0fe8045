//! Lines of a log that may come over and over: the first ones of a period are said, the others counted.

use std::time::{Duration, Instant};

/// One kind of line.
#[derive(Debug)]
pub struct Repeats {
    most: u64,
    period: Duration,
    since: Option<Instant>,
    count: u64,
    last: String,
}

impl Repeats {
    /// Lets `most` lines through in each period, which begins with a line.
    pub fn new(most: u64, period: Duration) -> Repeats {
        Repeats { most, period, since: None, count: 0, last: String::new() }
    }

    /// Counts a line; whether it is to be said.
    pub fn admit(&mut self, now: Instant, line: &str) -> bool {
        self.since.get_or_insert(now);
        self.count += 1;
        let said = self.count <= self.most;
        if !said {
            line.clone_into(&mut self.last);
        }
        said
    }

    /// When the period ends, if one has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + self.period)
    }

    /// Ends the period if its time is over, and gives what to say of the lines that were not said.
    pub fn end(&mut self, now: Instant) -> Option<String> {
        self.deadline().filter(|deadline| *deadline <= now)?;
        let left_out = self.count.saturating_sub(self.most);
        (self.since, self.count) = (None, 0);
        let last = std::mem::take(&mut self.last);
        (left_out > 0).then(|| format!("{left_out} more like it in {:?}, the last: {last}", self.period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "No more such lines" was said where no line had been, and never how many there were.
    #[test]
    fn what_is_not_said_is_counted_and_told_once() {
        let (period, start) = (Duration::from_secs(10), Instant::now());
        let mut repeats = Repeats::new(2, period);
        let said: Vec<_> = (0..5).filter(|line| repeats.admit(start, &line.to_string())).collect();
        assert_eq!((said, repeats.end(start)), (vec![0, 1], None));
        let over = repeats.deadline().unwrap();
        assert_eq!(over, start + period);
        assert_eq!(repeats.end(over).as_deref(), Some("3 more like it in 10s, the last: 4"));
        assert_eq!((repeats.deadline(), repeats.end(over)), (None, None));
        assert!(repeats.admit(over, "a new period"));
        assert_eq!(repeats.end(over + period), None);
    }
}
