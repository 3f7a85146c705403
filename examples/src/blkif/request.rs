//! What a request asks, decoded from a private copy of its slot and checked as far as the protocol goes.

use std::ops::Range;

use xen_gnttab::GrantRef;
use zerocopy::{FromBytes, IntoBytes};

use super::layout::{DiscardRecord, IndirectRecord, RequestRecord, SegmentRecord, operation};
use super::{MAX_INDIRECT_SEGMENTS, MAX_SEGMENTS, PAGE_SIZE, SECTOR_SIZE, SECTORS_PER_PAGE, Status};

/// Why a request cannot be served. The guest learns only the [`Status`], the log says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not an operation of the protocol.
    #[error("unknown operation {0}")]
    UnknownOperation(u8),
    /// An indirect request may only read or write.
    #[error("an indirect request with the operation {0}; only read and write exist")]
    IndirectOperation(u8),
    /// More segments than a request can carry, or none.
    #[error("{count} segments, where 1 to {limit} are possible")]
    SegmentCount {
        /// Segments announced.
        count: u16,
        /// The most that fit.
        limit: u16,
    },
    /// The sectors of a segment are not a piece of a page.
    #[error("a segment of the sectors {first} to {last}, which is no part of a page of 8 sectors")]
    Segment {
        /// First sector.
        first: u8,
        /// Last sector.
        last: u8,
    },
    /// Not on the disk.
    #[error("{sectors} sectors from sector {sector} on, on a disk of {disk} sectors")]
    OutsideDisk {
        /// First sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// The disk's size.
        disk: u64,
    },
    /// The disk is read-only.
    #[error("a change of a read-only disk")]
    ReadOnly,
    /// The page with the segments of an indirect request could not be read.
    #[error("the page with the segment list is not accessible")]
    SegmentList,
}

impl Malformed {
    /// What the guest is told.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::UnknownOperation(_) => Status::UNSUPPORTED,
            _ => Status::ERROR,
        }
    }
}

/// Which way the data flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Disk to guest.
    Read,
    /// Guest to disk.
    Write,
}

/// Some sectors of one page of the guest, not yet checked.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// The page.
    pub reference: GrantRef,
    first: u8,
    last: u8,
}

impl Segment {
    /// The bytes of the page that are meant: whole sectors, at least one, inside the page.
    ///
    /// # Errors
    /// [`Malformed::Segment`].
    pub fn range(&self) -> Result<Range<u16>, Malformed> {
        let (first, last) = (self.first, self.last);
        if first > last || last >= SECTORS_PER_PAGE {
            return Err(Malformed::Segment { first, last });
        }
        Ok(u16::from(first) * SECTOR_SIZE..(u16::from(last) + 1) * SECTOR_SIZE)
    }
}

impl From<&SegmentRecord> for Segment {
    fn from(record: &SegmentRecord) -> Self {
        let SegmentRecord { reference, first_sector, last_sector, padding: _ } = *record;
        Self { reference: GrantRef::new(reference), first: first_sector, last: last_sector }
    }
}

/// The segments that a request carries itself.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    records: [SegmentRecord; MAX_SEGMENTS as usize],
    count: u8,
}

impl Segments {
    /// The segments, at most 11.
    pub fn iter(&self) -> impl Iterator<Item = Segment> {
        self.records.iter().take(self.count.into()).map(Segment::from)
    }
}

/// What a request asks.
#[derive(Clone, Copy, Debug)]
pub enum Command {
    /// Move data between the disk and the guest's pages.
    Transfer {
        /// Which way.
        direction: Direction,
        /// First sector on the disk.
        sector: u64,
        /// The guest's pages.
        segments: Segments,
        /// Everything before must be durable first, and this too before it is answered.
        barrier: bool,
    },
    /// The same, with the segments in a page of the guest.
    Indirect {
        /// Which way.
        direction: Direction,
        /// First sector on the disk.
        sector: u64,
        /// The page that describes them.
        page: GrantRef,
        /// How many.
        segments: u16,
    },
    /// Make everything answered so far durable.
    Flush,
    /// Forget what is in these sectors.
    Discard {
        /// First sector on the disk.
        sector: u64,
        /// How many.
        sectors: u64,
    },
}

impl Command {
    /// The most bytes that the data of this request can have.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        let pages = match self {
            Self::Transfer { segments, .. } => segments.count.into(),
            Self::Indirect { segments, .. } => usize::from(*segments),
            Self::Flush | Self::Discard { .. } => 0,
        };
        pages * PAGE_SIZE
    }
}

/// One request of the frontend.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The frontend's name for it.
    pub id: u64,
    /// The operation number that the response carries: of an indirect request, that of the operation proper.
    pub operation: u8,
    /// What it asks, if that makes sense.
    pub command: Result<Command, Malformed>,
}

impl Request {
    /// Decodes a private copy of a slot. Any bytes will do.
    #[must_use]
    pub fn decode(record: &RequestRecord) -> Self {
        Self { id: record.id, operation: answered_operation(record), command: command(record) }
    }
}

fn answered_operation(record: &RequestRecord) -> u8 {
    match record.operation {
        operation::INDIRECT => {
            let IndirectRecord { indirect_operation, .. } = zerocopy::transmute!(*record);
            indirect_operation
        }
        operation => operation,
    }
}

fn command(record: &RequestRecord) -> Result<Command, Malformed> {
    match record.operation {
        operation::READ => transfer(record, Direction::Read, false),
        operation::WRITE => transfer(record, Direction::Write, false),
        operation::WRITE_BARRIER | operation::FLUSH if record.segment_count == 0 => Ok(Command::Flush),
        operation::WRITE_BARRIER | operation::FLUSH => transfer(record, Direction::Write, true),
        operation::DISCARD => {
            let DiscardRecord { sector, sectors, .. } = zerocopy::transmute!(*record);
            Ok(Command::Discard { sector, sectors })
        }
        operation::INDIRECT => indirect(&zerocopy::transmute!(*record)),
        unknown => Err(Malformed::UnknownOperation(unknown)),
    }
}

fn transfer(record: &RequestRecord, direction: Direction, barrier: bool) -> Result<Command, Malformed> {
    let count = record.segment_count;
    if count == 0 || count > MAX_SEGMENTS {
        return Err(Malformed::SegmentCount { count: count.into(), limit: MAX_SEGMENTS.into() });
    }
    let segments = Segments { records: record.segments, count };
    Ok(Command::Transfer { direction, sector: record.sector, segments, barrier })
}

fn indirect(record: &IndirectRecord) -> Result<Command, Malformed> {
    let direction = match record.indirect_operation {
        operation::READ => Direction::Read,
        operation::WRITE => Direction::Write,
        other => return Err(Malformed::IndirectOperation(other)),
    };
    let (count, limit) = (record.segment_count, MAX_INDIRECT_SEGMENTS);
    if count == 0 || count > limit {
        return Err(Malformed::SegmentCount { count, limit });
    }
    let page = GrantRef::new(record.pages[0]);
    Ok(Command::Indirect { direction, sector: record.sector, page, segments: count })
}

/// The segments in a private copy of an indirect page.
pub fn segment_list(bytes: &[u8]) -> impl Iterator<Item = Segment> {
    bytes
        .chunks_exact(size_of::<SegmentRecord>())
        .filter_map(|chunk| SegmentRecord::read_from_bytes(chunk).ok().as_ref().map(Segment::from))
}

/// The bytes of an indirect page, for a frontend.
#[must_use]
pub fn encode_segment_list(segments: &[SegmentRecord]) -> &[u8] {
    segments.as_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(operation: u8, segment_count: u8) -> Request {
        Request::decode(&RequestRecord { operation, segment_count, id: 9, ..RequestRecord::default() })
    }

    #[test]
    fn a_flush_without_data_is_a_flush() {
        assert!(matches!(decode(operation::FLUSH, 0).command, Ok(Command::Flush)));
        assert!(matches!(decode(operation::WRITE_BARRIER, 0).command, Ok(Command::Flush)));
        assert!(matches!(
            decode(operation::WRITE_BARRIER, 1).command,
            Ok(Command::Transfer { barrier: true, .. })
        ));
    }

    #[test]
    fn impossible_requests_are_named() {
        let too_many = Malformed::SegmentCount { count: 12, limit: 11 };
        assert_eq!(decode(operation::READ, 12).command.unwrap_err(), too_many);
        assert_eq!(decode(4, 1).command.unwrap_err(), Malformed::UnknownOperation(4));
        assert_eq!(decode(4, 1).command.unwrap_err().status(), Status::UNSUPPORTED);
        assert_eq!(decode(operation::INDIRECT, 3).command.unwrap_err(), Malformed::IndirectOperation(3));
    }

    #[test]
    fn segments_stay_in_their_page() {
        let range = |first, last| Segment { reference: GrantRef::new(1), first, last }.range();
        assert_eq!(range(0, 7), Ok(0..4096));
        assert_eq!(range(3, 3), Ok(1536..2048));
        assert_eq!(range(0, 8), Err(Malformed::Segment { first: 0, last: 8 }));
        assert_eq!(range(5, 4), Err(Malformed::Segment { first: 5, last: 4 }));
    }

    proptest! {
        #[test]
        fn any_slot_can_be_decoded(bytes: [[u8; 16]; 7], operation in 0_u8..8) {
            let mut record = RequestRecord::read_from_bytes(bytes.as_flattened()).unwrap();
            record.operation = operation;
            let request = Request::decode(&record);
            prop_assert_eq!(request.id, record.id);
            match request.command {
                Ok(Command::Transfer { segments, .. }) => prop_assert!((1..=11).contains(&segments.iter().count())),
                Ok(Command::Indirect { segments, .. }) => prop_assert!((1..=256).contains(&segments)),
                _ => {}
            }
        }
    }
}
