//! Programs in memory: sessions of one process share them, and one compiles while the others wait for it.

use crate::exit::Failure;
use crate::guest::{Program, Stop};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Machine code kept for programs that nobody runs at the moment, in bytes.
const KEPT: usize = 256 << 20;
/// How often who waits for another's compiler looks at its own stop.
const LOOK: Duration = Duration::from_millis(50);

/// The programs by their fingerprints.
#[derive(Default)]
pub(super) struct Loaded {
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    slots: HashMap<[u8; 32], Slot>,
    uses: u64,
}

enum Slot {
    InProgress,
    Ready { program: Arc<Program>, size: usize, used: u64 },
}

impl Loaded {
    /// The program of a fingerprint, if it is there.
    pub(super) fn get(&self, fingerprint: [u8; 32]) -> Option<Arc<Program>> {
        let mut table = self.table.lock();
        table.uses += 1;
        let now = table.uses;
        match table.slots.get_mut(&fingerprint)? {
            Slot::Ready { program, used, .. } => {
                *used = now;
                Some(program.clone())
            }
            Slot::InProgress => None,
        }
    }

    /// The program of a fingerprint. If it is not there, `make` makes it, with the size of its machine code; who asks for the same
    /// meanwhile waits for that.
    ///
    /// # Errors
    /// `make`'s; the reason of `stop`.
    pub(super) fn get_or_make(
        &self,
        fingerprint: [u8; 32],
        stop: &Stop,
        make: impl FnOnce() -> Result<(Program, usize), Failure>,
    ) -> Result<Arc<Program>, Failure> {
        let mut table = self.table.lock();
        loop {
            table.uses += 1;
            let now = table.uses;
            match table.slots.get_mut(&fingerprint) {
                Some(Slot::Ready { program, used, .. }) => {
                    *used = now;
                    return Ok(program.clone());
                }
                Some(Slot::InProgress) => {
                    if let Some(failure) = stop.failure() {
                        return Err(failure);
                    }
                    self.changed.wait_for(&mut table, LOOK);
                }
                None => break,
            }
        }
        table.slots.insert(fingerprint, Slot::InProgress);
        drop(table);
        let turn = Turn { loaded: self, fingerprint };
        let (program, size) = make()?;
        let program = Arc::new(program);
        let mut table = self.table.lock();
        let used = table.uses;
        table.slots.insert(fingerprint, Slot::Ready { program: program.clone(), size, used });
        table.shrink();
        drop(table);
        drop(turn);
        Ok(program)
    }
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("programs", &self.table.lock().slots.len()).finish()
    }
}

impl Table {
    /// Forgets the programs that were not used for the longest time, until the others are within bounds.
    fn shrink(&mut self) {
        let mut kept: usize = self.slots.values().map(Slot::size).sum();
        while kept > KEPT {
            let oldest = self
                .slots
                .iter()
                .filter_map(|(fingerprint, slot)| match slot {
                    Slot::Ready { used, size, .. } => Some((*used, *fingerprint, *size)),
                    Slot::InProgress => None,
                })
                .min();
            let Some((_, fingerprint, size)) = oldest else { return };
            self.slots.remove(&fingerprint);
            kept -= size;
        }
    }
}

impl Slot {
    fn size(&self) -> usize {
        match self {
            Slot::InProgress => 0,
            Slot::Ready { size, .. } => *size,
        }
    }
}

/// Whose turn it is to compile. Dropped without a result, also by a panic, it is the next one's.
struct Turn<'a> {
    loaded: &'a Loaded,
    fingerprint: [u8; 32],
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut table = self.loaded.table.lock();
        if let Some(Slot::InProgress) = table.slots.get(&self.fingerprint) {
            table.slots.remove(&self.fingerprint);
        }
        self.loaded.changed.notify_all();
    }
}
