//! `hvm/save.h`: the state of a domain's virtual hardware, as records; and the operations of `domctl.h` on it.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use crate::xen_public::domctl::Domctl;
use crate::xen_public::layout;
use crate::xen_public::operation::{Command, GuestMemory, command};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct hvm_save_descriptor`: stands in front of each record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "hvm_save_descriptor")]
pub struct SaveDescriptor {
    /// What kind of record; 0 for the end.
    pub typecode: u16,
    /// Which one of its kind.
    pub instance: u16,
    /// How many bytes it has, behind this descriptor.
    pub length: u32,
}
layout!(SaveDescriptor = "struct hvm_save_descriptor", 8, typecode @ 0, instance @ 2, length @ 4);

/// `struct xen_domctl_hvmcontext`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_hvmcontext")]
pub struct HvmContextRecord {
    /// How many bytes there are.
    pub size: u32,
    /// Zero.
    pub pad: u32,
    /// Where they are.
    pub buffer: u64,
}
layout!(HvmContextRecord = "struct xen_domctl_hvmcontext", 16, size @ 0, buffer @ 8);

/// Sets the state of the virtual hardware: records with a descriptor in front of each, a header first, an end last. vCPUs that none
/// is about are off afterwards.
#[derive(Debug)]
pub struct SetHvmContext<'a>(pub GuestMemory<'a>);

// SAFETY: Xen reads `size` bytes, which is how long the memory is.
unsafe impl Domctl for SetHvmContext<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_sethvmcontext" = 34);
    type Record = HvmContextRecord;

    fn record(&self) -> HvmContextRecord {
        let size = self.0.room::<u8>();
        HvmContextRecord { size, pad: 0, buffer: self.0.address() }
    }
}

/// `struct xen_domctl_hvmcontext_partial`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_hvmcontext_partial")]
pub struct HvmContextPartialRecord {
    /// What kind of record.
    pub kind: u32,
    /// Which one of its kind; the vCPU, for records about vCPUs.
    pub instance: u32,
    /// How much room there is, in bytes; answer: how many the record has.
    pub bufsz: u64,
    /// Where the room is.
    pub buffer: u64,
}
layout!(
    HvmContextPartialRecord = "struct xen_domctl_hvmcontext_partial", 24,
    kind("type") @ 0, instance @ 4, bufsz @ 8, buffer @ 16,
);

/// Reads one record of the state of the virtual hardware, without its descriptor.
#[derive(Debug)]
pub struct GetHvmContextPartial<'a> {
    /// What kind of record.
    pub kind: u32,
    /// Which one of its kind.
    pub instance: u32,
    /// Where to; with less room than the record has, Xen answers `ENOBUFS` or `EINVAL`.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `bufsz` bytes, which is what the memory has room for.
unsafe impl Domctl for GetHvmContextPartial<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_gethvmcontext_partial" = 55);
    type Record = HvmContextPartialRecord;

    fn record(&self) -> HvmContextPartialRecord {
        let bufsz = u64::try_from(self.into.len()).unwrap_or(u64::MAX);
        let Self { kind, instance, .. } = *self;
        HvmContextPartialRecord { kind, instance, bufsz, buffer: self.into.address() }
    }
}
