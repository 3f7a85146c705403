//! `XEN_DOMCTL_shadow_op`: which pages a domain writes to. x86 only.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Stop it.
    SHADOW_OP_OFF = "XEN_DOMCTL_SHADOW_OP_OFF" = 0;
    /// Use shadow page tables for a PV domain, for nothing but to test them.
    SHADOW_OP_ENABLE_TEST = "XEN_DOMCTL_SHADOW_OP_ENABLE_TEST" = 1;
    /// Note down the pages that the domain writes to.
    SHADOW_OP_ENABLE_LOGDIRTY = "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY" = 2;
    /// Tell them, and forget them.
    SHADOW_OP_CLEAN = "XEN_DOMCTL_SHADOW_OP_CLEAN" = 11;
    /// Tell them.
    SHADOW_OP_PEEK = "XEN_DOMCTL_SHADOW_OP_PEEK" = 12;
    /// Tell how much memory the domain's page tables of Xen's may use.
    SHADOW_OP_GET_ALLOCATION = "XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION" = 30;
    /// Set that.
    SHADOW_OP_SET_ALLOCATION = "XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION" = 31;
    /// With [`SHADOW_OP_CLEAN`]: those too that Xen itself may write to for the domain.
    SHADOW_LOGDIRTY_FINAL = "XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL" = 1 << 0;
}

/// `struct xen_domctl_shadow_op`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_shadow_op")]
pub struct ShadowRecord {
    /// `SHADOW_OP_*`
    pub op: u32,
    /// Flags for the operation.
    pub mode: u32,
    /// MiB, to set; answer: MiB.
    pub mb: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the bitmap; 0 for none.
    pub dirty_bitmap: u64,
    /// How many pages the bitmap has room for; answer: of how many it tells.
    pub pages: u64,
    /// Answer: how often the domain was caught writing.
    pub fault_count: u32,
    /// Answer: how many pages it wrote to.
    pub dirty_count: u32,
}
layout!(
    ShadowRecord = "struct xen_domctl_shadow_op", 40,
    op @ 0, mode @ 4, mb @ 8, dirty_bitmap @ 16, pages @ 24, fault_count("stats.fault_count") @ 32,
    dirty_count("stats.dirty_count") @ 36,
);

/// An operation without memory: all but those that ask for the bitmap.
#[derive(Clone, Copy, Debug)]
pub struct ShadowOp {
    op: u32,
    mb: u32,
}

impl ShadowOp {
    /// Stops to note down what the domain writes to.
    #[must_use]
    pub const fn off() -> Self {
        Self { op: SHADOW_OP_OFF, mb: 0 }
    }

    /// Begins to note down what the domain writes to.
    #[must_use]
    pub const fn enable_log_dirty() -> Self {
        Self { op: SHADOW_OP_ENABLE_LOGDIRTY, mb: 0 }
    }

    /// Asks how much memory the domain's page tables of Xen's may use: in `mb` of the answer.
    #[must_use]
    pub const fn allocation() -> Self {
        Self { op: SHADOW_OP_GET_ALLOCATION, mb: 0 }
    }

    /// Sets how much memory the domain's page tables of Xen's may use, in MiB.
    #[must_use]
    pub const fn set_allocation(mb: u32) -> Self {
        Self { op: SHADOW_OP_SET_ALLOCATION, mb }
    }
}

// SAFETY: these operations use no memory but the record, in which there is no address.
unsafe impl Domctl for ShadowOp {
    const COMMAND: Command = command!("XEN_DOMCTL_shadow_op" = 10);
    type Record = ShadowRecord;

    fn record(&self) -> ShadowRecord {
        ShadowRecord { op: self.op, mb: self.mb, ..ShadowRecord::default() }
    }
}

/// Asks for the pages that a domain has written to, as a bitmap.
#[derive(Debug)]
pub struct DirtyPages<'a> {
    /// Whether they are forgotten.
    pub clean: bool,
    /// Whether those belong to them that Xen itself may write to.
    pub last: bool,
    /// How many pages, from the first on.
    pub pages: u64,
    /// Where to: a bit each, in whole 64-bit words.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes as many bits as there are pages, in whole bytes, and no more than the memory has.
unsafe impl Domctl for DirtyPages<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_shadow_op" = 10);
    type Record = ShadowRecord;

    fn record(&self) -> ShadowRecord {
        let room = (self.into.len() / size_of::<u64>() * size_of::<u64>()) as u64 * 8;
        ShadowRecord {
            op: if self.clean { SHADOW_OP_CLEAN } else { SHADOW_OP_PEEK },
            mode: if self.last { SHADOW_LOGDIRTY_FINAL } else { 0 },
            dirty_bitmap: self.into.address(),
            pages: self.pages.min(room),
            ..ShadowRecord::default()
        }
    }
}
