//! Pages that others see.

use core::sync::atomic::{AtomicU32, Ordering};

pub(crate) const PAGE_SHIFT: u32 = 12;

#[repr(C, align(4096))]
pub(crate) struct Page<T>(pub(crate) T);

pub(crate) type Words = Page<[AtomicU32; 1024]>;

#[expect(clippy::declare_interior_mutable_const, reason = "the initial value of statics")]
pub(crate) const EMPTY: Words = Page([const { AtomicU32::new(0) }; 1024]);

pub(crate) fn fill(page: &Words, byte: u8) {
    page.0.iter().for_each(|word| word.store(u32::from_le_bytes([byte; 4]), Ordering::Relaxed));
}

pub(crate) fn address<T>(item: &T) -> u64 {
    core::ptr::from_ref(item) as u64
}
