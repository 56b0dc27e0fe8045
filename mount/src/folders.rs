//! Folders that are in the mounted folder only. A store of keys has no folders to make: one is there as soon as a key lies below. But
//! programs make the folder first, and then what lies in it, and expect that one which they have emptied is there until they remove it.

use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};

/// The folders, by the descriptor of the one that they are in.
#[derive(Debug, Default)]
pub struct Folders {
    /// Whether the provider is such a store, once that is known.
    are_implied: Mutex<Option<bool>>,
    made: Mutex<HashMap<String, BTreeSet<Vec<u8>>>>,
}

impl Folders {
    /// Whether the provider is known to be such a store.
    pub fn are_implied(&self) -> bool {
        *self.are_implied.lock() == Some(true)
    }

    /// Whether it is one; asks where that is not known, which may lead to nothing.
    pub fn learn(&self, ask: impl FnOnce() -> Option<bool>) -> bool {
        let known = *self.are_implied.lock();
        if let Some(known) = known {
            return known;
        }
        let told = ask();
        *self.are_implied.lock() = told;
        told.unwrap_or(false)
    }

    /// Whether there is one of this name.
    pub fn has(&self, folder: &str, name: &[u8]) -> bool {
        self.made.lock().get(folder).is_some_and(|names| names.contains(name))
    }

    /// Those in a folder.
    pub fn below(&self, folder: &str) -> Vec<Vec<u8>> {
        self.made.lock().get(folder).map_or_else(Vec::new, |names| names.iter().cloned().collect())
    }

    /// One is made.
    pub fn add(&self, folder: &str, name: &[u8]) {
        self.made.lock().entry(folder.to_owned()).or_default().insert(name.to_owned());
    }

    /// One is removed.
    pub fn remove(&self, folder: &str, name: &[u8]) {
        let mut made = self.made.lock();
        if let Some(names) = made.get_mut(folder) {
            names.remove(name);
            if names.is_empty() {
                made.remove(folder);
            }
        }
    }
}
