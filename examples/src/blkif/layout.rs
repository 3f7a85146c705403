//! The records in the ring, byte by byte, and the two layouts that x86 guests use.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{MAX_SEGMENTS, Response, Status};

/// Operation numbers (`BLKIF_OP_*`).
pub mod operation {
    /// Disk to guest.
    pub const READ: u8 = 0;
    /// Guest to disk.
    pub const WRITE: u8 = 1;
    /// A write that no other write may overtake, in either direction, durable when answered.
    pub const WRITE_BARRIER: u8 = 2;
    /// Makes everything answered so far durable.
    pub const FLUSH: u8 = 3;
    /// The sectors are no longer in use.
    pub const DISCARD: u8 = 5;
    /// A read or write whose segments are described in a page of their own.
    pub const INDIRECT: u8 = 6;
}

/// `struct blkif_request_segment`: some sectors of one granted page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SegmentRecord {
    /// The page.
    pub reference: u32,
    /// First sector of the page to transfer.
    pub first_sector: u8,
    /// Last sector of the page to transfer (inclusive).
    pub last_sector: u8,
    /// Unused.
    pub padding: [u8; 2],
}

/// `struct blkif_request`, as 64-bit guests lay it out.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RequestRecord {
    /// One of [`operation`].
    pub operation: u8,
    /// Valid entries of `segments`.
    pub segment_count: u8,
    /// The virtual device; unused, since a ring belongs to one device.
    pub handle: u16,
    /// Unused.
    pub padding: u32,
    /// Returned in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector: u64,
    /// Where the data is.
    pub segments: [SegmentRecord; MAX_SEGMENTS as usize],
}

/// `struct blkif_request_discard`, padded to the size of a slot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DiscardRecord {
    /// [`operation::DISCARD`].
    pub operation: u8,
    /// Bit 0 asks for secure erasure.
    pub flags: u8,
    /// The virtual device; unused.
    pub handle: u16,
    /// Unused.
    pub padding: u32,
    /// Returned in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector: u64,
    /// How many.
    pub sectors: u64,
    /// Unused.
    pub rest: [u8; 80],
}

/// `struct blkif_request_indirect`, padded to the size of a slot.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IndirectRecord {
    /// [`operation::INDIRECT`].
    pub operation: u8,
    /// The operation proper: read or write.
    pub indirect_operation: u8,
    /// Segments in all.
    pub segment_count: u16,
    /// Unused.
    pub padding: u32,
    /// Returned in the response.
    pub id: u64,
    /// First sector on the disk.
    pub sector: u64,
    /// The virtual device; unused.
    pub handle: u16,
    /// Unused.
    pub padding2: u16,
    /// Pages full of [`SegmentRecord`], 512 in each.
    pub pages: [u32; 8],
    /// Unused.
    pub rest: [u8; 52],
}

/// `struct blkif_response`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ResponseRecord {
    id: u64,
    operation: u8,
    padding: u8,
    status: i16,
    padding2: u32,
}

const _: () = {
    assert!(size_of::<SegmentRecord>() == 8);
    assert!(size_of::<RequestRecord>() == 112);
    assert!(size_of::<DiscardRecord>() == 112);
    assert!(size_of::<IndirectRecord>() == 112);
    assert!(std::mem::offset_of!(IndirectRecord, pages) == 28);
    assert!(size_of::<ResponseRecord>() == 16);
};

impl From<Response> for ResponseRecord {
    fn from(Response { id, operation, status }: Response) -> Self {
        Self { id, operation, padding: 0, status: status.get(), padding2: 0 }
    }
}

impl From<ResponseRecord> for Response {
    fn from(record: ResponseRecord) -> Self {
        Self { id: record.id, operation: record.operation, status: Status::from(record.status) }
    }
}

/// How the frontend lays out its records, as its `protocol` node says.
///
/// The two differ in one thing: a 32-bit guest aligns `u64` to 4 bytes, so that it lacks the padding before `id`, and
/// a response ends without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit guests.
    Native,
    /// 32-bit x86 guests.
    X86_32,
}

/// The frontend speaks a protocol that this backend does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the frontend speaks the protocol {0:?}; this backend knows x86_64-abi, arm-abi and x86_32-abi")]
pub struct UnknownAbi(String);

/// Where the padding stands that 32-bit guests lack.
const PADDING: std::ops::Range<usize> = 4..8;

impl Abi {
    /// Bytes of a request of a 32-bit guest.
    pub const X86_32_REQUEST: usize = size_of::<RequestRecord>() - 4;

    /// The layout that a `protocol` node names; without the node, it is the backend's own.
    ///
    /// # Errors
    /// [`UnknownAbi`].
    pub fn from_protocol(protocol: Option<&str>) -> Result<Self, UnknownAbi> {
        match protocol {
            None | Some("x86_64-abi" | "arm-abi") => Ok(Self::Native),
            Some("x86_32-abi") => Ok(Self::X86_32),
            Some(other) => Err(UnknownAbi(other.to_owned())),
        }
    }

    /// Bytes of a slot in the ring.
    #[must_use]
    pub fn slot_size(self) -> usize {
        match self {
            Self::Native => size_of::<RequestRecord>(),
            Self::X86_32 => Self::X86_32_REQUEST,
        }
    }

    /// Bytes of a response.
    #[must_use]
    pub fn response_size(self) -> usize {
        match self {
            Self::Native => size_of::<ResponseRecord>(),
            Self::X86_32 => size_of::<ResponseRecord>() - 4,
        }
    }

    /// The 64-bit form of a 32-bit guest's request.
    #[must_use]
    pub fn widen(narrow: &[u8; Self::X86_32_REQUEST]) -> RequestRecord {
        let mut record = RequestRecord::default();
        let wide = record.as_mut_bytes();
        wide[..PADDING.start].copy_from_slice(&narrow[..PADDING.start]);
        wide[PADDING.end..].copy_from_slice(&narrow[PADDING.start..]);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_32_bit_request_gains_its_padding() {
        let mut narrow = [0; Abi::X86_32_REQUEST];
        narrow[0] = operation::WRITE;
        narrow[1] = 2;
        narrow[4..12].copy_from_slice(&0x1122_3344_5566_7788_u64.to_ne_bytes());
        narrow[12..20].copy_from_slice(&99_u64.to_ne_bytes());
        narrow[20..24].copy_from_slice(&7_u32.to_ne_bytes());
        narrow[25] = 5;
        let record = Abi::widen(&narrow);
        assert_eq!((record.operation, record.segment_count), (operation::WRITE, 2));
        assert_eq!((record.id, record.sector), (0x1122_3344_5566_7788, 99));
        assert_eq!((record.segments[0].reference, record.segments[0].last_sector), (7, 5));
    }

    #[test]
    fn protocols() {
        assert_eq!(Abi::from_protocol(None), Ok(Abi::Native));
        assert_eq!(Abi::from_protocol(Some("x86_64-abi")), Ok(Abi::Native));
        assert_eq!(Abi::from_protocol(Some("x86_32-abi")), Ok(Abi::X86_32));
        assert!(Abi::from_protocol(Some("ia64-abi")).unwrap_err().to_string().contains("\"ia64-abi\""));
    }
}
