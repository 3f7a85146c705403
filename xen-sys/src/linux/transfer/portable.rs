//! Byte by byte: slow, and what miri can follow.
#![expect(unsafe_code, reason = "copies between raw addresses")]

/// Copies `length` bytes.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `length` bytes, they do not overlap, and at least one of them
/// is memory that only this thread uses.
pub(in crate::linux) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    for index in 0..length {
        // SAFETY: `index < length`.
        let (from, to) = unsafe { (source.add(index), target.add(index)) };
        // SAFETY: both are valid for a byte, says the caller.
        unsafe { to.write_volatile(from.read_volatile()) };
    }
}

/// Sets `length` bytes.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
pub(in crate::linux) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
    for index in 0..length {
        // SAFETY: `index < length`.
        let to = unsafe { target.add(index) };
        // SAFETY: it is valid for a byte, says the caller.
        unsafe { to.write_volatile(byte) };
    }
}
