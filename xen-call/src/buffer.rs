//! Values in memory that the hypervisor can reach.
#![expect(unsafe_code, reason = "puts values into hypercall memory")]

use crate::pool::{Block, UNIT};
use crate::{Error, Xencall};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use xen_sys::xen_public::operation::GuestMemory;
use xen_sys::zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A value, or a slice of values, in memory that Xen can read and write during a hypercall. Dropping it gives the memory
/// back.
///
/// It is built in place and always whole: nothing of an earlier user shows. It dereferences to the value; Xen reaches it only
/// through [`HypercallBuffer::lend`], which borrows it exclusively.
///
/// C programs bounce: they copy a structure to such memory, issue the hypercall, and copy it back. Here a value is made where
/// it is used, and an array of buffers is a `Vec` of them.
///
/// In a child of `fork(2)` the memory is not there: use nothing in the child that was made before. Buffers that the
/// child makes itself are fine.
#[doc(alias = "xencall_alloc_buffer")]
#[doc(alias = "xencall_alloc_buffer_pages")]
#[doc(alias = "xencall_free_buffer")]
#[doc(alias = "xencall_free_buffer_pages")]
#[doc(alias = "xc__hypercall_buffer_alloc")]
#[doc(alias = "xc__hypercall_buffer_alloc_pages")]
#[doc(alias = "xc__hypercall_buffer_free")]
#[doc(alias = "xc__hypercall_buffer_free_pages")]
#[doc(alias = "xc_hypercall_buffer_array_create")]
#[doc(alias = "xc_hypercall_buffer_array_destroy")]
#[doc(alias = "xc__hypercall_buffer_array_alloc")]
#[doc(alias = "xc__hypercall_buffer_array_get")]
#[doc(alias = "xc__hypercall_bounce_pre")]
#[doc(alias = "xc__hypercall_bounce_post")]
#[doc(alias = "xc__hypercall_buffer_cache_release")]
pub struct HypercallBuffer<T: ?Sized> {
    /// Invariant: in the block, initialised, and aligned for `T`.
    value: NonNull<T>,
    block: Block,
}

// SAFETY: the buffer owns its value, like a `Box`.
unsafe impl<T: ?Sized + Send> Send for HypercallBuffer<T> {}
// SAFETY: a shared buffer gives `&T` and nothing else.
unsafe impl<T: ?Sized + Sync> Sync for HypercallBuffer<T> {}

impl<T: FromBytes + IntoBytes> HypercallBuffer<T> {
    pub(crate) fn new(block: Block, value: T) -> Self {
        const { assert!(align_of::<T>() <= UNIT) };
        let place = block.address().cast::<T>();
        debug_assert!(block.len() >= size_of::<T>(), "the caller asked for the size of `T`");
        // SAFETY: the block is ours alone, long enough, and aligned to `UNIT`.
        unsafe { place.write(value) };
        Self { value: place, block }
    }
}

impl<T: FromBytes + IntoBytes> HypercallBuffer<[T]> {
    /// Makes a slice of `count` values in `block`, after `fill` has initialised them all.
    fn slice(block: Block, count: usize, fill: impl FnOnce(NonNull<T>)) -> Self {
        const { assert!(align_of::<T>() <= UNIT) };
        let place = block.address().cast::<T>();
        debug_assert!(block.len() >= count * size_of::<T>(), "the caller asked for so many");
        fill(place);
        Self { value: NonNull::slice_from_raw_parts(place, count), block }
    }

    pub(crate) fn zeroed(block: Block, count: usize) -> Self
    where
        T: FromZeros,
    {
        // SAFETY: the block holds `count` values, and zeros are a `T`.
        Self::slice(block, count, |place| unsafe { ptr::write_bytes(place.as_ptr(), 0, count) })
    }

    pub(crate) fn copied(block: Block, values: &[T]) -> Self
    where
        T: Copy,
    {
        Self::slice(block, values.len(), |place| {
            // SAFETY: the block holds as many values as the slice, and is ours alone.
            unsafe { ptr::copy_nonoverlapping(values.as_ptr(), place.as_ptr(), values.len()) };
        })
    }
}

impl<T: ?Sized + FromBytes + IntoBytes> HypercallBuffer<T> {
    /// Lends the memory to an operation. While it is lent, nobody here can look at it.
    pub fn lend(&mut self) -> GuestMemory<'_> {
        let length = size_of_val::<T>(self);
        // SAFETY: hypercall memory of this buffer, exclusively borrowed for the lifetime; any bytes are a `T` (`FromBytes`).
        unsafe { GuestMemory::new(self.address(), length) }
    }
}

impl<T: ?Sized> HypercallBuffer<T> {
    /// The memory, with what is in it.
    pub(crate) fn into_block(self) -> Block {
        self.block
    }

    /// The address, as hypercall arguments take it. What is done with it is the caller's to justify.
    #[must_use]
    pub fn address(&self) -> u64 {
        self.block.address().as_ptr().expose_provenance() as u64
    }
}

impl<T: ?Sized> Deref for HypercallBuffer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: initialised (invariant); Xen writes only while the buffer is borrowed exclusively (`lend`).
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for HypercallBuffer<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for HypercallBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Xencall {
    /// Puts a value where Xen can reach it.
    ///
    /// Up to 16 KiB come from a pool, which grows to 128 KiB, without a system call, an allocation, or a lock; more, or when the
    /// pool is full, from a mapping of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn buffer<T: FromBytes + IntoBytes>(&self, value: T) -> Result<HypercallBuffer<T>, Error> {
        Ok(HypercallBuffer::new(self.block(size_of::<T>())?, value))
    }

    /// A slice of zeroed values where Xen can reach them; memory as with [`Xencall::buffer`].
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn zeroed_buffer<T: FromBytes + IntoBytes>(
        &self,
        count: usize,
    ) -> Result<HypercallBuffer<[T]>, Error> {
        let bytes = count.saturating_mul(size_of::<T>());
        Ok(HypercallBuffer::zeroed(self.block(bytes)?, count))
    }

    /// Copies a slice to where Xen can reach it; memory as with [`Xencall::buffer`].
    ///
    /// # Errors
    ///
    /// [`Error::Memory`].
    pub fn buffer_from<T: FromBytes + IntoBytes + Copy>(
        &self,
        values: &[T],
    ) -> Result<HypercallBuffer<[T]>, Error> {
        Ok(HypercallBuffer::copied(self.block(size_of_val(values))?, values))
    }
}
