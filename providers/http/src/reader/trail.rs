//! Where positional reads have ended: one that begins there reads on, and what follows will be wanted too.

use std::sync::{Mutex, PoisonError};

/// Places that are remembered.
const PLACES: usize = 8;
/// What is asked for when a place is first read on from, at least; then twice as much each time.
const WINDOW_MIN: u64 = 32 << 10;
/// More is not asked for at once: who stops reading leaves it on the way.
const WINDOW_MAX: u64 = 8 << 20;

/// The ends of the last positional reads of a file.
#[derive(Default)]
pub struct Trail(Mutex<Vec<Place>>);

#[derive(Clone, Copy)]
struct Place {
    end: u64,
    window: Window,
}

/// How much to ask for when a place is read on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window(u64);

impl Window {
    /// The byte behind the last to be asked for, to read `wanted` bytes at an offset and go on.
    pub fn end(self, offset: u64, wanted: usize, size: u64) -> u64 {
        offset.saturating_add(self.0.max(wanted as u64)).min(size)
    }

    /// The next one, once this one has been asked for.
    pub fn wider(self) -> Window {
        Window((self.0 * 2).min(WINDOW_MAX))
    }
}

impl Trail {
    /// Takes the place where a read begins, if another one ended there.
    pub fn take(&self, offset: u64) -> Option<Window> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = places.iter().rposition(|place| place.end == offset)?;
        Some(places.remove(at).window)
    }

    /// Remembers where a read ended; `window`: as it has been read on so far.
    pub fn leave(&self, end: u64, window: Option<Window>) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() == PLACES {
            places.remove(0);
        }
        places.push(Place { end, window: window.unwrap_or(Window(WINDOW_MIN)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_recognised_by_the_end_of_another_and_windows_grow() {
        let trail = Trail::default();
        assert_eq!(trail.take(0), None);
        trail.leave(100, None);
        assert_eq!(trail.take(99), None);
        let window = trail.take(100).unwrap();
        assert_eq!(trail.take(100), None, "a place is read on from once");
        assert_eq!(window.end(100, 10, u64::MAX), 100 + WINDOW_MIN);
        assert_eq!(window.end(100, 1 << 20, u64::MAX), 100 + (1 << 20));
        assert_eq!(window.end(100, 10, 150), 150);
        assert_eq!((0..40).fold(window, |window, _| window.wider()), Window(WINDOW_MAX));
    }

    #[test]
    fn the_oldest_place_is_forgotten() {
        let trail = Trail::default();
        (0..=PLACES as u64).for_each(|end| trail.leave(end, None));
        assert_eq!(trail.take(0), None);
        assert!((1..=PLACES as u64).all(|end| trail.take(end).is_some()));
    }
}
