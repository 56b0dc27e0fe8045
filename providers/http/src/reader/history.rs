//! The history of positional reads: one that begins where another ended is sequential, and what follows will be wanted too.

use parking_lot::Mutex;

/// Ends that are remembered.
const ENDS: usize = 8;
/// What the first sequential read fetches, at least; then twice as much each time.
const FETCH_MIN: u64 = 32 << 10;
/// More is not fetched at once: a reader that stops leaves it on the way.
const FETCH_MAX: u64 = 8 << 20;

/// The ends of the last positional reads of a file.
#[derive(Default)]
pub struct ReadHistory(Mutex<Vec<End>>);

#[derive(Clone, Copy)]
struct End {
    position: u64,
    next: FetchSize,
}

/// How much a sequential read fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchSize(u64);

impl FetchSize {
    /// The byte behind the last to be fetched, to read `wanted` bytes at an offset and go on.
    pub fn end(self, offset: u64, wanted: usize, size: u64) -> u64 {
        offset.saturating_add(self.0.max(wanted as u64)).min(size)
    }

    /// The next one, once this one has been fetched.
    pub fn doubled(self) -> FetchSize {
        FetchSize((self.0 * 2).min(FETCH_MAX))
    }
}

impl ReadHistory {
    /// Takes the end of an earlier read, if another one begins there.
    pub fn take(&self, offset: u64) -> Option<FetchSize> {
        let mut ends = self.0.lock();
        let at = ends.iter().rposition(|end| end.position == offset)?;
        Some(ends.remove(at).next)
    }

    /// Remembers where a read ended; `next`: what the next one there fetches, if it has been sequential so far.
    pub fn add(&self, position: u64, next: Option<FetchSize>) {
        let mut ends = self.0.lock();
        if ends.len() == ENDS {
            ends.remove(0);
        }
        ends.push(End { position, next: next.unwrap_or(FetchSize(FETCH_MIN)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_recognised_by_the_end_of_another_and_fetches_grow() {
        let history = ReadHistory::default();
        assert_eq!(history.take(0), None);
        history.add(100, None);
        assert_eq!(history.take(99), None);
        let fetch = history.take(100).unwrap();
        assert_eq!(history.take(100), None, "an end is read on from once");
        assert_eq!(fetch.end(100, 10, u64::MAX), 100 + FETCH_MIN);
        assert_eq!(fetch.end(100, 1 << 20, u64::MAX), 100 + (1 << 20));
        assert_eq!(fetch.end(100, 10, 150), 150);
        assert_eq!((0..40).fold(fetch, |fetch, _| fetch.doubled()), FetchSize(FETCH_MAX));
    }

    #[test]
    fn the_oldest_end_is_forgotten() {
        let history = ReadHistory::default();
        (0..=ENDS as u64).for_each(|end| history.add(end, None));
        assert_eq!(history.take(0), None);
        assert!((1..=ENDS as u64).all(|end| history.take(end).is_some()));
    }
}
