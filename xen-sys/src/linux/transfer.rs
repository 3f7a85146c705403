//! Copies to and from memory that others write at the same time.
//!
//! A plain copy would be a data race, and a byte-wise atomic one slow. Where it can be called from assembly, the C library
//! copies. Bytes that change during the copy arrive old or new.

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
mod native;
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
mod portable;
mod word;

#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
pub(in crate::linux) use native::{copy, fill};
#[cfg(any(not(any(target_arch = "x86_64", target_arch = "aarch64")), miri))]
pub(in crate::linux) use portable::{copy, fill};
pub(in crate::linux) use word::{load, store};

#[cfg(test)]
#[expect(unsafe_code, reason = "calls them")]
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
