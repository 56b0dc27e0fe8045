//! What stands behind a pointer that C holds.
//!
//! A slot's memory is never given back, only used again, the longest free one first. So a pointer that was once handed out
//! always points to a slot, and using it after its end finds the slot empty: an error instead of a crash. (One whose slot has a
//! new owner by then cannot be told.) The state also sees to the thread rules: two calls where one is allowed are an error, not
//! a data race. And a slot knows what it is for and whose it is: a handle where a registry belongs is an error, and so is, after
//! a fork, what the parent made.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use vfs_core::{Code, Error, PerProcess, Result, forks, forks_now};

/// Slots made at a time.
const CHUNK: usize = 32;
/// So many must be free before one is used again.
const REST: usize = 64;

const EMPTY: u32 = u32::MAX;
const EXCLUSIVE: u32 = u32::MAX - 1;

/// What stands behind a pointer of the header's.
pub trait Kind: Send + Sync + 'static {
    /// What messages call it.
    const NAME: &'static str;
    /// Whether a forked child may use its parent's: it is data, and nothing that runs or is open.
    const INHERITED: bool = false;
}

/// The kinds that there are, so that a message can say what was passed instead.
const KINDS: [&str; 5] = ["configuration", "control", "registry", "handle", "pipe"];

/// All slots of one type.
pub struct Pool<T: 'static> {
    /// Whose lock a forked child may find locked for ever; so it has its own, and leaves its parent's free ones alone.
    free: PerProcess<Mutex<VecDeque<&'static Slot<T>>>>,
}

/// A place for a value. C sees its address.
#[repr(C)]
pub struct Slot<T> {
    head: Head,
    value: UnsafeCell<Option<T>>,
}

/// What every slot begins with, whatever it is for.
#[repr(C)]
pub struct Head {
    /// Says what it is for; the same for ever.
    tag: u64,
    /// `EMPTY`, `EXCLUSIVE`, or how many shared uses there are.
    state: AtomicU32,
    /// The process that put the value in.
    forks: AtomicU32,
}

// SAFETY: `state` is taken before the value is touched: exclusively for `&mut` and for moving it in or out, else for `&`.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<T: Kind> Pool<T> {
    pub const fn new() -> Pool<T> {
        Pool { free: PerProcess::new() }
    }

    /// Puts a value into a slot.
    pub fn insert(&self, value: T) -> &'static Slot<T> {
        let forks = forks();
        let mut free = self.free();
        if free.len() < REST {
            let head =
                || Head { tag: tag(T::NAME), state: AtomicU32::new(EMPTY), forks: AtomicU32::new(forks) };
            let empty = || Slot { head: head(), value: UnsafeCell::new(None) };
            let chunk: Box<[Slot<T>]> = (0..CHUNK).map(|_| empty()).collect();
            // In front: new ones are used before old ones.
            Box::leak(chunk).iter().for_each(|slot| free.push_front(slot));
        }
        // There is one: a chunk was just added where there were too few.
        let slot = free.pop_front().unwrap_or_else(|| unreachable!());
        drop(free);
        // SAFETY: an empty slot in nobody's list is this thread's alone: everybody else finds EMPTY and leaves it.
        unsafe { *slot.value.get() = Some(value) };
        slot.head.forks.store(forks, Ordering::Relaxed);
        slot.head.state.store(0, Ordering::Release);
        slot
    }

    /// Takes a value out, unless it is in use. `None`: it is the parent process's, whose work must not be ended here; it stays
    /// where it is.
    pub fn remove(&self, slot: &'static Slot<T>) -> Result<Option<T>> {
        if slot.is_inherited() {
            return Ok(None);
        }
        slot.lock()?;
        // SAFETY: the state is EXCLUSIVE, by this call.
        let value = unsafe { (*slot.value.get()).take() };
        slot.head.state.store(EMPTY, Ordering::Release);
        self.free().push_back(slot);
        value.map(Some).ok_or_else(ended)
    }

    /// The same for a value that is in use for moments only.
    pub fn remove_soon(&self, slot: &'static Slot<T>) -> Result<Option<T>> {
        loop {
            match self.remove(slot) {
                Err(error) if error.code() == Code::EBUSY => std::thread::yield_now(),
                result => return result,
            }
        }
    }

    fn free(&self) -> MutexGuard<'_, VecDeque<&'static Slot<T>>> {
        // Nothing panics while it is held. Not parking_lot's: its table of waiters is one for all locks, and a fork copies it
        // as it is.
        self.free.get_or_make(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Kind> Slot<T> {
    /// The slot that a pointer of C's points to; `None` for NULL.
    ///
    /// # Errors
    /// EBADF: it points to another kind of object, or to none.
    ///
    /// # Safety
    /// NULL, or a pointer that this library gave out, to whatever kind of object.
    pub unsafe fn behind(pointer: *const Slot<T>) -> Result<Option<&'static Slot<T>>> {
        if pointer.is_null() {
            return Ok(None);
        }
        if !pointer.is_aligned() {
            return Err(other(None, T::NAME));
        }
        // SAFETY: the caller's promise: a slot of some kind, which is never freed; each begins with a head, whose tag is never
        // written again.
        let found = unsafe { (&raw const (*pointer.cast::<Head>()).tag).read() };
        if found != tag(T::NAME) {
            return Err(other(KINDS.into_iter().find(|name| tag(name) == found), T::NAME));
        }
        // SAFETY: the tag says that it is a Slot<T>, and it is never freed.
        Ok(Some(unsafe { &*pointer }))
    }

    /// Whether it is the parent process's. An empty one is nobody's.
    fn is_inherited(&self) -> bool {
        self.head.forks.load(Ordering::Relaxed) != forks_now()
            && self.head.state.load(Ordering::Relaxed) != EMPTY
    }

    fn usable(&self) -> Result<()> {
        if !T::INHERITED && self.is_inherited() { Err(inherited()) } else { Ok(()) }
    }

    /// The value, for this call alone.
    pub fn exclusive(&'static self) -> Result<Exclusive<T>> {
        self.usable()?;
        self.lock()?;
        // SAFETY: the state is EXCLUSIVE, by this call; a slot that is not empty has a value.
        match unsafe { (*self.value.get()).as_mut() } {
            Some(value) => Ok(Exclusive { slot: self, value: NonNull::from(value) }),
            None => Err(ended()),
        }
    }

    /// The value, for this call and others that share it.
    pub fn shared(&'static self) -> Result<Shared<T>> {
        self.usable()?;
        let mut state = self.head.state.load(Ordering::Relaxed);
        loop {
            match state {
                EMPTY => return Err(ended()),
                EXCLUSIVE => return Err(busy()),
                users => match self.head.state.compare_exchange_weak(
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
        match self.head.state.compare_exchange(0, EXCLUSIVE, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            Err(EMPTY) => Err(ended()),
            Err(_) => Err(busy()),
        }
    }
}

/// The one use of a value.
pub struct Exclusive<T: Kind> {
    slot: &'static Slot<T>,
    value: NonNull<T>,
}

impl<T: Kind> Deref for Exclusive<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot is EXCLUSIVE until this is dropped, and its value stays.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Kind> DerefMut for Exclusive<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in deref.
        unsafe { self.value.as_mut() }
    }
}

impl<T: Kind> Drop for Exclusive<T> {
    fn drop(&mut self) {
        self.slot.head.state.store(0, Ordering::Release);
    }
}

/// One of several uses of a value.
pub struct Shared<T: Kind> {
    slot: &'static Slot<T>,
    value: NonNull<T>,
}

impl<T: Kind> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot counts this use until it is dropped, and its value stays.
        unsafe { self.value.as_ref() }
    }
}

impl<T: Kind> Drop for Shared<T> {
    fn drop(&mut self) {
        self.slot.head.state.fetch_sub(1, Ordering::Release);
    }
}

#[cold]
fn ended() -> Error {
    Error::new(Code::EBADF, "used after it was closed or freed")
}

#[cold]
fn inherited() -> Error {
    let text = "belongs to the parent process: make a new registry after a fork, and open again";
    Error::new(Code::EPERM, text)
}

#[cold]
fn other(found: Option<&str>, wanted: &str) -> Error {
    let text = match found {
        Some(found) => format!("is a {found}, expected a {wanted}"),
        None => format!("is not a pointer to a {wanted} from this library"),
    };
    Error::new(Code::EBADF, text)
}

/// A kind's number, by FNV-1a: nothing that another object begins with by chance.
const fn tag(name: &str) -> u64 {
    let (bytes, mut hash, mut at) = (name.as_bytes(), 0xcbf2_9ce4_8422_2325_u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cold]
fn busy() -> Error {
    Error::new(Code::EBUSY, "another call on it is in progress: take turns, or use one for each thread")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    impl Kind for String {
        const NAME: &'static str = "string";
    }

    impl Kind for u64 {
        const NAME: &'static str = "number";
    }

    static POOL: Pool<String> = Pool::new();

    #[test]
    fn a_pointer_to_another_kind_is_refused() {
        static NUMBERS: Pool<u64> = Pool::new();
        let number = NUMBERS.insert(7);
        // SAFETY: the pool's own pointers; the last one is not followed, since it is not aligned.
        let found = unsafe {
            [
                Slot::<u64>::behind(number).map(|slot| slot.is_some()),
                Slot::<u64>::behind(std::ptr::null()).map(|slot| slot.is_some()),
                Slot::<String>::behind(std::ptr::from_ref(number).cast()).map(|slot| slot.is_some()),
                Slot::<String>::behind(std::ptr::without_provenance(3)).map(|slot| slot.is_some()),
            ]
        };
        assert_eq!(
            found.map(|found| found.map_err(|error| error.code())),
            [Ok(true), Ok(false), Err(Code::EBADF), Err(Code::EBADF)]
        );
    }

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        let numbers: std::collections::BTreeSet<u64> = KINDS.into_iter().map(tag).collect();
        assert_eq!(numbers.len(), KINDS.len());
    }

    #[test]
    fn a_stale_pointer_finds_an_empty_slot() {
        let slot = POOL.insert("a".to_owned());
        assert_eq!(*slot.shared().unwrap(), "a");
        assert_eq!(POOL.remove(slot).unwrap().unwrap(), "a");
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
        assert_eq!(POOL.remove(slot).unwrap().unwrap(), "ab");
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
        assert_eq!(POOL.remove_soon(slot).unwrap(), Some(counted));
    }
}
