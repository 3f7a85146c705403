//! By the C library, called in a way that the compiler cannot see through: nothing is assumed of what is read.
#![expect(unsafe_code, reason = "copies between raw addresses")]

use core::arch::asm;
use core::ffi::{c_int, c_void};

unsafe extern "C" {
    fn memcpy(target: *mut c_void, source: *const c_void, length: usize) -> *mut c_void;
    fn memset(target: *mut c_void, byte: c_int, length: usize) -> *mut c_void;
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
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "call {memcpy}",
            memcpy = sym memcpy,
            inout("rdi") target => _,
            inout("rsi") source => _,
            inout("rdx") length => _,
            clobber_abi("C"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "bl {memcpy}",
            memcpy = sym memcpy,
            inout("x0") target => _,
            inout("x1") source => _,
            inout("x2") length => _,
            clobber_abi("C"),
        );
    }
}

/// Sets `length` bytes.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
#[inline]
pub(in crate::linux) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
    // SAFETY: a call as the C library wants it, of a function that does what the caller vouches for.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "call {memset}",
            memset = sym memset,
            inout("rdi") target => _,
            inout("rsi") u64::from(byte) => _,
            inout("rdx") length => _,
            clobber_abi("C"),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "bl {memset}",
            memset = sym memset,
            inout("x0") target => _,
            inout("x1") u64::from(byte) => _,
            inout("x2") length => _,
            clobber_abi("C"),
        );
    }
}
