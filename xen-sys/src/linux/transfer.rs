//! Copies to and from memory that others write at the same time.
//!
//! A plain copy would be a data race, and a byte-wise atomic one slow. The instructions here are opaque to the
//! compiler, so that nothing is assumed of what they read, and as fast as `memcpy`. Bytes that change during the copy
//! arrive old or new.
#![expect(unsafe_code, reason = "copies between raw addresses")]

/// Copies `length` bytes.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `length` bytes, they do not overlap, and at least one of them
/// is memory that only this thread uses.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    let blocks = length / 64;
    let rest = length % 64;
    // SAFETY: reads and writes exactly `blocks * 64 + rest == length` bytes, which the caller vouches for.
    unsafe {
        core::arch::asm!(
            "test {blocks}, {blocks}",
            "jz 3f",
            "2:",
            "movdqu {a}, [rsi]",
            "movdqu {b}, [rsi + 16]",
            "movdqu {c}, [rsi + 32]",
            "movdqu {d}, [rsi + 48]",
            "movdqu [rdi], {a}",
            "movdqu [rdi + 16], {b}",
            "movdqu [rdi + 32], {c}",
            "movdqu [rdi + 48], {d}",
            "add rsi, 64",
            "add rdi, 64",
            "dec {blocks}",
            "jnz 2b",
            "3:",
            "rep movsb",
            blocks = inout(reg) blocks => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            inout("rsi") source => _,
            inout("rdi") target => _,
            inout("rcx") rest => _,
            options(nostack),
        );
    }
}

/// Copies `length` bytes.
///
/// # Safety
///
/// `source` is valid for reads and `target` for writes of `length` bytes, they do not overlap, and at least one of them
/// is memory that only this thread uses.
#[cfg(all(target_arch = "aarch64", not(miri)))]
pub(super) unsafe fn copy(source: *const u8, target: *mut u8, length: usize) {
    let blocks = length / 64;
    let rest = length % 64;
    // SAFETY: reads and writes exactly `blocks * 64 + rest == length` bytes, which the caller vouches for.
    unsafe {
        core::arch::asm!(
            "cbz {blocks}, 3f",
            "2:",
            "ldp {a:q}, {b:q}, [{source}]",
            "ldp {c:q}, {d:q}, [{source}, #32]",
            "stp {a:q}, {b:q}, [{target}]",
            "stp {c:q}, {d:q}, [{target}, #32]",
            "add {source}, {source}, #64",
            "add {target}, {target}, #64",
            "subs {blocks}, {blocks}, #1",
            "b.ne 2b",
            "3:",
            "cbz {rest}, 5f",
            "4:",
            "ldrb {byte:w}, [{source}], #1",
            "strb {byte:w}, [{target}], #1",
            "subs {rest}, {rest}, #1",
            "b.ne 4b",
            "5:",
            blocks = inout(reg) blocks => _,
            rest = inout(reg) rest => _,
            source = inout(reg) source => _,
            target = inout(reg) target => _,
            byte = out(reg) _,
            a = out(vreg) _,
            b = out(vreg) _,
            c = out(vreg) _,
            d = out(vreg) _,
            options(nostack),
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

/// Sets `length` bytes.
///
/// # Safety
///
/// `target` is valid for writes of `length` bytes.
pub(super) unsafe fn fill(target: *mut u8, byte: u8, length: usize) {
    let block = [byte; 512];
    let mut done = 0;
    while done < length {
        let size = block.len().min(length - done);
        // SAFETY: `done + size <= length`.
        let at = unsafe { target.add(done) };
        // SAFETY: as above; the block is this thread's.
        unsafe { copy(block.as_ptr(), at, size) };
        done += size;
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
