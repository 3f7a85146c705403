//! Counts what is taken from the heap, by Rust as well as by C: this program's `malloc` goes before the C library's, for
//! all libraries, too.
#![expect(unsafe_code, reason = "stands in for malloc")]

use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many allocations there were so far.
pub(crate) fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

fn one_more() {
    COUNT.fetch_add(1, Ordering::Relaxed);
}

// SAFETY: the GNU C library's own names for what it has under the names below.
unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, size: usize) -> *mut c_void;
}

/// # Safety
///
/// As in C.
// SAFETY: it does what the function of this name does.
#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    one_more();
    // SAFETY: the caller's promise is the same.
    unsafe { __libc_malloc(size) }
}

/// # Safety
///
/// As in C.
// SAFETY: it does what the function of this name does.
#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    one_more();
    // SAFETY: the caller's promise is the same.
    unsafe { __libc_calloc(count, size) }
}

/// # Safety
///
/// As in C.
// SAFETY: it does what the function of this name does.
#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    one_more();
    // SAFETY: the caller's promise is the same.
    unsafe { __libc_realloc(block, size) }
}
