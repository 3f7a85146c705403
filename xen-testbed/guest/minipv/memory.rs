//! Pages that others see.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::hypercall::{UPDATE_VA_MAPPING, crash, hypercall};

pub(crate) const PAGE_SHIFT: u32 = 12;

#[repr(C, align(4096))]
pub(crate) struct Page<T>(pub(crate) T);

pub(crate) type Words = Page<[AtomicU32; 1024]>;

#[expect(clippy::declare_interior_mutable_const, reason = "the initial value of statics")]
pub(crate) const EMPTY: Words = Page([const { AtomicU32::new(0) }; 1024]);

pub(crate) fn fill(page: &Words, byte: u8) {
    page.0.iter().for_each(|word| word.store(u32::from_le_bytes([byte; 4]), Ordering::Relaxed));
}

/// Maps a machine frame over one of our pages.
pub(crate) fn map<T>(page: &'static Page<T>, machine_address: u64) {
    const PRESENT_WRITABLE_USER: u64 = 7;
    const FLUSH_THIS_ADDRESS: u64 = 2;
    let entry = machine_address | PRESENT_WRITABLE_USER;
    // SAFETY: the page is a static of atomics, so nothing depends on what was mapped there before.
    let status = unsafe { hypercall(UPDATE_VA_MAPPING, [address(page), entry, FLUSH_THIS_ADDRESS]) };
    if status != 0 {
        crash();
    }
}

pub(crate) fn address<T>(item: &T) -> u64 {
    core::ptr::from_ref(item) as u64
}

/// The machine frame behind one of our own pages, as a grant entry has it.
pub(crate) fn frame_of(frames: &[u64], page: &'static Words) -> u32 {
    let index = usize::try_from(address(page) >> PAGE_SHIFT).ok(); // the guest is mapped from address 0
    let frame = index.and_then(|index| frames.get(index)).and_then(|frame| u32::try_from(*frame).ok());
    frame.unwrap_or_else(|| crash())
}
