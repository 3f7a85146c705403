//! What a device model does to the guest's memory, and wants to know of it.

use std::ops::RangeInclusive;

use xen_sys::Gfn;
use xen_sys::xen_public::hvm::{self, ModifiedExtent, ModifiedMemory, PinMemoryCacheAttr, RelocateMemory};
use xen_sys::xen_public::hvm::{SetMemType, TrackDirtyVram};
use xen_sys::zerocopy::IntoBytes;

use super::DeviceModel;
use crate::Error;

/// Pages of the guest's that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageRun {
    /// The first one.
    pub first: Gfn,
    /// How many.
    pub count: u32,
}

/// What a guest's page is to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryType {
    /// Memory.
    #[doc(alias = "HVMMEM_ram_rw")]
    Ram,
    /// Memory; what is written is lost.
    #[doc(alias = "HVMMEM_ram_ro")]
    ReadOnly,
    /// None: accesses are requests to device models.
    #[doc(alias = "HVMMEM_mmio_dm")]
    Emulated,
    /// Memory; writes are requests to the server that has
    /// [claimed the type](super::IoreqServer::claim_memory_type).
    #[doc(alias = "HVMMEM_ioreq_server")]
    IoreqServer,
    /// A number that this crate does not know.
    Other(u16),
}

impl MemoryType {
    /// Xen's number for it.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Ram => hvm::HVMMEM_RAM_RW,
            Self::ReadOnly => hvm::HVMMEM_RAM_RO,
            Self::Emulated => hvm::HVMMEM_MMIO_DM,
            Self::IoreqServer => hvm::HVMMEM_IOREQ_SERVER,
            Self::Other(number) => number,
        }
    }

    /// The type that Xen means by this number.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        match number {
            hvm::HVMMEM_RAM_RW => Self::Ram,
            hvm::HVMMEM_RAM_RO => Self::ReadOnly,
            hvm::HVMMEM_MMIO_DM => Self::Emulated,
            hvm::HVMMEM_IOREQ_SERVER => Self::IoreqServer,
            other => Self::Other(other),
        }
    }
}

/// How the processor may cache memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheAttribute {
    /// Not at all.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_UC")]
    Uncached,
    /// Not at all, unless the guest has writes combined there.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_UCM")]
    UncachedMinus,
    /// Writes are combined.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_WC")]
    WriteCombining,
    /// Writes go through.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_WT")]
    WriteThrough,
    /// Writes go by.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_WP")]
    WriteProtected,
    /// Writes stay in the cache until they must go.
    #[doc(alias = "XEN_DMOP_MEM_CACHEATTR_WB")]
    WriteBack,
}

impl CacheAttribute {
    fn number(self) -> u32 {
        match self {
            Self::Uncached => hvm::MEM_CACHEATTR_UC,
            Self::UncachedMinus => hvm::MEM_CACHEATTR_UCM,
            Self::WriteCombining => hvm::MEM_CACHEATTR_WC,
            Self::WriteThrough => hvm::MEM_CACHEATTR_WT,
            Self::WriteProtected => hvm::MEM_CACHEATTR_WP,
            Self::WriteBack => hvm::MEM_CACHEATTR_WB,
        }
    }
}

/// How many runs of pages one call takes, as the kernel is configured by default.
const RUNS: usize = 256;
/// So many are told of as a rule: room for more need not be cleared then.
const FEW_RUNS: usize = 4;

impl DeviceModel {
    /// Tells Xen that the device model has written to pages of the guest's, so that a migration sends them again. One system call for
    /// 256 runs, without an allocation. If nobody wants to know which pages are written, Xen does not look at the list. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for an empty run, or one beyond the guest's
    /// memory. Which of the pages count as written then is not known; it does no harm to tell of a page again.
    #[doc(alias = "xendevicemodel_modified_memory")]
    #[doc(alias = "xendevicemodel_modified_memory_bulk")]
    #[doc(alias = "xc_hvm_modified_memory")]
    #[doc(alias = "XEN_DMOP_modified_memory")]
    pub fn modified_memory(&self, runs: &[PageRun]) -> Result<(), Error> {
        let tell = if runs.len() <= FEW_RUNS { Self::tell_of::<FEW_RUNS> } else { Self::tell_of::<RUNS> };
        runs.chunks(RUNS).try_for_each(|runs| tell(self, runs))
    }

    /// Tells of no more than `ROOM` runs.
    fn tell_of<const ROOM: usize>(&self, runs: &[PageRun]) -> Result<(), Error> {
        let mut extents = [ModifiedExtent::default(); ROOM];
        let mut count = 0;
        for (extent, run) in extents.iter_mut().zip(runs) {
            *extent = ModifiedExtent { nr: run.count, pad: 0, first_pfn: run.first.get() };
            count += 1;
        }
        let mut operation = ModifiedMemory { nr_extents: count, opaque: 0 };
        self.operate(&mut operation, Some(extents[..runs.len()].as_mut_bytes()))
    }

    /// Asks which pages of a run were written since the last time, and goes on watching them: the screen's memory, as a rule.
    /// Bit `n` of the bitmap is for the n-th page of the run.
    ///
    /// Xen watches one run for each guest. A call with another run than before ends the watch over that one, and tells
    /// that all pages are written. So a longer run cannot be asked for in parts: as the kernel is configured by default, there
    /// are 32768 pages at most (`dm_op_buf_max_size` of the module is what the bitmap may have), and 262144 in any case. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `E2BIG` for a longer run; with `EINVAL` for a run of no pages,
    /// a bitmap that is too short, more than 262144 pages, or a guest without vCPUs.
    #[doc(alias = "xendevicemodel_track_dirty_vram")]
    #[doc(alias = "xc_hvm_track_dirty_vram")]
    #[doc(alias = "XEN_DMOP_track_dirty_vram")]
    pub fn track_dirty_vram(&self, run: PageRun, bitmap: &mut [u8]) -> Result<(), Error> {
        let mut operation = TrackDirtyVram { nr: run.count, pad: 0, first_pfn: run.first.get() };
        let bytes = usize::try_from(run.count.div_ceil(8)).unwrap_or(usize::MAX);
        let bitmap = bitmap.get_mut(..bytes).filter(|bitmap| !bitmap.is_empty());
        self.operate(&mut operation, bitmap)
    }

    /// Ends the watch of [`track_dirty_vram`](Self::track_dirty_vram).
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`].
    pub fn untrack_dirty_vram(&self) -> Result<(), Error> {
        self.operate(&mut TrackDirtyVram::default(), Some(&mut [0]))
    }

    /// Says what pages are to the guest. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for a type that these pages cannot have, or pages
    /// beyond the guest's memory, `EAGAIN` for one that is paged out or shared. Those in front of it have the type then.
    #[doc(alias = "xendevicemodel_set_mem_type")]
    #[doc(alias = "xc_hvm_set_mem_type")]
    #[doc(alias = "XEN_DMOP_set_mem_type")]
    pub fn set_memory_type(&self, run: PageRun, memory_type: MemoryType) -> Result<(), Error> {
        let mut operation =
            SetMemType { nr: run.count, mem_type: memory_type.number(), pad: 0, first_pfn: run.first.get() };
        self.operate(&mut operation, None)
    }

    /// Moves pages of the guest's to other places. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` or `ENOENT` for pages that are not there, by Xen 4.20
    /// [`Error::Denied`] with `EACCES`. How many were moved is not known then.
    #[doc(alias = "xendevicemodel_relocate_memory")]
    #[doc(alias = "XEN_DMOP_relocate_memory")]
    pub fn relocate_memory(&self, run: PageRun, to: Gfn) -> Result<(), Error> {
        let mut operation =
            RelocateMemory { size: run.count, pad: 0, src_gfn: run.first.get(), dst_gfn: to.get() };
        self.operate(&mut operation, None)
    }

    /// Fixes how pages are cached, whatever the guest says: for a screen's memory, say. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for a range that is none, or goes beyond what
    /// addresses can be.
    #[doc(alias = "xendevicemodel_pin_memory_cacheattr")]
    #[doc(alias = "xc_domain_pin_memory_cacheattr")]
    #[doc(alias = "XEN_DMOP_pin_memory_cacheattr")]
    pub fn pin_cache_attribute(
        &self,
        pages: RangeInclusive<Gfn>,
        attribute: CacheAttribute,
    ) -> Result<(), Error> {
        self.cache_attribute(&pages, attribute.number())
    }

    /// The guest says again how pages are cached. The range must be as it was fixed.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `ENOENT` if this range was not fixed.
    pub fn unpin_cache_attribute(&self, pages: RangeInclusive<Gfn>) -> Result<(), Error> {
        self.cache_attribute(&pages, hvm::DELETE_MEM_CACHEATTR)
    }

    fn cache_attribute(&self, pages: &RangeInclusive<Gfn>, kind: u32) -> Result<(), Error> {
        let (start, end) = (pages.start().get(), pages.end().get());
        self.operate(&mut PinMemoryCacheAttr { start, end, kind, pad: 0 }, None)
    }
}
