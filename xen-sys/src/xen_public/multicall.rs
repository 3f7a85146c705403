//! `struct multicall_entry` of `xen/include/public/xen.h`

use super::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct multicall_entry`: one call of many that Xen does at once.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "multicall_entry")]
pub struct MulticallEntry {
    /// The hypercall's number.
    pub op: u64,
    /// Answer: its result, all 64 bits of it.
    pub result: i64,
    /// Its arguments; the sixth is not used.
    pub args: [u64; 6],
}
layout!(MulticallEntry = "struct multicall_entry", 64, op @ 0, result @ 8, args @ 16);
