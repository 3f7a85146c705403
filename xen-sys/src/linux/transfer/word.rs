//! Values to and from memory that others write at the same time: an aligned word in one access.
#![expect(unsafe_code, reason = "moves values between raw addresses")]

use super::copy;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// What memory is accessed in.
trait Word: Copy {
    type Atomic;
    fn load(place: &Self::Atomic) -> Self;
    fn store(self, place: &Self::Atomic);
}

macro_rules! words {
    ($($word:ty: $atomic:ty),*) => {
        $(
            impl Word for $word {
                type Atomic = $atomic;
                #[inline]
                fn load(place: &$atomic) -> Self {
                    place.load(Ordering::Relaxed)
                }
                #[inline]
                fn store(self, place: &$atomic) {
                    place.store(self, Ordering::Relaxed);
                }
            }
        )*
    };
}

words!(u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64);

/// Copies a value out of shared memory, in one access if it is aligned there and has 1, 2, 4 or 8 bytes. A length that is known
/// when the program is built costs no comparison.
///
/// # Safety
///
/// As [`copy`].
#[inline]
pub(in crate::linux) unsafe fn load(source: *const u8, target: *mut u8, length: usize) {
    let by_word = match length {
        1 => load_word::<u8>,
        2 if is_aligned::<u16>(source) => load_word::<u16>,
        4 if is_aligned::<u32>(source) => load_word::<u32>,
        8 if is_aligned::<u64>(source) => load_word::<u64>,
        // SAFETY: the caller's promise.
        _ => return unsafe { copy(source, target, length) },
    };
    // SAFETY: the caller's promise, and it is aligned.
    unsafe { by_word(source, target) };
}

/// Copies a value to shared memory, as [`load`] does the other way.
///
/// # Safety
///
/// As [`copy`].
#[inline]
pub(in crate::linux) unsafe fn store(source: *const u8, target: *mut u8, length: usize) {
    let by_word = match length {
        1 => store_word::<u8>,
        2 if is_aligned::<u16>(target) => store_word::<u16>,
        4 if is_aligned::<u32>(target) => store_word::<u32>,
        8 if is_aligned::<u64>(target) => store_word::<u64>,
        // SAFETY: the caller's promise.
        _ => return unsafe { copy(source, target, length) },
    };
    // SAFETY: the caller's promise, and it is aligned.
    unsafe { by_word(source, target) };
}

#[inline]
fn is_aligned<W: Word>(place: *const u8) -> bool {
    place.cast::<W::Atomic>().is_aligned()
}

/// # Safety
///
/// As [`copy`], and `source` is aligned.
#[inline]
unsafe fn load_word<W: Word>(source: *const u8, target: *mut u8) {
    // SAFETY: it is valid and aligned; a load of this size needs no write access.
    let word = W::load(unsafe { &*source.cast() });
    // SAFETY: it is valid.
    unsafe { target.cast::<W>().write_unaligned(word) };
}

/// # Safety
///
/// As [`copy`], and `target` is aligned.
#[inline]
unsafe fn store_word<W: Word>(source: *const u8, target: *mut u8) {
    // SAFETY: it is valid.
    let word = unsafe { source.cast::<W>().read_unaligned() };
    // SAFETY: it is valid and aligned.
    word.store(unsafe { &*target.cast() });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_moved_whole() {
        #[repr(align(8))]
        struct Memory([u8; 32]);
        let source = Memory(std::array::from_fn(|index| u8::try_from(index).expect("small")));
        for length in 0..=16 {
            for shift in 0..=8 {
                let mut target = Memory([0xee; 32]);
                // SAFETY: 16 + 8 bytes lie in both.
                unsafe { load(source.0[shift..].as_ptr(), target.0[1..].as_mut_ptr(), length) };
                assert_eq!(target.0[1..=length], source.0[shift..shift + length]);
                assert!(target.0[0] == 0xee && target.0[length + 1..].iter().all(|&byte| byte == 0xee));
                let mut target = Memory([0xee; 32]);
                // SAFETY: as above.
                unsafe { store(source.0[1..].as_ptr(), target.0[shift..].as_mut_ptr(), length) };
                assert_eq!(target.0[shift..shift + length], source.0[1..=length]);
                assert!(target.0[shift + length..].iter().all(|&byte| byte == 0xee));
            }
        }
    }
}
