//! Requests that make no sense. Each must be answered with an error, and change nothing.

use anyhow::Result;
use examples::blkfront::FrontQueue;
use examples::blkif::layout::{DiscardRecord, IndirectRecord, RequestRecord, SegmentRecord, operation};
use xen_evtchn::DomId;
use xen_gnttab::{Gntalloc, SharedPages};

use crate::victim;

/// Sectors of the disk.
const SECTORS: u64 = victim::SECTORS as u64;

/// Makes one bad request.
pub(crate) type Make = fn(&mut FrontQueue) -> Result<Bad>;

/// A bad request, and pages that must live until it is answered.
pub(crate) struct Bad {
    pub(crate) record: RequestRecord,
    pub(crate) pages: Option<SharedPages>,
}

impl From<RequestRecord> for Bad {
    fn from(record: RequestRecord) -> Self {
        Self { record, pages: None }
    }
}

/// A grant reference that is not in use.
const UNUSED: u32 = 0x000f_ff00;
/// A domain that does not exist.
const STRANGER: u16 = 4711;

/// All bad requests, by name.
pub(crate) const ALL: &[(&str, Make)] = &[
    ("read into a page that was never granted", |queue| with_grant(queue, operation::READ, UNUSED)),
    ("write from a page that was never granted", |queue| with_grant(queue, operation::WRITE, UNUSED)),
    ("a grant reference beyond any table", |queue| with_grant(queue, operation::WRITE, u32::MAX)),
    ("one bad grant among good ones", one_bad_grant),
    ("read into a page granted for reading only", |queue| {
        let pages = Gntalloc::open()?.share_read_only(DomId::ZERO, 1)?;
        let record = with_grant(queue, operation::READ, pages.grants()[0].get())?.record;
        Ok(Bad { record, pages: Some(pages) })
    }),
    ("write from a page granted to another domain", |queue| {
        let pages = Gntalloc::open()?.share(DomId::try_from(STRANGER)?, 1)?;
        let record = with_grant(queue, operation::WRITE, pages.grants()[0].get())?.record;
        Ok(Bad { record, pages: Some(pages) })
    }),
    ("first sector of a segment behind the last", |queue| with_sectors(queue, 5, 4)),
    ("last sector of a segment beyond the page", |queue| with_sectors(queue, 0, 8)),
    ("segment far beyond the page", |queue| with_sectors(queue, 250, 255)),
    ("read at the end of the disk", |queue| at(queue, operation::READ, SECTORS)),
    ("read across the end of the disk", |queue| at(queue, operation::READ, SECTORS - 7)),
    ("write across the end of the disk", |queue| at(queue, operation::WRITE, SECTORS - 7)),
    ("write where the sum of sectors wraps", |queue| at(queue, operation::WRITE, u64::MAX - 7)),
    ("write where the byte position wraps to 0", |queue| at(queue, operation::WRITE, 1 << 55)),
    ("barrier write beyond the disk", |queue| at(queue, operation::WRITE_BARRIER, SECTORS)),
    ("no segment", |queue| with_count(queue, operation::READ, 0)),
    ("12 segments in a request that holds 11", |queue| with_count(queue, operation::WRITE, 12)),
    ("255 segments in a request that holds 11", |queue| with_count(queue, operation::READ, 255)),
    ("flush with 255 segments", |queue| with_count(queue, operation::FLUSH, 255)),
    ("unknown operation 4", |queue| with_count(queue, 4, 1)),
    ("unknown operation 255", |queue| with_count(queue, 255, 1)),
    ("discard across the end of the disk", |queue| Ok(discard(queue, SECTORS - 1, 2))),
    ("discard of everything and more", |queue| Ok(discard(queue, 1, u64::MAX))),
    ("indirect request with the operation barrier", |queue| indirect(queue, operation::WRITE_BARRIER, 1)),
    ("indirect request for an indirect request", |queue| indirect(queue, operation::INDIRECT, 1)),
    ("indirect request without segments", |queue| indirect(queue, operation::READ, 0)),
    ("indirect request with 65535 segments", |queue| indirect(queue, operation::WRITE, u16::MAX)),
    ("indirect request across the end of the disk", indirect_across_the_end),
    ("indirect request with a list page that was never granted", |queue| {
        let mut record: IndirectRecord = zerocopy::transmute!(indirect(queue, operation::WRITE, 2)?.record);
        record.pages = [UNUSED; 8];
        let record: RequestRecord = zerocopy::transmute!(record);
        Ok(record.into())
    }),
    ("indirect request with garbage for a list", |queue| {
        let garbage =
            SegmentRecord { reference: 0xffff_ffff, first_sector: 9, last_sector: 3, padding: [255; 2] };
        let id = queue.next_id();
        Ok(queue.indirect(id, operation::WRITE, 0, 200, &[garbage; 200])?.into())
    }),
];

fn good(queue: &mut FrontQueue, operation: u8) -> Result<RequestRecord> {
    let segments = queue.segments(0, 2)?;
    queue.transfer(operation, 0, &segments)
}

fn with_grant(queue: &mut FrontQueue, operation: u8, reference: u32) -> Result<Bad> {
    let mut record = good(queue, operation)?;
    record.segment_count = 1;
    record.segments[0].reference = reference;
    Ok(record.into())
}

fn one_bad_grant(queue: &mut FrontQueue) -> Result<Bad> {
    let segments = queue.segments(0, 11)?;
    let mut record = queue.transfer(operation::WRITE, 0, &segments)?;
    record.segments[6].reference = UNUSED;
    Ok(record.into())
}

fn with_sectors(queue: &mut FrontQueue, first_sector: u8, last_sector: u8) -> Result<Bad> {
    let mut record = good(queue, operation::WRITE)?;
    record.segments[1] = SegmentRecord { first_sector, last_sector, ..record.segments[1] };
    Ok(record.into())
}

fn at(queue: &mut FrontQueue, operation: u8, sector: u64) -> Result<Bad> {
    Ok(RequestRecord { sector, ..good(queue, operation)? }.into())
}

fn with_count(queue: &mut FrontQueue, operation: u8, segment_count: u8) -> Result<Bad> {
    Ok(RequestRecord { segment_count, ..good(queue, operation)? }.into())
}

fn discard(queue: &mut FrontQueue, sector: u64, sectors: u64) -> Bad {
    let id = queue.next_id();
    let operation = operation::DISCARD;
    let record =
        DiscardRecord { operation, flags: 0, handle: 0, padding: 0, id, sector, sectors, rest: [0; 80] };
    let record: RequestRecord = zerocopy::transmute!(record);
    record.into()
}

fn indirect(queue: &mut FrontQueue, operation: u8, count: u16) -> Result<Bad> {
    let segments = queue.segments(0, 2)?;
    let id = queue.next_id();
    Ok(queue.indirect(id, operation, 0, count, &segments)?.into())
}

fn indirect_across_the_end(queue: &mut FrontQueue) -> Result<Bad> {
    let segments = queue.segments(0, 16)?;
    Ok(queue.transfer(operation::WRITE, SECTORS - 16 * 8 + 1, &segments)?.into())
}
