//! Memory for what an image or a guest claims is not to be taken.

use std::alloc::{GlobalAlloc, Layout, System, handle_alloc_error};

/// The largest piece that anything may ask for: the largest L1 table that a qcow2 file can hold is half of it.
const MOST: usize = 64 << 20;

/// The system's allocator, where asking for more than [`MOST`] bytes at once ends the program. libFuzzer has an option for
/// that, which works with sanitizers alone.
pub struct Limited;

fn check(layout: Layout, size: usize) {
    if size > MOST {
        handle_alloc_error(layout);
    }
}

// SAFETY: all of it is the system's.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout, layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(layout, size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}
