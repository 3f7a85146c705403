//! Mappings of which some frames are not there.
#![expect(unsafe_code, reason = "holds memory with holes, which every access minds")]

use crate::Error;
use crate::frames::{self, FrameStatus, Plan};
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};
use xen_sys::linux::privcmd::Privcmd;
use xen_sys::zerocopy::{FromBytes, Immutable, IntoBytes};
use xen_sys::{Access, Device, DomId, Gfn, PAGE_SIZE, ReadWrite, SharedMemory};

/// Another domain's frames, as many of a list as could be mapped. Dropping it unmaps them.
///
/// It reads and writes as [`SharedMemory`] does, but an access that touches a frame that failed, be it with one byte, is
/// [`Error::NotMapped`], and nothing is read or written.
#[must_use = "dropping a mapping unmaps it"]
pub struct PartialMapping<A: Access = ReadWrite> {
    /// Invariant: only frames whose status says that they are mapped are accessed.
    memory: SharedMemory<A>,
    domain: DomId,
    frames: Box<[Gfn]>,
    statuses: Box<[FrameStatus]>,
    /// Whether all frames are mapped, so that nobody need look.
    whole: bool,
}

impl<A: Access> PartialMapping<A> {
    pub(crate) fn map(device: &Device<Privcmd>, plan: Plan, frames: &[Gfn]) -> Result<Self, Error> {
        let mut statuses = vec![FrameStatus::default(); frames.len()].into_boxed_slice();
        // SAFETY: the statuses come along, and `part` minds them.
        let memory = unsafe { frames::map(device, plan, frames, &mut statuses) }?;
        let whole = frames::are_all_mapped(&statuses);
        Ok(Self { memory, domain: plan.domain, frames: frames.into(), statuses, whole })
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomId {
        self.domain
    }

    /// The frames that were asked for: number `n` is at offset `n * 4096`.
    #[must_use]
    pub fn frames(&self) -> &[Gfn] {
        &self.frames
    }

    /// How each frame fared.
    #[must_use]
    pub fn statuses(&self) -> &[FrameStatus] {
        &self.statuses
    }

    /// Whether frame number `index` is mapped; there is none beyond the end.
    #[must_use]
    pub fn is_mapped(&self, index: usize) -> bool {
        self.statuses.get(index).is_some_and(|status| status.is_mapped())
    }

    /// Length in bytes: 4096 for each frame, mapped or not.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.memory.len()
    }

    /// The memory, after a look whether all frames of a part are mapped. What is outside, the memory itself refuses.
    #[inline]
    fn part(&self, offset: usize, length: usize) -> Result<&SharedMemory<A>, Error> {
        if !self.whole {
            self.look_for_holes(offset, length)?;
        }
        Ok(&self.memory)
    }

    #[cold]
    fn look_for_holes(&self, offset: usize, length: usize) -> Result<(), Error> {
        let first = offset / PAGE_SIZE;
        let end = offset.saturating_add(length).div_ceil(PAGE_SIZE).min(self.statuses.len());
        let touched = self.statuses.iter().zip(&self.frames).enumerate().take(end).skip(first);
        for (index, (status, &gfn)) in touched {
            status.result().map_err(|source| Error::NotMapped { domain: self.domain, index, gfn, source })?;
        }
        Ok(())
    }

    /// Address of a frame, 4096 bytes long, or `None` if it is not mapped.
    ///
    /// What is done through it is the caller's to justify: other domains write here, and a read-only mapping faults
    /// when written.
    #[must_use]
    pub fn page_ptr(&self, index: usize) -> Option<*mut u8> {
        if self.is_mapped(index) { self.memory.page_ptr(index) } else { None }
    }

    /// Copies a value out.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`].
    #[inline]
    pub fn read<T: FromBytes>(&self, offset: usize) -> Result<T, Error> {
        Ok(self.part(offset, size_of::<T>())?.read(offset)?)
    }

    /// Copies bytes out, at the speed of `memcpy`.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`]; nothing is copied then.
    #[inline]
    pub fn copy_to_slice(&self, offset: usize, target: &mut [u8]) -> Result<(), Error> {
        Ok(self.part(offset, target.len())?.copy_to_slice(offset, target)?)
    }

    /// Loads a 32-bit word with acquire ordering.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`].
    pub fn load_u32(&self, offset: usize) -> Result<u32, Error> {
        Ok(self.part(offset, size_of::<u32>())?.load_u32(offset)?)
    }
}

impl PartialMapping<ReadWrite> {
    /// Copies a value in.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`]; nothing is written then.
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<(), Error> {
        Ok(self.part(offset, size_of::<T>())?.write(offset, value)?)
    }

    /// Copies bytes in, at the speed of `memcpy`.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`]; nothing is written then.
    #[inline]
    pub fn copy_from_slice(&self, offset: usize, source: &[u8]) -> Result<(), Error> {
        Ok(self.part(offset, source.len())?.copy_from_slice(offset, source)?)
    }

    /// Sets `length` bytes to `byte`.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`]; nothing is written then.
    pub fn fill(&self, offset: usize, length: usize, byte: u8) -> Result<(), Error> {
        Ok(self.part(offset, length)?.fill(offset, length, byte)?)
    }

    /// An atomic byte in the memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`].
    pub fn atomic_u8(&self, offset: usize) -> Result<&AtomicU8, Error> {
        Ok(self.part(offset, size_of::<u8>())?.atomic_u8(offset)?)
    }

    /// An atomic 16-bit word in the memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`], also if `offset` is odd.
    pub fn atomic_u16(&self, offset: usize) -> Result<&AtomicU16, Error> {
        Ok(self.part(offset, size_of::<u16>())?.atomic_u16(offset)?)
    }

    /// An atomic 32-bit word in the memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`], also if `offset` is no multiple of 4.
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32, Error> {
        Ok(self.part(offset, size_of::<u32>())?.atomic_u32(offset)?)
    }

    /// An atomic 64-bit word in the memory.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`], also if `offset` is no multiple of 8.
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64, Error> {
        Ok(self.part(offset, size_of::<u64>())?.atomic_u64(offset)?)
    }

    /// A part of the memory as rust-vmm's `VolatileSlice`.
    ///
    /// # Errors
    ///
    /// [`Error::NotMapped`], [`Error::Access`].
    #[cfg(feature = "vm-memory")]
    pub fn volatile_slice(
        &self,
        offset: usize,
        length: usize,
    ) -> Result<vm_memory::VolatileSlice<'_>, Error> {
        Ok(self.part(offset, length)?.volatile_slice(offset, length)?)
    }
}

impl<A: Access> fmt::Debug for PartialMapping<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mapped = self.statuses.iter().filter(|status| status.is_mapped()).count();
        f.debug_struct("PartialMapping")
            .field("domain", &self.domain)
            .field("frames", &self.frames.len())
            .field("mapped", &mapped)
            .field("writable", &A::WRITABLE)
            .finish_non_exhaustive()
    }
}
