//! Deadlines by key, earliest first.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// At most one deadline for each key.
#[derive(Debug)]
pub(super) struct Deadlines<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_key: HashMap<K, Instant>,
}

impl<K: Clone + Ord + Hash> Deadlines<K> {
    pub(super) fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_key: HashMap::new() }
    }

    /// Sets a key's deadline in place of the one it had.
    pub(super) fn set(&mut self, key: K, at: Instant) {
        self.clear(&key);
        self.by_key.insert(key.clone(), at);
        self.by_time.insert((at, key));
    }

    /// Sets a key's deadline, unless it has an earlier one.
    pub(super) fn bring_forward(&mut self, key: K, at: Instant) {
        if self.by_key.get(&key).is_none_or(|set| at < *set) {
            self.set(key, at);
        }
    }

    /// Takes a key's deadline away, and returns whether it had one.
    pub(super) fn clear(&mut self, key: &K) -> bool {
        match self.by_key.remove(key) {
            Some(at) => self.by_time.remove(&(at, key.clone())),
            None => false,
        }
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.by_key.contains_key(key)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes one key whose deadline has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_is_taken_once_at_its_last_deadline() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut deadlines = Deadlines::new();
        deadlines.set("moved", start);
        deadlines.set("moved", later);
        deadlines.set("cleared", start);
        deadlines.bring_forward("moved", later + Duration::from_secs(1));
        assert!(deadlines.clear(&"cleared"));
        assert!(!deadlines.clear(&"cleared"));
        assert_eq!(deadlines.next(), Some(later));
        assert_eq!(deadlines.pop(start), None);
        assert_eq!(deadlines.pop(later), Some("moved"));
        assert_eq!(deadlines.pop(later), None);
        assert_eq!(deadlines.next(), None);
    }
}
