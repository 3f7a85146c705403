//! Grants as dma-bufs, and dma-bufs as grants. A kernel without `CONFIG_XEN_GNTDEV_DMABUF` answers `ENOTTY`.

use super::{Gntdev, words};
use crate::linux::request::{Request, opcode, record};
use crate::xen_public::layout;
use crate::{DomId, GrantRef};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct ioctl_gntdev_dmabuf_exp_from_refs` without the references behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ExpHeader {
    flags: u32,
    count: u32,
    fd: i32,
    domid: u32,
}
layout!(
    ExpHeader = "struct ioctl_gntdev_dmabuf_exp_from_refs" before "refs", 16, flags @ 0, count @ 4, fd @ 8,
    domid @ 12,
);

/// `struct ioctl_gntdev_dmabuf_exp_from_refs`: makes a dma-buf of grants.
#[derive(Debug)]
pub struct DmabufExpFromRefs<'a> {
    words: &'a mut [u64],
}

impl DmabufExpFromRefs<'_> {
    /// Pages are mapped write-combined (`GNTDEV_DMA_FLAG_WC`).
    #[doc(alias = "GNTDEV_DMA_FLAG_WC")]
    pub const WRITE_COMBINED: u32 = 1;
    /// Pages are mapped coherent (`GNTDEV_DMA_FLAG_COHERENT`).
    #[doc(alias = "GNTDEV_DMA_FLAG_COHERENT")]
    pub const COHERENT: u32 = 2;

    /// Makes a request, calls `submit` with it, and hands its answer back. No more than 2^32 references count.
    pub fn with<T>(
        flags: u32,
        domain: DomId,
        references: &[GrantRef],
        submit: impl FnOnce(&mut DmabufExpFromRefs<'_>) -> T,
    ) -> T {
        let count = u32::try_from(references.len()).unwrap_or(u32::MAX);
        let header = ExpHeader { flags, count, fd: -1, domid: domain.get().into() };
        words(&header, references.len().div_ceil(2).max(1), |words| {
            let bytes = references.as_bytes();
            words.as_mut_bytes()[size_of::<ExpHeader>()..][..bytes.len()].copy_from_slice(bytes);
            submit(&mut DmabufExpFromRefs { words })
        })
    }

    /// The new dma-buf's file descriptor, close-on-exec, which the caller then owns; -1 before.
    #[must_use]
    pub fn fd(&self) -> i32 {
        ExpHeader::read_from_prefix(self.words.as_bytes()).map_or(-1, |(header, _)| header.fd)
    }
}

// The size in the number is that of a request for one grant, however many there are.
record!(
    DmabufExpFromRefs<'_>,
    Gntdev,
    "IOCTL_GNTDEV_DMABUF_EXP_FROM_REFS" = 0x0014_4709,
    opcode(b'G', 9, 20),
    words
);
// SAFETY: the driver reads `count` references behind the header, which `with` put there, and writes the header.
unsafe impl Request for DmabufExpFromRefs<'_> {}

/// `struct ioctl_gntdev_dmabuf_exp_wait_released`: waits until nobody uses an exported dma-buf any more.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmabufExpWaitReleased {
    /// The number under which the dma-buf was exported; it is only looked up, and may be closed by now.
    pub fd: i32,
    /// How long to wait, in milliseconds. Signals do not end the wait.
    pub wait_to_ms: u32,
}
layout!(DmabufExpWaitReleased = "struct ioctl_gntdev_dmabuf_exp_wait_released", 8, fd @ 0, wait_to_ms @ 4);
record!(
    DmabufExpWaitReleased,
    Gntdev,
    "IOCTL_GNTDEV_DMABUF_EXP_WAIT_RELEASED" = 0x0008_470a,
    opcode(b'G', 10, size_of::<DmabufExpWaitReleased>())
);
// SAFETY: the driver reads the record; the number only names an entry in a list of its own.
unsafe impl Request for DmabufExpWaitReleased {}

/// `struct ioctl_gntdev_dmabuf_imp_to_refs` without the references behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ImpHeader {
    fd: i32,
    count: u32,
    domid: u32,
    reserved: u32,
}
layout!(
    ImpHeader = "struct ioctl_gntdev_dmabuf_imp_to_refs" before "refs", 16, fd @ 0, count @ 4, domid @ 8,
    reserved @ 12,
);

/// `struct ioctl_gntdev_dmabuf_imp_to_refs`: grants the pages of a dma-buf to a domain.
#[derive(Debug)]
pub struct DmabufImpToRefs<'a> {
    words: &'a mut [u64],
    _fd: PhantomData<BorrowedFd<'a>>,
}

impl DmabufImpToRefs<'_> {
    /// Makes a request, calls `submit` with it, and hands its answer back.
    pub fn with<T>(
        dmabuf: BorrowedFd<'_>,
        count: u32,
        domain: DomId,
        submit: impl FnOnce(&mut DmabufImpToRefs<'_>) -> T,
    ) -> T {
        let header = ImpHeader { fd: dmabuf.as_raw_fd(), count, domid: domain.get().into(), reserved: 0 };
        let tail = usize::try_from(count).unwrap_or(usize::MAX).div_ceil(2).max(1);
        words(&header, tail, |words| submit(&mut DmabufImpToRefs { words, _fd: PhantomData }))
    }

    /// The references of the granted pages.
    #[must_use]
    pub fn references(&self) -> &[GrantRef] {
        let bytes = self.words.as_bytes();
        let Ok((header, bytes)) = ImpHeader::read_from_prefix(bytes) else { return &[] };
        let count = usize::try_from(header.count).unwrap_or(usize::MAX);
        <[GrantRef]>::ref_from_prefix_with_elems(bytes, count).map_or(&[], |(references, _)| references)
    }
}

// The size in the number is that of a request for one page, however many there are.
record!(
    DmabufImpToRefs<'_>,
    Gntdev,
    "IOCTL_GNTDEV_DMABUF_IMP_TO_REFS" = 0x0014_470b,
    opcode(b'G', 11, 20),
    words
);
// SAFETY: the driver reads the header and writes `count` references behind it, for which `with` made room; the
// descriptor is borrowed.
unsafe impl Request for DmabufImpToRefs<'_> {}

/// `struct ioctl_gntdev_dmabuf_imp_release`: ends the grants of an imported dma-buf.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmabufImpRelease {
    /// The number under which the dma-buf was imported; it is only looked up.
    pub fd: i32,
    /// Zero.
    pub reserved: u32,
}
layout!(DmabufImpRelease = "struct ioctl_gntdev_dmabuf_imp_release", 8, fd @ 0, reserved @ 4);
record!(
    DmabufImpRelease,
    Gntdev,
    "IOCTL_GNTDEV_DMABUF_IMP_RELEASE" = 0x0008_470c,
    opcode(b'G', 12, size_of::<DmabufImpRelease>())
);
// SAFETY: the driver reads the record; the number only names an entry in a list of its own.
unsafe impl Request for DmabufImpRelease {}
