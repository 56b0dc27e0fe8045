//! Measures the memory that a call takes at its peak, on its own thread.
#![expect(unsafe_code, reason = "a global allocator is the only place to measure this")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Measuring;

#[global_allocator]
static ALLOCATOR: Measuring = Measuring;

// SAFETY: every call goes to the system's allocator with the same arguments; counting touches no memory but two cells that
// need neither allocation nor destruction.
unsafe impl GlobalAlloc for Measuring {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.get().wrapping_add(layout.size());
        LIVE.set(live);
        // What was freed but allocated on another thread makes `live` wrap: it is no peak then.
        if live <= isize::MAX as usize {
            PEAK.set(PEAK.get().max(live));
        }
        // SAFETY: the caller keeps to `alloc`'s contract, which is the system's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get().wrapping_sub(layout.size()));
        // SAFETY: the pointer came from `alloc` above with this layout, so from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Calls, and tells how many bytes the call had allocated at its peak.
pub fn peak<T>(call: impl FnOnce() -> T) -> (T, usize) {
    LIVE.set(0);
    PEAK.set(0);
    let result = call();
    (result, PEAK.get())
}
