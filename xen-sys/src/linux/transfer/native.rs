//! By the C library, called in a way that the compiler cannot see through: nothing is assumed of what is read.
#![expect(unsafe_code, reason = "copies between raw addresses")]

use core::arch::asm;
use core::ffi::{c_int, c_void};

unsafe extern "C" {
    fn memcpy(target: *mut c_void, source: *const c_void, length: usize) -> *mut c_void;
    fn memset(target: *mut c_void, byte: c_int, length: usize) -> *mut c_void;
}

/// Calls a function of the C library that takes two places, or a place and a byte, and a length.
macro_rules! call {
    ($function:ident($first:expr, $second:expr, $length:expr)) => {
        #[cfg(target_arch = "x86_64")]
        asm!(
            "call {function}",
            function = sym $function,
            inout("rdi") $first => _,
            inout("rsi") $second => _,
            inout("rdx") $length => _,
            clobber_abi("C"),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            "bl {function}",
            function = sym $function,
            inout("x0") $first => _,
            inout("x1") $second => _,
            inout("x2") $length => _,
            clobber_abi("C"),
        );
    };
}

/// Copies `length` bytes.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `length` bytes, they do not overlap, and at least one of them
/// is memory that only this thread uses.
#[inline]
pub(in crate::linux) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    // SAFETY: a call as the C library wants it, of a function that does what the caller vouches for.
    unsafe {
        call!(memcpy(target, source, length));
    }
}

/// Sets `length` bytes.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
#[inline]
pub(in crate::linux) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
    // SAFETY: as in `copy`.
    unsafe {
        call!(memset(target, u64::from(byte), length));
    }
}
