//! The grant table, version 1.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::hypercall::{DOM0, DOMID_SELF, GRANT_TABLE_OP, crash, hypercall};
use crate::memory::{PAGE_SHIFT, Page, map};

pub(crate) const PERMIT_ACCESS: u16 = 1;
pub(crate) const READ_ONLY: u16 = 4;

/// `grant_entry_v1_t`.
#[repr(C)]
struct GrantEntry {
    flags: AtomicU16,
    domain: AtomicU16,
    frame: AtomicU32,
}

impl GrantEntry {
    const fn new() -> Self {
        Self { flags: AtomicU16::new(0), domain: AtomicU16::new(0), frame: AtomicU32::new(0) }
    }
}

/// Xen's grant table is mapped over it.
static GRANT_TABLE: [Page<[GrantEntry; 512]>; 2] = [const { Page([const { GrantEntry::new() }; 512]) }; 2];

fn entry_of(reference: u32) -> &'static GrantEntry {
    let reference = reference as usize;
    &GRANT_TABLE[reference / 512].0[reference % 512]
}

pub(crate) fn grant(reference: u32, flags: u16, frame: u32) {
    let entry = entry_of(reference);
    entry.domain.store(DOM0, Ordering::Relaxed);
    entry.frame.store(frame, Ordering::Relaxed);
    set_flags(reference, flags); // from here on it is valid
}

/// Returns the flags before: Xen marks there what is mapped. 0 revokes the grant.
pub(crate) fn set_flags(reference: u32, flags: u16) -> u16 {
    entry_of(reference).flags.swap(flags, Ordering::AcqRel)
}

/// `struct gnttab_setup_table`.
#[repr(C)]
struct SetupTable {
    domain: u16,
    frame_count: u32,
    status: i16,
    frames: *mut u64,
}

pub(crate) fn map_table() {
    const SETUP_TABLE: u64 = 2;
    let mut frames = [0_u64; GRANT_TABLE.len()];
    let mut table =
        SetupTable { domain: DOMID_SELF, frame_count: 2, status: -1, frames: frames.as_mut_ptr() };
    // SAFETY: one record, which names room for as many frames as it asks for.
    let refused = unsafe { hypercall(GRANT_TABLE_OP, [SETUP_TABLE, (&raw mut table) as u64, 1]) } != 0;
    if refused || table.status != 0 {
        crash();
    }
    for (page, frame) in GRANT_TABLE.iter().zip(frames) {
        map(page, frame << PAGE_SHIFT);
    }
}
