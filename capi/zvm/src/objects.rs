//! What C knows by a pointer that points to nothing: sessions, templates.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vfs_core::boundary::null;
use vfs_core::{Code, Error, PerProcess, Result};

/// Whatever the pointer of an object points to: nothing. It is a number that is given out once, and odd, so that libzvfs, whose
/// pointers are aligned, takes it for none of its own.
pub enum Opaque {}

/// The next object's number, of whatever kind. A forked child counts on where its parent was.
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// All objects of one kind that this process has and did not free.
pub struct Objects<T: Send + Sync + 'static> {
    /// The header's name for one.
    kind: &'static str,
    table: PerProcess<Table<T>>,
}

type Live<T> = HashMap<usize, Arc<T>, BuildHasherDefault<NumberHasher>>;

/// The hash of a number that nobody else chose: spread over all bits, since the next one differs in the low ones.
#[derive(Default)]
struct NumberHasher(u64);

struct Table<T> {
    /// Lower numbers are the parent process's.
    first: usize,
    /// A map and no pointers, so that a stale one is an error for ever.
    live: Mutex<Live<T>>,
}

impl<T: Send + Sync + 'static> Objects<T> {
    /// None yet.
    pub const fn new(kind: &'static str) -> Objects<T> {
        Objects { kind, table: PerProcess::new() }
    }

    /// Gives out a number for an object.
    pub fn insert(&self, object: T) -> *mut Opaque {
        // The table first: it looks at the number that is next.
        let mut live = self.table().lock();
        let number = NEXT.fetch_add(2, Ordering::SeqCst);
        live.insert(number, Arc::new(object));
        std::ptr::without_provenance_mut(number)
    }

    /// The object of a number.
    ///
    /// # Errors
    /// EINVAL: NULL. EPERM: it belongs to the parent process. EBADF: it is another object's, or was freed.
    pub fn find(&self, pointer: *mut Opaque) -> Result<Arc<T>> {
        if pointer.is_null() {
            return Err(null(self.kind));
        }
        let (table, number) = (self.table(), pointer.addr());
        let found = table.lock().get(&number).cloned();
        found.ok_or_else(|| match number % 2 == 1 && number < table.first {
            true => {
                let text =
                    format!("the {} belongs to the parent process: make a new one after a fork", self.kind);
                Error::new(Code::EPERM, text)
            }
            false => self.ended(),
        })
    }

    /// Forgets an object; `None`: there is none of this number.
    pub fn remove(&self, pointer: *mut Opaque) -> Option<Arc<T>> {
        self.table().lock().remove(&pointer.addr())
    }

    /// The error for one that was freed.
    pub fn ended(&self) -> Error {
        Error::new(Code::EBADF, format!("not a {}, or already freed", self.kind))
    }

    fn table(&self) -> &'static Table<T> {
        self.table.get_or_make(|| Table { first: NEXT.load(Ordering::SeqCst), live: Mutex::default() })
    }
}

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
    }

    fn write_usize(&mut self, number: usize) {
        // 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<T> Table<T> {
    fn lock(&self) -> MutexGuard<'_, Live<T>> {
        // Nothing panics while it is held.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
