//! `/dev/xen/gntalloc`: `include/uapi/xen/gntalloc.h`
#![expect(unsafe_code, reason = "facts about the records: see `Request`")]

use super::device::Driver;
use super::gntdev::{UnmapNotify, words};
use super::request::{Request, opcode, record};
use crate::xen_public::layout;
use crate::{DomId, GrantRef};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The driver behind `/dev/xen/gntalloc`.
#[derive(Debug)]
pub enum Gntalloc {}

impl Driver for Gntalloc {
    const PATH: &'static str = "/dev/xen/gntalloc";
    const MODULE: &'static str = "xen-gntalloc";
}

/// `struct ioctl_gntalloc_alloc_gref` without the list of references behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct AllocGrefHeader {
    domid: u16,
    flags: u16,
    count: u32,
    index: u64,
}
layout!(
    AllocGrefHeader = "struct ioctl_gntalloc_alloc_gref" before "gref_ids", 16, domid @ 0, flags @ 2, count @ 4,
    index @ 8,
);

/// `GNTALLOC_FLAG_WRITABLE`: the other domain may write.
#[doc(alias = "GNTALLOC_FLAG_WRITABLE")]
const WRITABLE: u16 = 1;

/// `struct ioctl_gntalloc_alloc_gref`: asks for fresh zeroed pages, granted to a domain.
#[derive(Debug)]
pub struct AllocGref<'a> {
    words: &'a mut [u64],
}

impl AllocGref<'_> {
    /// Asks for `count` pages granted to `domain`, calls `submit` with the request, and hands its answer back.
    pub fn with<T>(
        domain: DomId,
        count: u32,
        writable: bool,
        submit: impl FnOnce(&mut AllocGref<'_>) -> T,
    ) -> T {
        let header = AllocGrefHeader {
            domid: domain.get(),
            flags: if writable { WRITABLE } else { 0 },
            count,
            index: 0,
        };
        // The references are 32 bits long and lie directly behind the header.
        let tail = usize::try_from(count).unwrap_or(usize::MAX).div_ceil(2).max(1);
        words(&header, tail, |words| submit(&mut AllocGref { words }))
    }

    /// Where the pages are to be mapped from: an offset into the device, in bytes.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.header().index
    }

    /// The references of the granted pages.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        let count = usize::try_from(self.header().count).unwrap_or(usize::MAX);
        let bytes = &self.words.as_bytes()[size_of::<AllocGrefHeader>()..];
        <[GrantRef]>::ref_from_prefix_with_elems(bytes, count).map_or(&[], |(references, _)| references)
    }

    fn header(&self) -> AllocGrefHeader {
        AllocGrefHeader::read_from_prefix(self.words.as_bytes())
            .map_or(AllocGrefHeader { domid: 0, flags: 0, count: 0, index: 0 }, |(header, _)| header)
    }
}

// The size in the number is that of a request for one page, however many there are.
record!(AllocGref<'_>, Gntalloc, "IOCTL_GNTALLOC_ALLOC_GREF" = 0x0018_4705, opcode(b'G', 5, 24), words);
// SAFETY: the driver writes the index and `count` references behind the header; `with` made room for these, and the
// count cannot be changed afterwards.
unsafe impl Request for AllocGref<'_> {}

/// `struct ioctl_gntalloc_dealloc_gref`: gives the file's hold on pages back. They live on while mapped.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DeallocGref {
    /// What [`AllocGref::index`] gave.
    pub index: u64,
    /// The number of pages.
    pub count: u32,
    /// Zero.
    pub padding: u32,
}
layout!(DeallocGref = "struct ioctl_gntalloc_dealloc_gref", 16, index @ 0, count @ 8);
record!(
    DeallocGref,
    Gntalloc,
    "IOCTL_GNTALLOC_DEALLOC_GREF" = 0x0010_4706,
    opcode(b'G', 6, size_of::<DeallocGref>())
);
// SAFETY: the driver reads the record; mapped pages stay.
unsafe impl Request for DeallocGref {}

/// `struct ioctl_gntalloc_unmap_notify`: what is to happen when a page goes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetUnmapNotify(pub UnmapNotify);
layout!(SetUnmapNotify = "struct ioctl_gntalloc_unmap_notify", 16);
record!(
    SetUnmapNotify,
    Gntalloc,
    "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY" = 0x0010_4707,
    opcode(b'G', 7, size_of::<SetUnmapNotify>())
);
// SAFETY: the driver reads the record; the byte that it clears one day lies in a page of this file that it owns.
unsafe impl Request for SetUnmapNotify {}
