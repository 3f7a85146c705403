//! `IOCTL_GNTDEV_GRANT_COPY`: copies between granted pages and our own memory, done by the hypervisor.

use super::{Gntdev, Grant};
use crate::linux::request::{Request, opcode, record};
use crate::xen_public::layout;
use crate::{GrantStatus, PAGE_SIZE};
use std::fmt;
use std::marker::PhantomData;
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct gntdev_grant_copy_segment`. Each side is an address, or reference, offset and domain in the same 8 bytes.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawSegment {
    source: u64,
    dest: u64,
    len: u16,
    flags: u16,
    status: GrantStatus,
    padding: u16,
}
layout!(
    RawSegment = "struct gntdev_grant_copy_segment", 24, source @ 0, dest @ 8, len @ 16, flags @ 18, status @ 20,
);

/// `GNTCOPY_source_gref`
#[doc(alias = "GNTCOPY_source_gref")]
const SOURCE_GRANT: u16 = 1;
/// `GNTCOPY_dest_gref`
#[doc(alias = "GNTCOPY_dest_gref")]
const DEST_GRANT: u16 = 2;

/// The grant side of a segment.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct GrantSide {
    reference: u32,
    offset: u16,
    domid: u16,
}
layout!(
    GrantSide = "struct gntdev_grant_copy_segment.source.foreign", 8, reference("ref") @ 0, offset @ 4, domid @ 6,
);

impl GrantSide {
    fn encode(grant: Grant, offset: u16) -> u64 {
        let side = Self { reference: grant.reference.get(), offset, domid: grant.domid };
        zerocopy::transmute!(side)
    }
}

/// One piece of a grant copy: at most a page, between a granted page and our memory, or between two granted pages.
///
/// Made checked, so that the kernel never refuses a whole call because of one piece. It borrows our side of the copy.
#[repr(transparent)]
pub struct CopySegment<'a> {
    raw: RawSegment,
    _local: PhantomData<&'a mut [u8]>,
}
layout!(CopySegment<'_> = "struct gntdev_grant_copy_segment", 24);

/// The bytes of a copy do not stay inside the granted page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{length} bytes at offset {offset} do not stay inside the 4096 bytes of a granted page")]
#[non_exhaustive]
pub struct InvalidSegment {
    /// Offset in the granted page.
    pub offset: u16,
    /// Length of the copy.
    pub length: usize,
}

impl<'a> CopySegment<'a> {
    /// Copies from a granted page, beginning at `offset`, and fills `target`.
    ///
    /// # Errors
    ///
    /// [`InvalidSegment`] if `offset + target.len()` is beyond 4096.
    pub fn from_grant(source: Grant, offset: u16, target: &'a mut [u8]) -> Result<Self, InvalidSegment> {
        let len = inside_page(offset, target.len())?;
        let dest = address(target.as_mut_ptr());
        Ok(Self::new(GrantSide::encode(source, offset), dest, len, SOURCE_GRANT))
    }

    /// Copies all of `source` to a granted page, beginning at `offset`.
    ///
    /// # Errors
    ///
    /// [`InvalidSegment`] if `offset + source.len()` is beyond 4096.
    pub fn to_grant(source: &'a [u8], target: Grant, offset: u16) -> Result<Self, InvalidSegment> {
        let len = inside_page(offset, source.len())?;
        let source = address(source.as_ptr().cast_mut());
        Ok(Self::new(source, GrantSide::encode(target, offset), len, DEST_GRANT))
    }

    /// Copies `length` bytes from one granted page to another.
    ///
    /// # Errors
    ///
    /// [`InvalidSegment`] if an offset and `length` add up to more than 4096.
    pub fn between(source: (Grant, u16), target: (Grant, u16), length: u16) -> Result<Self, InvalidSegment> {
        inside_page(source.1, length.into())?;
        inside_page(target.1, length.into())?;
        let (source, dest) = (GrantSide::encode(source.0, source.1), GrantSide::encode(target.0, target.1));
        Ok(Self::new(source, dest, length, SOURCE_GRANT | DEST_GRANT))
    }

    fn new(source: u64, dest: u64, len: u16, flags: u16) -> Self {
        let raw = RawSegment { source, dest, len, flags, status: GrantStatus::UNKNOWN, padding: 0 };
        Self { raw, _local: PhantomData }
    }

    /// How the copy of this segment ended: [`GrantStatus::UNKNOWN`] before the copy, and if the whole call failed.
    /// A segment that failed may have been copied in part.
    #[must_use]
    pub fn status(&self) -> GrantStatus {
        self.raw.status
    }

    /// Forgets the outcome.
    pub fn reset_status(&mut self) {
        self.raw.status = GrantStatus::UNKNOWN;
    }

    /// Whether the segment fills memory of ours.
    #[must_use]
    pub fn fills_local_memory(&self) -> bool {
        self.raw.flags & DEST_GRANT == 0
    }

    /// Whether all these fill local memory, or none does: then one call takes them. No
    /// segments are of no kind. Without a branch for each, as there can
    /// be many.
    #[must_use]
    #[inline]
    pub fn are_of_one_kind(segments: &[Self]) -> bool {
        let flags = segments.iter().map(|segment| segment.raw.flags);
        let (any, all) = flags.fold((0, u16::MAX), |(any, all), flags| (any | flags, all & flags));
        (any ^ all) & DEST_GRANT == 0
    }

    /// Whether all these were copied. Without a branch for each, either.
    #[must_use]
    #[inline]
    pub fn are_okay(segments: &[Self]) -> bool {
        segments.iter().fold(0, |any, segment| any | segment.raw.status.get()) == 0
    }
}

impl fmt::Debug for CopySegment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopySegment")
            .field("len", &self.raw.len)
            .field("source_is_grant", &(self.raw.flags & SOURCE_GRANT != 0))
            .field("dest_is_grant", &(self.raw.flags & DEST_GRANT != 0))
            .field("status", &self.raw.status)
            .finish_non_exhaustive()
    }
}

fn inside_page(offset: u16, length: usize) -> Result<u16, InvalidSegment> {
    let fits = length <= PAGE_SIZE && usize::from(offset) + length <= PAGE_SIZE;
    u16::try_from(length).ok().filter(|_| fits).ok_or(InvalidSegment { offset, length })
}

/// An address as the kernel takes it.
fn address<T>(pointer: *mut T) -> u64 {
    pointer.expose_provenance() as u64
}

/// `struct ioctl_gntdev_grant_copy`
#[derive(Debug)]
pub struct GrantCopy<'a, 'b> {
    record: RawGrantCopy,
    _segments: PhantomData<&'a mut [CopySegment<'b>]>,
}

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct RawGrantCopy {
    count: u32,
    padding: u32,
    segments: u64,
}
layout!(RawGrantCopy = "struct ioctl_gntdev_grant_copy", 16, count @ 0, segments @ 8);

impl<'a, 'b> GrantCopy<'a, 'b> {
    /// Copies these segments; `None` if there are more than 2^32.
    #[must_use]
    #[inline]
    pub fn new(segments: &'a mut [CopySegment<'b>]) -> Option<Self> {
        let count = u32::try_from(segments.len()).ok()?;
        let record = RawGrantCopy { count, padding: 0, segments: address(segments.as_mut_ptr()) };
        Some(Self { record, _segments: PhantomData })
    }
}

record!(
    GrantCopy<'_, '_>,
    Gntdev,
    "IOCTL_GNTDEV_GRANT_COPY" = 0x0010_4708,
    opcode(b'G', 8, size_of::<RawGrantCopy>()),
    record
);
// SAFETY: the driver reads and writes `count` segments, which `self` borrows exclusively, and the local memory that each
// of them borrows: exclusively where it is written. Neither can be changed from outside.
unsafe impl Request for GrantCopy<'_, '_> {}
