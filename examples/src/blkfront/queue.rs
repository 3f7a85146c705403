//! One ring of a frontend, with pages for its data.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use xen_evtchn::{DomId, EventChannel, Evtchn, Port};
use xen_gnttab::{Gntalloc, GrantRef, SharedPages};
use zerocopy::{Immutable, IntoBytes};

use super::Shape;
use crate::blkif::layout::{IndirectRecord, RequestRecord, SegmentRecord, operation};
use crate::blkif::request::encode_segment_list;
use crate::blkif::{FrontRing, MAX_SEGMENTS, PAGE_SIZE, Request, Response, SECTORS_PER_PAGE};

/// A ring, its event channel, and shared pages for the data of its requests.
#[derive(Debug)]
pub struct FrontQueue {
    /// The ring.
    pub ring: FrontRing<SharedPages>,
    /// Pages for data, which the backend may read and write.
    pub data: SharedPages,
    channel: EventChannel,
    /// A page for the segment list of an indirect request.
    list: SharedPages,
    last_id: u64,
}

impl FrontQueue {
    pub(super) fn new(gntalloc: &Gntalloc, backend: DomId, shape: Shape) -> Result<Self> {
        let ring = FrontRing::new(gntalloc.share(backend, 1 << shape.ring_page_order)?)?;
        let data = gntalloc.share(backend, shape.data_pages)?;
        let list = gntalloc.share(backend, 1)?;
        let channel = Evtchn::open()?.bind_unbound(backend)?;
        Ok(Self { ring, data, channel, list, last_id: 0 })
    }

    pub(super) fn port(&self) -> Port {
        self.channel.port()
    }

    pub(super) fn ring_pages(&self) -> &[GrantRef] {
        self.ring.memory().grants()
    }

    /// The page that holds segment lists.
    #[must_use]
    pub fn list_page(&self) -> GrantRef {
        self.list.grants()[0]
    }

    /// A new name for a request.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// The whole data page with this number.
    ///
    /// # Errors
    /// If there is no such page.
    pub fn segment(&self, page: usize) -> Result<SegmentRecord> {
        let reference =
            self.data.grants().get(page).with_context(|| format!("there is no data page {page}"))?.get();
        Ok(SegmentRecord { reference, first_sector: 0, last_sector: SECTORS_PER_PAGE - 1, padding: [0; 2] })
    }

    /// Segments for `count` whole data pages from `page` on.
    ///
    /// # Errors
    /// If there are fewer pages.
    pub fn segments(&self, page: usize, count: usize) -> Result<Vec<SegmentRecord>> {
        (page..page + count).map(|page| self.segment(page)).collect()
    }

    /// A request with these segments: direct if they fit, indirect if not. Not sent yet.
    ///
    /// # Errors
    /// If there are more segments than an indirect request takes.
    pub fn transfer(
        &mut self,
        operation: u8,
        sector: u64,
        segments: &[SegmentRecord],
    ) -> Result<RequestRecord> {
        let id = self.next_id();
        if segments.len() > MAX_SEGMENTS.into() {
            let count = u16::try_from(segments.len()).context("too many segments")?;
            return self.indirect(id, operation, sector, count, segments);
        }
        let mut record = RequestRecord { operation, id, sector, ..RequestRecord::default() };
        record.segment_count = u8::try_from(segments.len())?;
        record.segments[..segments.len()].copy_from_slice(segments);
        Ok(record)
    }

    /// An indirect request that announces `count` segments.
    ///
    /// # Errors
    /// If the segments do not fit a page.
    pub fn indirect(
        &self,
        id: u64,
        indirect_operation: u8,
        sector: u64,
        count: u16,
        segments: &[SegmentRecord],
    ) -> Result<RequestRecord> {
        self.list.copy_from_slice(0, encode_segment_list(segments))?;
        Ok(zerocopy::transmute!(IndirectRecord {
            operation: operation::INDIRECT,
            indirect_operation,
            segment_count: count,
            padding: 0,
            id,
            sector,
            handle: 0,
            padding2: 0,
            pages: [self.list_page().get(); 8],
            rest: [0; 52],
        }))
    }

    /// Puts a request into the ring. The backend does not see it before [`FrontQueue::send`].
    ///
    /// # Errors
    /// If the ring is full.
    pub fn push<T: IntoBytes + Immutable>(&mut self, record: &T) -> Result<()> {
        anyhow::ensure!(self.ring.free() > 0, "the ring is full");
        Ok(self.ring.push(record)?)
    }

    /// Shows the backend all pushed requests, with an event if it wants one.
    ///
    /// # Errors
    /// If the event cannot be sent.
    pub fn send(&mut self) -> Result<()> {
        if self.ring.publish()? {
            self.notify()?;
        }
        Ok(())
    }

    /// Sends an event, wanted or not.
    ///
    /// # Errors
    /// If the event cannot be sent.
    pub fn notify(&self) -> Result<()> {
        Ok(self.channel.notify()?)
    }

    /// Waits for the next response.
    ///
    /// # Errors
    /// If none has come by `deadline`.
    pub fn response(&mut self, deadline: Instant) -> Result<Response> {
        let evtchn = self.channel.evtchn().clone();
        loop {
            if let Some(response) = self.ring.take()? {
                return Ok(response);
            }
            if !self.ring.arm()? {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("no response in time");
            }
            if evtchn.wait(Some(left))? && evtchn.pending_one()?.is_some() {
                self.channel.unmask()?;
            }
        }
    }

    /// Sends one request and waits for its response.
    ///
    /// # Errors
    /// If the response is not in time, or not to this request.
    pub fn call(&mut self, record: &RequestRecord, deadline: Instant) -> Result<Response> {
        self.push(record)?;
        self.send()?;
        let response = self.response(deadline)?;
        let expected = Request::decode(record).operation;
        anyhow::ensure!(
            (response.id, response.operation) == (record.id, expected),
            "a response to request {} (operation {}), where one to {} ({}) was awaited",
            response.id,
            response.operation,
            record.id,
            expected
        );
        Ok(response)
    }

    /// Fills data pages from `page` on.
    ///
    /// # Errors
    /// If there are too few pages.
    pub fn fill(&self, page: usize, bytes: &[u8]) -> Result<()> {
        Ok(self.data.copy_from_slice(page * PAGE_SIZE, bytes)?)
    }

    /// What is in `count` data pages from `page` on.
    ///
    /// # Errors
    /// If there are too few pages.
    pub fn bytes(&self, page: usize, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count * PAGE_SIZE];
        self.data.copy_to_slice(page * PAGE_SIZE, &mut bytes)?;
        Ok(bytes)
    }
}
