//! `hvm/hvm_op.h`: what a page is to a guest.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use crate::xen_public::layout;
use crate::xen_public::operation::{HypercallNumber, Operation, command};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_hvm_get_mem_type`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_hvm_get_mem_type")]
pub struct GetMemType {
    /// Whose page.
    pub domid: u16,
    /// Answer: `HVMMEM_*`
    pub mem_type: u16,
    /// Zero.
    pub pad: [u16; 2],
    /// Which page.
    pub pfn: u64,
}
layout!(GetMemType = "struct xen_hvm_get_mem_type", 16, domid @ 0, mem_type @ 2, pfn @ 8);

// SAFETY: Xen reads and writes one such record, of integers only.
unsafe impl Operation for GetMemType {
    const NUMBER: HypercallNumber = HypercallNumber::HVM_OP;
    const NAME: &'static str = "HVMOP_get_mem_type";
    type Record = Self;

    fn record(&self) -> Self {
        *self
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [command!("HVMOP_get_mem_type" = 15).number.into(), record, 0, 0, 0]
    }
}
