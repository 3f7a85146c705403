//! What lies where in a domain's memory.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::memory_op;
use crate::xen_public::operation::GuestMemory;
use crate::xen_public::{constants, layout};
use crate::{DomId, OtherDomain};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a page is taken from (`XENMAPSPACE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct MapSpace(pub u16);
layout!(MapSpace = "struct xen_add_to_physmap_batch.space", 2);

constants! { impl MapSpace:
    /// The domain's shared information page.
    SHARED_INFO = "XENMAPSPACE_shared_info" = 0;
    /// The domain's grant table, by the number of its page.
    GRANT_TABLE = "XENMAPSPACE_grant_table" = 1;
    /// The domain's own memory: a page moves.
    GMFN = "XENMAPSPACE_gmfn" = 2;
    /// The domain's own memory: a range moves.
    GMFN_RANGE = "XENMAPSPACE_gmfn_range" = 3;
    /// Another domain's memory.
    GMFN_FOREIGN = "XENMAPSPACE_gmfn_foreign" = 4;
    /// A device's memory, on Arm.
    DEV_MMIO = "XENMAPSPACE_dev_mmio" = 5;
}

constants! { u64:
    /// In an index into [`MapSpace::GRANT_TABLE`]: a page of the status entries.
    MAPIDX_GRANT_TABLE_STATUS = "XENMAPIDX_grant_table_status" = 0x8000_0000;
}

/// `struct xen_add_to_physmap`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_add_to_physmap")]
pub struct AddToPhysmapRecord {
    /// Whose memory changes.
    pub domid: u16,
    /// How many pages, for [`MapSpace::GMFN_RANGE`]. Xen counts it down as it goes on.
    pub size: u16,
    /// What the page is taken from: [`MapSpace`].
    pub space: u32,
    /// Which page of that.
    pub idx: u64,
    /// At which of the domain's frames it is to appear.
    pub gpfn: u64,
}
layout!(
    AddToPhysmapRecord = "struct xen_add_to_physmap", 24, domid @ 0, size @ 2, space @ 4, idx @ 8, gpfn @ 16,
);

/// Puts a page, or a range, to a place in a domain's memory.
///
/// `XENMEM_add_to_physmap`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XENMEM_add_to_physmap")]
pub struct AddToPhysmap {
    /// Whose memory changes.
    pub domain: OtherDomain,
    /// What the page is taken from.
    pub space: MapSpace,
    /// How many pages, for [`MapSpace::GMFN_RANGE`].
    pub count: u16,
    /// Which page of the space.
    pub index: u64,
    /// At which of the domain's frames it is to appear.
    pub at: u64,
}

impl AddToPhysmap {
    fn to_record(self) -> AddToPhysmapRecord {
        AddToPhysmapRecord {
            domid: self.domain.id().get(),
            size: self.count,
            space: self.space.0.into(),
            idx: self.index,
            gpfn: self.at,
        }
    }
}

// SAFETY: integers only; it is another domain's memory that changes.
memory_op!(AddToPhysmap, AddToPhysmapRecord, "XENMEM_add_to_physmap" = 7);

/// `struct xen_add_to_physmap_batch`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_add_to_physmap_batch")]
pub struct AddToPhysmapBatchRecord {
    /// Whose memory changes.
    pub domid: u16,
    /// What the pages are taken from.
    pub space: MapSpace,
    /// How many pages. Xen counts it down as it goes on.
    pub size: u16,
    /// Whose pages, for [`MapSpace::GMFN_FOREIGN`], else 0.
    pub foreign_domid: u16,
    /// Address of the list of pages of the space.
    pub idxs: u64,
    /// Address of the list of frames at which they are to appear.
    pub gpfns: u64,
    /// Address of the list of results.
    pub errs: u64,
}
layout!(
    AddToPhysmapBatchRecord = "struct xen_add_to_physmap_batch", 32,
    domid @ 0, space @ 2, size @ 4, foreign_domid("u.foreign_domid") @ 6, idxs @ 8, gpfns @ 16, errs @ 24,
);

/// Puts pages to places in a domain's memory, each with a result of its own: 0 or a negative error number.
///
/// `XENMEM_add_to_physmap_batch`
#[derive(Debug)]
#[doc(alias = "XENMEM_add_to_physmap_batch")]
pub struct AddToPhysmapBatch<'a> {
    /// Whose memory changes.
    pub domain: OtherDomain,
    /// What the pages are taken from.
    pub space: MapSpace,
    /// Whose pages, for [`MapSpace::GMFN_FOREIGN`].
    pub foreign: Option<DomId>,
    /// Which pages of the space: 8 bytes each.
    pub indexes: GuestMemory<'a>,
    /// At which of the domain's frames they are to appear: 8 bytes each.
    pub frames: GuestMemory<'a>,
    /// The results: 4 bytes each.
    pub results: GuestMemory<'a>,
}

impl AddToPhysmapBatch<'_> {
    /// As many as all three lists have room for.
    fn count(&self) -> usize {
        let pages = self.indexes.len().min(self.frames.len()) / size_of::<u64>();
        pages.min(self.results.len() / size_of::<i32>())
    }

    fn to_record(&self) -> AddToPhysmapBatchRecord {
        AddToPhysmapBatchRecord {
            domid: self.domain.id().get(),
            space: self.space,
            size: u16::try_from(self.count()).unwrap_or(u16::MAX),
            foreign_domid: self.foreign.map_or(0, DomId::get),
            idxs: self.indexes.address(),
            gpfns: self.frames.address(),
            errs: self.results.address(),
        }
    }
}

// SAFETY: Xen reads two lists and writes the third, as many entries as all have room for. It is another domain's
// memory that changes.
memory_op!(AddToPhysmapBatch<'_>, AddToPhysmapBatchRecord, "XENMEM_add_to_physmap_batch" = 23);

/// `struct xen_remove_from_physmap`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_remove_from_physmap")]
pub struct RemoveFromPhysmapRecord {
    /// Whose memory changes.
    pub domid: u16,
    /// Zero.
    pub pad: [u16; 3],
    /// Which frame.
    pub gpfn: u64,
}
layout!(RemoveFromPhysmapRecord = "struct xen_remove_from_physmap", 16, domid @ 0, gpfn @ 8);

/// Takes away what lies at a frame of a domain's.
///
/// `XENMEM_remove_from_physmap`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XENMEM_remove_from_physmap")]
pub struct RemoveFromPhysmap {
    /// Whose memory changes.
    pub domain: OtherDomain,
    /// Which frame.
    pub frame: u64,
}

impl RemoveFromPhysmap {
    fn to_record(self) -> RemoveFromPhysmapRecord {
        RemoveFromPhysmapRecord { domid: self.domain.id().get(), pad: [0; 3], gpfn: self.frame }
    }
}

// SAFETY: integers only; it is another domain's memory that changes.
memory_op!(RemoveFromPhysmap, RemoveFromPhysmapRecord, "XENMEM_remove_from_physmap" = 15);
