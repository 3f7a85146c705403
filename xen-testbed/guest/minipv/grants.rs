//! The grant table, version 1.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::hypercall::DOM0;
use crate::memory::Page;

pub(crate) const PERMIT_ACCESS: u16 = 1;
pub(crate) const READ_ONLY: u16 = 4;

/// `grant_entry_v1_t`.
#[repr(C)]
pub(crate) struct GrantEntry {
    flags: AtomicU16,
    domain: AtomicU16,
    frame: AtomicU32,
}

impl GrantEntry {
    const fn new() -> Self {
        Self { flags: AtomicU16::new(0), domain: AtomicU16::new(0), frame: AtomicU32::new(0) }
    }
}

pub(crate) type GrantTable = [Page<[GrantEntry; 512]>; 2];

/// Xen's grant table is mapped over it.
pub(crate) static GRANT_TABLE: GrantTable = [const { Page([const { GrantEntry::new() }; 512]) }; 2];

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
