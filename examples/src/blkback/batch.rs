//! The plan for a batch of requests: checked against the disk, cut into pieces, not yet executed.

use std::ops::Range;

use xen_gnttab::GrantRef;

use super::disk::{Extent, Geometry};
use crate::blkif::{Command, Direction, Malformed, Request, Response, SECTOR_SIZE, Segment, Status};

/// A part of one page of the guest, and the sectors that belong there.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) reference: GrantRef,
    /// First byte in the page.
    pub(super) offset: u16,
    /// Bytes.
    pub(super) len: usize,
    /// The place on the disk. Empty for what is not the disk's: a segment list.
    pub(super) extent: Option<Extent>,
    /// Where the [window](super::window) has put it.
    pub(super) place: usize,
    /// The guest's page or the disk refused.
    pub(super) failed: bool,
}

impl Piece {
    pub(super) fn new(reference: GrantRef, bytes: Range<u16>, extent: Option<Extent>) -> Self {
        Self { reference, offset: bytes.start, len: bytes.len(), extent, place: 0, failed: false }
    }
}

/// What is to be done for a request.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Nothing: it is answered already.
    None,
    /// Disk to guest; the range is in [`Batch::reads`].
    Read(Range<usize>),
    /// Guest to disk; the range is in [`Batch::writes`].
    Write { pieces: Range<usize>, barrier: bool },
    /// Make everything durable.
    Flush,
    /// Give space back.
    Discard(Extent),
}

/// A request on its way to a response.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: u64,
    pub(super) operation: u8,
    pub(super) status: Status,
    pub(super) task: Task,
}

impl Job {
    pub(super) fn fail(&mut self, status: Status) {
        self.status = status;
        self.task = Task::None;
    }

    pub(super) fn response(&self) -> Response {
        Response { id: self.id, operation: self.operation, status: self.status }
    }
}

/// Requests that are executed together, in the order of the ring. Kept and refilled, so that it stops allocating soon.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    pub(super) reads: Vec<Piece>,
    pub(super) writes: Vec<Piece>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.jobs.clear();
        self.reads.clear();
        self.writes.clear();
    }

    /// Adds a request. `list` has the segments of an indirect one, unless they could not be read.
    pub(super) fn add(&mut self, disk: Geometry, request: &Request, list: Option<&[Segment]>) {
        let (reads, writes) = (self.reads.len(), self.writes.len());
        let task = request.command.and_then(|command| self.plan(disk, &command, list));
        let mut job =
            Job { id: request.id, operation: request.operation, status: Status::OKAY, task: Task::None };
        match task {
            Ok(task) => job.task = task,
            Err(reason) => {
                // Pieces before the faulty one are planned already: nothing of a malformed request is executed.
                self.reads.truncate(reads);
                self.writes.truncate(writes);
                tracing::warn!(id = request.id, %reason, "the guest sent a request that makes no sense");
                job.fail(reason.status());
            }
        }
        self.jobs.push(job);
    }

    fn plan(
        &mut self,
        disk: Geometry,
        command: &Command,
        list: Option<&[Segment]>,
    ) -> Result<Task, Malformed> {
        match *command {
            Command::Transfer { direction, sector, segments, barrier } => {
                self.transfer(disk, direction, sector, barrier, segments.iter())
            }
            Command::Indirect { direction, sector, .. } => {
                let list = list.ok_or(Malformed::SegmentList)?;
                self.transfer(disk, direction, sector, false, list.iter().copied())
            }
            Command::Flush => Ok(Task::Flush),
            Command::Discard { sector, sectors } => {
                disk.writable()?;
                Ok(Task::Discard(disk.extent(sector, sectors)?))
            }
        }
    }

    /// Cuts a transfer into one piece for each page; they follow each other on the disk.
    fn transfer(
        &mut self,
        disk: Geometry,
        direction: Direction,
        mut sector: u64,
        barrier: bool,
        segments: impl Iterator<Item = Segment>,
    ) -> Result<Task, Malformed> {
        let pieces = match direction {
            Direction::Read => &mut self.reads,
            Direction::Write => {
                disk.writable()?;
                &mut self.writes
            }
        };
        let start = pieces.len();
        for segment in segments {
            let bytes = segment.range()?;
            let extent = disk.extent(sector, u64::from((bytes.end - bytes.start) / SECTOR_SIZE))?;
            sector = extent.sector() + extent.sectors();
            pieces.push(Piece::new(segment.reference, bytes, Some(extent)));
        }
        let pieces = start..pieces.len();
        Ok(match direction {
            Direction::Read => Task::Read(pieces),
            Direction::Write => Task::Write { pieces, barrier },
        })
    }

    /// Fails the jobs of which a piece has failed.
    pub(super) fn settle(&mut self) {
        for job in &mut self.jobs {
            let pieces = match &job.task {
                Task::Read(range) => &self.reads[range.clone()],
                Task::Write { pieces, .. } => &self.writes[pieces.clone()],
                Task::None | Task::Flush | Task::Discard(_) => continue,
            };
            if pieces.iter().any(|piece| piece.failed) {
                job.fail(Status::ERROR);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zerocopy::{FromBytes, IntoBytes};

    use super::*;
    use crate::blkif::layout::{RequestRecord, SegmentRecord, operation};
    use crate::blkif::request::segment_list;
    use crate::blkif::{MAX_SEGMENTS, PAGE_SIZE};

    const DISK: Geometry = Geometry { sectors: 1000, read_only: false };

    fn planned(disk: Geometry, record: &RequestRecord, list: Option<&[Segment]>) -> Batch {
        let mut batch = Batch::default();
        batch.add(disk, &Request::decode(record), list);
        batch
    }

    fn transfer(operation: u8, sector: u64, segments: &[(u8, u8)]) -> RequestRecord {
        let mut record = RequestRecord { operation, sector, ..RequestRecord::default() };
        record.segment_count = u8::try_from(segments.len()).unwrap();
        for (slot, (first_sector, last_sector)) in record.segments.iter_mut().zip(segments) {
            *slot = SegmentRecord { first_sector: *first_sector, last_sector: *last_sector, ..*slot };
        }
        record
    }

    #[test]
    fn segments_follow_each_other_on_the_disk() {
        let batch = planned(DISK, &transfer(operation::READ, 100, &[(4, 7), (0, 7), (0, 0)]), None);
        assert!(matches!(batch.jobs[0].task, Task::Read(Range { start: 0, end: 3 })));
        let sectors: Vec<_> =
            batch.reads.iter().filter_map(|piece| piece.extent).map(Extent::sector).collect();
        assert_eq!(sectors, [100, 104, 112]);
        assert_eq!((batch.reads[0].offset, batch.reads[0].len), (2048, 2048));
    }

    #[test]
    fn one_bad_segment_spoils_the_request_and_leaves_no_pieces() {
        for segments in [&[(0, 7), (6, 5)][..], &[(0, 7), (0, 8)]] {
            let batch = planned(DISK, &transfer(operation::WRITE, 0, segments), None);
            assert_eq!(batch.jobs[0].status, Status::ERROR);
            assert!(batch.writes.is_empty());
        }
        let beyond = planned(DISK, &transfer(operation::READ, 992, &[(0, 7), (0, 0)]), None);
        assert!(beyond.reads.is_empty() && beyond.jobs[0].status == Status::ERROR);
    }

    #[test]
    fn a_read_only_disk_is_not_changed() {
        let disk = Geometry { read_only: true, ..DISK };
        for operation in [operation::WRITE, operation::WRITE_BARRIER, operation::DISCARD] {
            let batch = planned(disk, &transfer(operation, 0, &[(0, 0)]), None);
            assert_eq!(batch.jobs[0].status, Status::ERROR);
        }
        assert_eq!(
            planned(disk, &transfer(operation::READ, 0, &[(0, 0)]), None).jobs[0].status,
            Status::OKAY
        );
    }

    #[test]
    fn an_unreadable_segment_list_fails_the_request() {
        let mut record = transfer(operation::INDIRECT, 0, &[]);
        record.handle = 1; // the place of the number of segments
        record.segment_count = operation::READ;
        assert_eq!(planned(DISK, &record, None).jobs[0].status, Status::ERROR);
        let list: Vec<_> = segment_list(SegmentRecord::default().as_bytes()).collect();
        assert_eq!(planned(DISK, &record, Some(&list)).reads.len(), 1);
    }

    proptest! {
        /// Whatever stands in the ring and in the indirect page: nothing outside of the disk or of a page is planned.
        #[test]
        fn any_request_stays_inside(
            slot: [[u8; 16]; 7], operation in 0_u8..8, count in 0_u8..14,
            near_end: bool, sectors in 1_u64..5000, read_only: bool,
            page in prop::collection::vec(any::<u8>(), 0..256),
        ) {
            let mut record = RequestRecord::read_from_bytes(slot.as_flattened()).unwrap();
            record.operation = operation;
            record.segment_count = count;
            if near_end {
                record.sector = sectors - record.sector % sectors;
                for segment in record.segments.iter_mut().take(usize::from(MAX_SEGMENTS)) {
                    segment.first_sector %= 9;
                    segment.last_sector %= 9;
                }
            }
            let list: Vec<_> = segment_list(&page).collect();
            let batch = planned(Geometry { sectors, read_only }, &record, Some(&list));
            prop_assert_eq!(batch.jobs.len(), 1);
            prop_assert!(!read_only || batch.writes.is_empty());
            for piece in batch.reads.iter().chain(&batch.writes) {
                let extent = piece.extent.unwrap();
                prop_assert!(extent.sector() + extent.sectors() <= sectors);
                prop_assert_eq!(extent.sectors() * 512, piece.len as u64);
                prop_assert!(piece.len > 0 && usize::from(piece.offset) + piece.len <= PAGE_SIZE);
            }
            if let Task::Discard(extent) = batch.jobs[0].task {
                prop_assert!(!read_only && extent.sector() + extent.sectors() <= sectors);
            }
        }
    }
}
