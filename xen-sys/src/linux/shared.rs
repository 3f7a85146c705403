//! Memory that another domain can write at any moment.
//!
//! No reference to it is ever made that the compiler could draw conclusions from: every access is a copy or an atomic.
#![expect(unsafe_code, reason = "the one view of shared memory in the workspace")]

mod file;

pub use file::SharedParts;

use super::device::{Device, Driver};
use super::kernel::Mapping;
use super::transfer;
use crate::PAGE_SIZE;
use rustix::param::page_size;
use std::io;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes};

mod sealed {
    pub trait Sealed {}
}

/// What we may do with shared memory: [`ReadWrite`] or [`ReadOnly`].
pub trait Access: sealed::Sealed + Send + Sync + 'static {
    /// Whether we may write.
    const WRITABLE: bool;
}

/// We may read and write.
#[derive(Debug)]
pub enum ReadWrite {}

/// We may only read; the methods that write do not exist.
#[derive(Debug)]
pub enum ReadOnly {}

impl sealed::Sealed for ReadWrite {}
impl sealed::Sealed for ReadOnly {}
impl Access for ReadWrite {
    const WRITABLE: bool = true;
}
impl Access for ReadOnly {
    const WRITABLE: bool = false;
}

/// Mapped pages that another domain can write while we look at them.
///
/// Offsets count bytes, 4096 for each Xen page. On a kernel with larger pages (arm64 with 16 or 64 KiB), granted pages
/// lie one kernel page apart; the methods step over the gaps, so that offsets mean the same everywhere.
///
/// Everything that is read is a snapshot of the moment: copy first, then check the copy, then use the copy. Two reads
/// of one offset may differ.
///
/// The memory can be used from several threads. Bytes that two of them write at the same time end up as one or the
/// other's.
#[derive(Debug)]
pub struct SharedMemory<A: Access = ReadWrite> {
    mapping: Mapping,
    pages: usize,
    /// Distance of two Xen pages, in bytes: the kernel's page size, or 4096 for foreign frames.
    stride: usize,
    access: PhantomData<A>,
}

/// An access that is not inside the memory, or not aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The bytes are not all inside the memory.
    #[error("{length} bytes at offset {offset} are outside the {available} bytes of shared memory")]
    OutOfBounds {
        /// Where the access began.
        offset: usize,
        /// How long it was.
        length: usize,
        /// What there is.
        available: usize,
    },
    /// An atomic access must be aligned to its size.
    #[error("offset {offset} is not a multiple of {alignment}, which an atomic access needs")]
    Misaligned {
        /// Where the access was.
        offset: usize,
        /// What it must be a multiple of.
        alignment: usize,
    },
    /// The bytes do not lie together, because the kernel's pages are larger than Xen's.
    #[error(
        "{length} bytes at offset {offset} cross a page border, and this kernel's pages are larger than Xen's"
    )]
    NotContiguous {
        /// Where the access began.
        offset: usize,
        /// How long it was.
        length: usize,
    },
}

impl From<AccessError> for io::Error {
    fn from(error: AccessError) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}

impl<A: Access> SharedMemory<A> {
    /// Maps `pages` Xen pages, each in a kernel page of its own, from `offset` in the device.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for no pages at all or more than the address space holds.
    pub fn map<D: Driver>(device: &Device<D>, offset: u64, pages: usize) -> io::Result<Self> {
        let stride = page_size();
        let length = pages.checked_mul(stride).filter(|&length| length > 0);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        let mapping = device.map(offset, length, A::WRITABLE)?;
        Ok(Self { mapping, pages, stride, access: PhantomData })
    }

    /// Address space for `frames` foreign frames, for a driver to fill. Unlike pages that are mapped one by one, they lie
    /// together: 4096 bytes each, whatever the kernel's page size is. One mapping holds at most `frames_per_mapping`
    /// of them, which make whole pages of the kernel's.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for no frames at all or more than the address space holds.
    ///
    /// # Safety
    ///
    /// - No frame is accessed, or handed out, that the driver has not filled.
    pub unsafe fn reserve<D: Driver>(
        device: &Device<D>,
        frames: usize,
        frames_per_mapping: usize,
    ) -> io::Result<Self> {
        let length = frames.checked_mul(PAGE_SIZE).and_then(|it| it.checked_next_multiple_of(page_size()));
        let length = length.filter(|&length| length > 0).ok_or(io::ErrorKind::InvalidInput)?;
        let mapping = if frames_per_mapping < frames {
            // No overflow: it is less than the length.
            device.map_in_pieces(length, frames_per_mapping * PAGE_SIZE, A::WRITABLE)?
        } else {
            device.map(0, length, A::WRITABLE)?
        };
        Ok(Self { mapping, pages: frames, stride: PAGE_SIZE, access: PhantomData })
    }

    /// Keeps the memory out of children that this process forks (`MADV_DONTFORK`).
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn not_for_children(&self) -> io::Result<()> {
        self.mapping.not_for_children()
    }

    /// Length in bytes: 4096 for each page.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.pages * PAGE_SIZE
    }

    /// The number of Xen pages.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Address of a Xen page, 4096 bytes long, or `None` if there is no such page.
    ///
    /// What is done through it is the caller's to justify: other domains write here, and a read-only mapping faults
    /// when written.
    #[must_use]
    pub fn page_ptr(&self, page: usize) -> Option<*mut u8> {
        (page < self.pages).then(|| self.mapping.as_mut_ptr().wrapping_add(page * self.stride))
    }

    /// Copies a value out. One of 1, 2, 4 or 8 bytes at an offset that is a multiple of its size is read in one access; of others,
    /// parts can be newer than the rest.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    #[inline]
    pub fn read<T: FromBytes>(&self, offset: usize) -> Result<T, AccessError> {
        let mut value = MaybeUninit::<T>::uninit();
        let target = value.as_mut_ptr().cast::<u8>();
        self.pieces(offset, size_of::<T>(), |source, at, length| {
            // SAFETY: the pieces add up to the size of `T`, so `at + length` stays inside the value.
            let target = unsafe { target.add(at) };
            // SAFETY: a piece is mapped for as long as `self`; the value is this function's own.
            unsafe { transfer::load(source, target, length) };
        })?;
        // SAFETY: all bytes are written, and every byte pattern is a `T` (`FromBytes`).
        Ok(unsafe { value.assume_init() })
    }

    /// Copies bytes out, at the speed of `memcpy`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`]; nothing is copied then.
    #[inline]
    pub fn copy_to_slice(&self, offset: usize, target: &mut [u8]) -> Result<(), AccessError> {
        let start = target.as_mut_ptr();
        self.pieces(offset, target.len(), |source, at, length| {
            // SAFETY: the pieces add up to the slice's length.
            let target = unsafe { start.add(at) };
            // SAFETY: a piece is mapped for as long as `self`; the slice is borrowed exclusively.
            unsafe { transfer::copy(source, target, length) };
        })
    }

    /// Loads a 32-bit word with acquire ordering: what the other side wrote before it stored this is visible after.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], [`AccessError::Misaligned`] if `offset` is no multiple of 4.
    pub fn load_u32(&self, offset: usize) -> Result<u32, AccessError> {
        let word: *mut AtomicU32 = self.atomic(offset)?;
        // SAFETY: inside the mapping and aligned (`atomic`); a load of this size needs no write access.
        Ok(unsafe { &*word }.load(Ordering::Acquire))
    }

    /// Calls `each(address, bytes before it, length)` for the contiguous pieces of a part of the memory.
    #[inline]
    fn pieces(
        &self,
        offset: usize,
        length: usize,
        mut each: impl FnMut(*mut u8, usize, usize),
    ) -> Result<(), AccessError> {
        self.check(offset, length)?;
        let base = self.mapping.as_mut_ptr();
        if self.stride == PAGE_SIZE {
            each(base.wrapping_add(offset), 0, length);
            return Ok(());
        }
        let mut done = 0;
        while done < length {
            let (page, within) = ((offset + done) / PAGE_SIZE, (offset + done) % PAGE_SIZE);
            let size = (PAGE_SIZE - within).min(length - done);
            each(base.wrapping_add(page * self.stride + within), done, size);
            done += size;
        }
        Ok(())
    }

    #[inline]
    fn check(&self, offset: usize, length: usize) -> Result<(), AccessError> {
        let available = self.pages * PAGE_SIZE;
        match offset.checked_add(length) {
            Some(end) if end <= available => Ok(()),
            _ => Err(AccessError::OutOfBounds { offset, length, available }),
        }
    }

    /// Address of an atomic at `offset`: inside the mapping and aligned, or an error.
    #[inline]
    fn atomic<T>(&self, offset: usize) -> Result<*mut T, AccessError> {
        self.check(offset, size_of::<T>())?;
        let alignment = size_of::<T>();
        if offset % alignment != 0 {
            return Err(AccessError::Misaligned { offset, alignment });
        }
        let (page, within) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        Ok(self.mapping.as_mut_ptr().wrapping_add(page * self.stride + within).cast())
    }
}

impl SharedMemory<ReadWrite> {
    /// Copies a value in. One of 1, 2, 4 or 8 bytes at an offset that is a multiple of its size is written in one access; of others,
    /// the other side can see parts before the rest.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`]; nothing is written then.
    #[inline]
    pub fn write<T: IntoBytes + Immutable>(&self, offset: usize, value: &T) -> Result<(), AccessError> {
        let source = value.as_bytes().as_ptr();
        self.pieces(offset, size_of::<T>(), |target, at, length| {
            // SAFETY: the pieces add up to the size of `T`, so `at + length` stays inside the value.
            let source = unsafe { source.add(at) };
            // SAFETY: a piece is mapped writable for as long as `self`; the value is borrowed.
            unsafe { transfer::store(source, target, length) };
        })
    }

    /// Copies bytes in, at the speed of `memcpy`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`]; nothing is written then.
    #[inline]
    pub fn copy_from_slice(&self, offset: usize, source: &[u8]) -> Result<(), AccessError> {
        self.pieces(offset, source.len(), |target, at, length| {
            // SAFETY: the pieces add up to the slice's length.
            let source = unsafe { source.as_ptr().add(at) };
            // SAFETY: a piece is mapped writable for as long as `self`; the slice is borrowed.
            unsafe { transfer::copy(source, target, length) };
        })
    }

    /// Sets `length` bytes to `byte`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`]; nothing is written then.
    pub fn fill(&self, offset: usize, length: usize, byte: u8) -> Result<(), AccessError> {
        self.pieces(offset, length, |target, _, length| {
            // SAFETY: a piece is mapped writable for as long as `self`.
            unsafe { transfer::fill(target, byte, length) };
        })
    }

    /// An atomic byte in the memory.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    #[inline]
    pub fn atomic_u8(&self, offset: usize) -> Result<&AtomicU8, AccessError> {
        let byte: *mut AtomicU8 = self.atomic(offset)?;
        // SAFETY: inside the mapping, writable, and borrowed from `self`.
        Ok(unsafe { &*byte })
    }

    /// An atomic 16-bit word in the memory, for the indices of virtio rings.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], [`AccessError::Misaligned`] if `offset` is odd.
    #[inline]
    pub fn atomic_u16(&self, offset: usize) -> Result<&AtomicU16, AccessError> {
        let word: *mut AtomicU16 = self.atomic(offset)?;
        // SAFETY: inside the mapping, aligned, writable, and borrowed from `self`.
        Ok(unsafe { &*word })
    }

    /// An atomic 32-bit word in the memory, for ring indices.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], [`AccessError::Misaligned`] if `offset` is no multiple of 4.
    #[inline]
    pub fn atomic_u32(&self, offset: usize) -> Result<&AtomicU32, AccessError> {
        let word: *mut AtomicU32 = self.atomic(offset)?;
        // SAFETY: inside the mapping, aligned, writable, and borrowed from `self`.
        Ok(unsafe { &*word })
    }

    /// An atomic 64-bit word in the memory.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`], [`AccessError::Misaligned`] if `offset` is no multiple of 8.
    #[inline]
    pub fn atomic_u64(&self, offset: usize) -> Result<&AtomicU64, AccessError> {
        let word: *mut AtomicU64 = self.atomic(offset)?;
        // SAFETY: inside the mapping, aligned, writable, and borrowed from `self`.
        Ok(unsafe { &*word })
    }

    /// A part of the memory as rust-vmm's `VolatileSlice`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`]; [`AccessError::NotContiguous`] on a kernel with large pages, if the part crosses a
    /// page border.
    #[cfg(feature = "vm-memory")]
    pub fn volatile_slice(
        &self,
        offset: usize,
        length: usize,
    ) -> Result<vm_memory::VolatileSlice<'_>, AccessError> {
        let mut parts = 0;
        let mut start = self.mapping.as_mut_ptr();
        self.pieces(offset, length, |address, at, _| {
            if at == 0 {
                start = address;
            }
            parts += 1;
        })?;
        if parts > 1 {
            return Err(AccessError::NotContiguous { offset, length });
        }
        // SAFETY: the part is mapped and writable for as long as `self`, from which the slice borrows.
        Ok(unsafe { vm_memory::VolatileSlice::new(start, length) })
    }
}
