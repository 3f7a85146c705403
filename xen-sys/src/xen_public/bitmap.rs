//! Bitmaps in memory, of CPUs and of NUMA nodes.

use super::layout;
use super::operation::GuestMemory;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xenctl_bitmap`: where a bitmap is. Bit 0 of the first byte is number 0, bit 0 of the second one number 8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xenctl_bitmap")]
pub struct Bitmap {
    /// Address of the first byte.
    pub bitmap: u64,
    /// How many bits there are. Xen knows how many it needs itself: what is missing is 0, what is too much it ignores or sets to 0.
    pub nr_bits: u32,
    /// Zero.
    pub pad: u32,
}
layout!(Bitmap = "struct xenctl_bitmap", 16, bitmap @ 0, nr_bits @ 8);

impl Bitmap {
    /// All of `memory`.
    #[must_use]
    pub fn of(memory: &GuestMemory<'_>) -> Self {
        let nr_bits = memory.len().saturating_mul(8);
        Self { bitmap: memory.address(), nr_bits: u32::try_from(nr_bits).unwrap_or(u32::MAX), pad: 0 }
    }
}
