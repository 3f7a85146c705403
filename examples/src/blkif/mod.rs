//! The block protocol between a PV guest and its backend (Xen's `io/blkif.h`).
//!
//! The frontend puts requests into a ring of shared pages and the backend puts responses into the same slots. The data
//! itself travels in other pages, which a request names by their grant references. Everything the frontend writes
//! is read once, copied, and only then judged: it may change under our eyes at any moment.

pub mod back_ring;
pub mod front_ring;
pub mod layout;
pub mod request;
pub mod ring;

pub use back_ring::BackRing;
pub use front_ring::FrontRing;
pub use layout::Abi;
pub use request::{Command, Direction, Malformed, Request, Segment, Segments};
pub use ring::RingError;
pub use xen_gnttab::PAGE_SIZE;

/// Bytes of a sector, the unit of every position and length.
pub const SECTOR_SIZE: u16 = 512;
/// Sectors that fit a granted page.
pub const SECTORS_PER_PAGE: u8 = 8;
/// Segments of a request that carries them itself.
pub const MAX_SEGMENTS: u8 = 11;
/// Segments of an indirect request that this backend takes (1 MiB). All their descriptions fit one page.
pub const MAX_INDIRECT_SEGMENTS: u16 = 256;

const _: () = assert!(MAX_INDIRECT_SEGMENTS as usize * size_of::<layout::SegmentRecord>() <= PAGE_SIZE);

/// What a response says about its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(i16);

impl Status {
    /// Done.
    pub const OKAY: Self = Self(0);
    /// Not done; the protocol has no finer reason.
    pub const ERROR: Self = Self(-1);
    /// This backend does not know the operation.
    pub const UNSUPPORTED: Self = Self(-2);

    /// The number on the wire.
    #[must_use]
    pub fn get(self) -> i16 {
        self.0
    }
}

impl From<i16> for Status {
    fn from(number: i16) -> Self {
        Self(number)
    }
}

/// A response: the request's id and operation, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The frontend's name for the request.
    pub id: u64,
    /// The request's operation, returned.
    pub operation: u8,
    /// What became of it.
    pub status: Status,
}
