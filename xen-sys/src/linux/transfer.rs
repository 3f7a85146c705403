//! Copies to and from memory that others write at the same time.
//!
//! A plain copy would be a data race, and a byte-wise atomic one slow. Here the C library copies, called in a way that the
//! compiler cannot see through: nothing is assumed of what is read, and it is as fast as `memcpy`. Bytes that change during
//! the copy arrive old or new.
#![expect(unsafe_code, reason = "copies between raw addresses")]

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
use core::arch::asm;
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
use core::ffi::{c_int, c_void};

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
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
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[inline]
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
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
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
#[inline]
pub(super) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
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

/// Copies `length` bytes, one volatile byte at a time: the portable form, and the one that miri can follow.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `length` bytes, they do not overlap, and at least one of them
/// is memory that only this thread uses.
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    for index in 0..length {
        // SAFETY: `index < length`.
        let (from, to) = unsafe { (source.add(index), target.add(index)) };
        // SAFETY: both are valid for a byte, says the caller.
        unsafe { to.write_volatile(from.read_volatile()) };
    }
}

/// Sets `length` bytes, one volatile byte at a time.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
pub(super) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
    for index in 0..length {
        // SAFETY: `index < length`.
        let to = unsafe { target.add(index) };
        // SAFETY: it is valid for a byte, says the caller.
        unsafe { to.write_volatile(byte) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_exactly() {
        let source: Vec<u8> = (0..=255).cycle().take(400).collect();
        for length in 0..300 {
            for shift in [0, 1, 7] {
                let mut target = [0xee; 400];
                // SAFETY: 300 + 7 bytes lie in both vectors.
                unsafe { copy(source[shift..].as_ptr(), target[shift..].as_mut_ptr(), length) };
                assert_eq!(target[shift..shift + length], source[shift..shift + length]);
                assert!(target[..shift].iter().chain(&target[shift + length..]).all(|&byte| byte == 0xee));
            }
        }
    }

    #[test]
    fn fill_stays_inside() {
        let mut target = [1; 2000];
        // SAFETY: 1 + 1300 bytes lie in the vector.
        unsafe { fill(target[1..].as_mut_ptr(), 9, 1300) };
        assert!(target[1..1301].iter().all(|&byte| byte == 9));
        assert_eq!((target[0], target[1301]), (1, 1));
    }
}
