//! `/dev/xen/gntdev`: `include/uapi/xen/gntdev.h`
#![expect(unsafe_code, reason = "facts about the records: see `Request`")]

use super::device::Driver;
use super::request::{Request, opcode, record};
use crate::xen_public::layout;
use crate::{DomId, GrantRef, Port};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The driver behind `/dev/xen/gntdev`.
#[derive(Debug)]
pub enum Gntdev {}

impl Driver for Gntdev {
    const PATH: &'static str = "/dev/xen/gntdev";
    const MODULE: &'static str = "xen-gntdev";
}

/// `struct ioctl_gntdev_grant_ref`: one grant, of one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Grant {
    domid: u16,
    /// Zero: the driver has 32 bits for the domain.
    padding: u16,
    reference: GrantRef,
}
layout!(Grant = "struct ioctl_gntdev_grant_ref", 8, domid @ 0, reference("ref") @ 4);
const _: () = assert!(cfg!(target_endian = "little"), "`Grant` splits a 32-bit field, low half first");

impl Grant {
    /// Grant `reference` of `domain`.
    #[must_use]
    pub const fn new(domain: DomId, reference: GrantRef) -> Self {
        Self { domid: domain.get(), padding: 0, reference }
    }

    /// The granting domain.
    #[must_use]
    pub const fn domain(self) -> DomId {
        DomId::from_raw(self.domid)
    }

    /// The reference in that domain's grant table.
    #[must_use]
    pub const fn reference(self) -> GrantRef {
        self.reference
    }
}

/// `struct ioctl_gntdev_map_grant_ref` without the list of grants behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct MapGrantRefHeader {
    count: u32,
    padding: u32,
    index: u64,
}
layout!(MapGrantRefHeader = "struct ioctl_gntdev_map_grant_ref" before "refs", 16, count @ 0, index @ 8);

/// `struct ioctl_gntdev_map_grant_ref`: notes grants down for a later `mmap(2)`.
#[derive(Debug)]
pub struct MapGrantRef<'a> {
    words: &'a mut [u64],
}

impl MapGrantRef<'_> {
    /// Makes a request for `count` grants, of which the first are taken from `grants`; calls `submit` with it, and hands
    /// its answer back. With fewer grants than `count`, the rest is grant 0 of domain 0.
    pub fn with<T>(
        count: u32,
        grants: impl Iterator<Item = Grant>,
        submit: impl FnOnce(&mut MapGrantRef<'_>) -> T,
    ) -> T {
        let header = MapGrantRefHeader { count, padding: 0, index: 0 };
        let tail = usize::try_from(count).unwrap_or(usize::MAX);
        words(&header, tail, |words| {
            let slots =
                words.as_mut_bytes()[size_of::<MapGrantRefHeader>()..].chunks_exact_mut(size_of::<Grant>());
            for (slot, grant) in slots.zip(grants) {
                slot.copy_from_slice(grant.as_bytes());
            }
            submit(&mut MapGrantRef { words })
        })
    }

    /// Where the grants are to be mapped from: an offset into the device, in bytes.
    #[must_use]
    pub fn index(&self) -> u64 {
        MapGrantRefHeader::read_from_prefix(self.words.as_bytes()).map_or(0, |(header, _)| header.index)
    }
}

// The size in the number is that of a request for one grant, however many there are.
record!(MapGrantRef<'_>, Gntdev, "IOCTL_GNTDEV_MAP_GRANT_REF" = 0x0018_4700, opcode(b'G', 0, 24), words);
// SAFETY: the driver reads `count` grants behind the header, which `with` made room for, and writes the index.
unsafe impl Request for MapGrantRef<'_> {}

/// Calls `body` with zeroed words that hold `header` and have room for `tail` words more: on the stack as long as
/// that is reasonable, so that hot paths do not allocate.
#[inline]
pub(super) fn words<H: IntoBytes + Immutable, T>(
    header: &H,
    tail: usize,
    body: impl FnOnce(&mut [u64]) -> T,
) -> T {
    const FEW: usize = 10;
    let count = size_of::<H>().div_ceil(size_of::<u64>()).saturating_add(tail);
    let fill = |words: &mut [u64]| {
        words.as_mut_bytes()[..size_of::<H>()].copy_from_slice(header.as_bytes());
        body(words)
    };
    if count <= FEW { fill(&mut [0; FEW][..count]) } else { many_words(count, fill) }
}

/// Apart, so that few words need no large stack frame.
#[inline(never)]
fn many_words<T>(count: usize, fill: impl FnOnce(&mut [u64]) -> T) -> T {
    const SMALL: usize = 34;
    const LARGE: usize = 514;
    if count <= SMALL {
        fill(&mut [0; SMALL][..count])
    } else if count <= LARGE {
        fill(&mut [0; LARGE][..count])
    } else {
        fill(&mut vec![0; count])
    }
}

/// `struct ioctl_gntdev_unmap_grant_ref`: gives the file's hold on grants back. What is mapped stays mapped.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapGrantRef {
    /// What [`MapGrantRef::index`] gave.
    pub index: u64,
    /// The number of grants.
    pub count: u32,
    /// Zero.
    pub padding: u32,
}
layout!(UnmapGrantRef = "struct ioctl_gntdev_unmap_grant_ref", 16, index @ 0, count @ 8);
record!(
    UnmapGrantRef,
    Gntdev,
    "IOCTL_GNTDEV_UNMAP_GRANT_REF" = 0x0010_4701,
    opcode(b'G', 1, size_of::<UnmapGrantRef>())
);
// SAFETY: the driver reads the record and drops a reference; a mapping holds one of its own.
unsafe impl Request for UnmapGrantRef {}

/// `struct ioctl_gntdev_get_offset_for_vaddr`: which index a mapped address belongs to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct GetOffsetForVaddr {
    /// The address. One below a mapping finds that mapping too.
    pub vaddr: u64,
    /// Answer: the index.
    pub offset: u64,
    /// Answer: the number of grants.
    pub count: u32,
    /// Zero.
    pub padding: u32,
}
layout!(GetOffsetForVaddr = "struct ioctl_gntdev_get_offset_for_vaddr", 24, vaddr @ 0, offset @ 8, count @ 16);
record!(
    GetOffsetForVaddr,
    Gntdev,
    "IOCTL_GNTDEV_GET_OFFSET_FOR_VADDR" = 0x0018_4702,
    opcode(b'G', 2, size_of::<GetOffsetForVaddr>())
);
// SAFETY: the driver looks the address up and does not follow it; it writes the record.
unsafe impl Request for GetOffsetForVaddr {}

/// `struct ioctl_gntdev_set_max_grants`: no kernel of today implements it (`ENOTTY`), as there is no such limit.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetMaxGrants {
    /// The limit that was wanted.
    pub count: u32,
}
layout!(SetMaxGrants = "struct ioctl_gntdev_set_max_grants", 4, count @ 0);
record!(
    SetMaxGrants,
    Gntdev,
    "IOCTL_GNTDEV_SET_MAX_GRANTS" = 0x0004_4703,
    opcode(b'G', 3, size_of::<SetMaxGrants>())
);
// SAFETY: the driver at most reads the record.
unsafe impl Request for SetMaxGrants {}

/// `struct ioctl_gntdev_unmap_notify`: what is to happen when a page goes. gntalloc has the same record.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnmapNotify {
    /// Offset of the byte to clear, from the start of the device.
    pub index: u64,
    /// Sum of [`UnmapNotify::CLEAR_BYTE`] and [`UnmapNotify::SEND_EVENT`].
    pub action: u32,
    /// Local port to send an event to; some `/dev/xen/evtchn` must hold it.
    pub event_channel_port: Port,
}
layout!(UnmapNotify = "struct ioctl_gntdev_unmap_notify", 16, index @ 0, action @ 8, event_channel_port @ 12);

impl UnmapNotify {
    /// `UNMAP_NOTIFY_CLEAR_BYTE`
    #[doc(alias = "UNMAP_NOTIFY_CLEAR_BYTE")]
    pub const CLEAR_BYTE: u32 = 1;
    /// `UNMAP_NOTIFY_SEND_EVENT`
    #[doc(alias = "UNMAP_NOTIFY_SEND_EVENT")]
    pub const SEND_EVENT: u32 = 2;
}

/// `IOCTL_GNTDEV_SET_UNMAP_NOTIFY`. Not a [`Request`]: to clear a byte of a map that is then mapped read-only makes the
/// kernel itself fault.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SetUnmapNotify(pub UnmapNotify);
layout!(SetUnmapNotify = "struct ioctl_gntdev_unmap_notify", 16);
record!(
    SetUnmapNotify,
    Gntdev,
    "IOCTL_GNTDEV_SET_UNMAP_NOTIFY" = 0x0010_4707,
    opcode(b'G', 7, size_of::<SetUnmapNotify>())
);

mod copy;
mod dmabuf;

pub use copy::{CopySegment, GrantCopy, InvalidSegment};
pub use dmabuf::{DmabufExpFromRefs, DmabufExpWaitReleased, DmabufImpRelease, DmabufImpToRefs};
