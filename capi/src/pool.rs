//! What stands behind a pointer that C holds.
//!
//! A slot's memory is never given back, only used again, the longest free one first. So a pointer that was once handed out
//! always points to a slot, and using it after its end finds the slot empty: an error instead of a crash. (One whose slot has a
//! new owner by then cannot be told.) The state also sees to the thread rules: two calls where one is allowed are an error, not
//! a data race.

use parking_lot::Mutex;
use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use vfs_core::{Code, Error, Result};

/// Slots made at a time.
const CHUNK: usize = 32;
/// So many must be free before one is used again.
const REST: usize = 64;

const EMPTY: u32 = u32::MAX;
const EXCLUSIVE: u32 = u32::MAX - 1;

/// All slots of one type.
pub struct Pool<T: 'static> {
    free: Mutex<VecDeque<&'static Slot<T>>>,
}

/// A place for a value. C sees its address.
pub struct Slot<T> {
    /// `EMPTY`, `EXCLUSIVE`, or how many shared uses there are.
    state: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: `state` is taken before the value is touched: exclusively for `&mut` and for moving it in or out, else for `&`.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T: Send + Sync + 'static> Pool<T> {
    pub const fn new() -> Pool<T> {
        Pool { free: Mutex::new(VecDeque::new()) }
    }

    /// Puts a value into a slot.
    pub fn insert(&self, value: T) -> &'static Slot<T> {
        let mut free = self.free.lock();
        if free.len() < REST {
            let empty = || Slot { state: AtomicU32::new(EMPTY), value: UnsafeCell::new(None) };
            let chunk: Box<[Slot<T>]> = (0..CHUNK).map(|_| empty()).collect();
            // In front: new ones are used before old ones.
            Box::leak(chunk).iter().for_each(|slot| free.push_front(slot));
        }
        // There is one: a chunk was just added where there were too few.
        let slot = free.pop_front().unwrap_or_else(|| unreachable!());
        drop(free);
        // SAFETY: an empty slot in nobody's list is this thread's alone: everybody else finds EMPTY and leaves it.
        unsafe { *slot.value.get() = Some(value) };
        slot.state.store(0, Ordering::Release);
        slot
    }

    /// Takes a value out, unless it is in use.
    pub fn remove(&self, slot: &'static Slot<T>) -> Result<T> {
        slot.lock()?;
        // SAFETY: the state is EXCLUSIVE, by this call.
        let value = unsafe { (*slot.value.get()).take() };
        slot.state.store(EMPTY, Ordering::Release);
        self.free.lock().push_back(slot);
        value.ok_or_else(ended)
    }

    /// Takes a value out that is in use for moments only.
    pub fn remove_soon(&self, slot: &'static Slot<T>) -> Result<T> {
        loop {
            match self.remove(slot) {
                Err(error) if error.code() == Code::EBUSY => std::thread::yield_now(),
                result => return result,
            }
        }
    }
}

impl<T> Slot<T> {
    /// The value, for this call alone.
    pub fn exclusive(&'static self) -> Result<Exclusive<T>> {
        self.lock()?;
        // SAFETY: the state is EXCLUSIVE, by this call; a slot that is not empty has a value.
        match unsafe { (*self.value.get()).as_mut() } {
            Some(value) => Ok(Exclusive { slot: self, value: NonNull::from(value) }),
            None => Err(ended()),
        }
    }

    /// The value, for this call and others that share it.
    pub fn shared(&'static self) -> Result<Shared<T>> {
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            match state {
                EMPTY => return Err(ended()),
                EXCLUSIVE => return Err(busy()),
                users => match self.state.compare_exchange_weak(
                    users,
                    users + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => break,
                    Err(now) => state = now,
                },
            }
        }
        // SAFETY: the state counts this use, so nobody has the value exclusively.
        match unsafe { (*self.value.get()).as_ref() } {
            Some(value) => Ok(Shared { slot: self, value: NonNull::from(value) }),
            None => Err(ended()),
        }
    }

    fn lock(&self) -> Result<()> {
        match self.state.compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(EMPTY) => Err(ended()),
            Err(_) => Err(busy()),
        }
    }
}

/// The one use of a value.
pub struct Exclusive<T: 'static> {
    slot: &'static Slot<T>,
    value: NonNull<T>,
}

impl<T> Deref for Exclusive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is EXCLUSIVE until this is dropped, and its value stays.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for Exclusive<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in deref.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Exclusive<T> {
    fn drop(&mut self) {
        self.slot.state.store(0, Ordering::Release);
    }
}

/// One of several uses of a value.
pub struct Shared<T: 'static> {
    slot: &'static Slot<T>,
    value: NonNull<T>,
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot counts this use until it is dropped, and its value stays.
        unsafe { self.value.as_ref() }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        self.slot.state.fetch_sub(1, Ordering::Release);
    }
}

#[cold]
fn ended() -> Error {
    Error::new(Code::EBADF, "used after its end: it is closed or freed")
}

#[cold]
fn busy() -> Error {
    Error::new(Code::EBUSY, "another call on it is in progress: take turns, or use one for each thread")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    static POOL: Pool<String> = Pool::new();

    #[test]
    fn a_stale_pointer_finds_an_empty_slot() {
        let slot = POOL.insert("a".to_owned());
        assert_eq!(*slot.shared().unwrap(), "a");
        assert_eq!(POOL.remove(slot).unwrap(), "a");
        for _ in 0..REST / 2 {
            let other = POOL.insert("b".to_owned());
            assert!(!std::ptr::eq(slot, other), "used again too early");
            assert_eq!(slot.shared().err().map(|error| error.code()), Some(Code::EBADF));
            assert_eq!(slot.exclusive().err().map(|error| error.code()), Some(Code::EBADF));
            assert_eq!(POOL.remove(slot).unwrap_err().code(), Code::EBADF);
            POOL.remove(other).unwrap();
        }
    }

    #[test]
    fn overlapping_uses_are_busy_but_for_shared_ones() {
        let slot = POOL.insert("a".to_owned());
        let shared = (slot.shared().unwrap(), slot.shared().unwrap());
        assert_eq!(slot.exclusive().err().map(|error| error.code()), Some(Code::EBUSY));
        assert_eq!(POOL.remove(slot).unwrap_err().code(), Code::EBUSY);
        drop(shared);
        let mut exclusive = slot.exclusive().unwrap();
        exclusive.push('b');
        assert_eq!(slot.shared().err().map(|error| error.code()), Some(Code::EBUSY));
        drop(exclusive);
        assert_eq!(POOL.remove(slot).unwrap(), "ab");
    }

    #[test]
    fn many_threads_never_have_one_value_at_once() {
        static POOL: Pool<u64> = Pool::new();
        let slot = POOL.insert(0);
        let counted: u64 = (0..4)
            .map(|_| {
                thread::spawn(move || {
                    (0..10_000).filter(|_| slot.exclusive().map(|mut value| *value += 1).is_ok()).count()
                        as u64
                })
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(POOL.remove_soon(slot).unwrap(), counted);
    }
}
