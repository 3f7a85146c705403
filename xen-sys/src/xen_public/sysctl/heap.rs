//! Free memory of the host.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::sysctl;
use crate::xen_public::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_sysctl_availheap`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_availheap")]
pub struct AvailableHeap {
    /// Only memory whose addresses have more bits than this; 0 for any.
    pub min_bitwidth: u32,
    /// Only memory whose addresses have at most so many bits; 0 for any.
    pub max_bitwidth: u32,
    /// Only this NUMA node; -1 for any.
    pub node: i32,
    /// Zero.
    pub pad: u32,
    /// Answer: how much is free, in bytes.
    pub avail_bytes: u64,
}
layout!(
    AvailableHeap = "struct xen_sysctl_availheap", 24,
    min_bitwidth @ 0, max_bitwidth @ 4, node @ 8, avail_bytes @ 16,
);
sysctl!(AvailableHeap, "XEN_SYSCTL_availheap" = 9);
