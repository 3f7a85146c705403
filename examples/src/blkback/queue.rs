//! One ring and its thread: sleeps until an event, then serves all there is.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use xen_evtchn::{DomId, EventChannel, Evtchn};
use xen_gnttab::{Gnttab, GrantMapping};

use super::batch::{Batch, Job, Piece};
use super::disk::Disk;
use super::execute::execute;
use super::negotiate::{Choice, QueueChoice};
use super::stats::Stats;
use super::window::{Transfer, Window};
use crate::blkif::layout::SegmentRecord;
use crate::blkif::request::segment_list;
use crate::blkif::{BackRing, Command, MAX_INDIRECT_SEGMENTS, Request, Segment};

/// Data that one batch moves at most, so that a guest cannot make the backend hold more.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Bytes that describe a segment, in a segment list.
const SEGMENT_RECORD_SIZE: u16 = 8;

const _: () = assert!(SEGMENT_RECORD_SIZE as usize == size_of::<SegmentRecord>());

/// Tells all queues to end.
#[derive(Debug)]
pub(super) struct Stop {
    told: AtomicBool,
    /// Readable from then on; nobody reads it, so that it wakes every queue.
    event: OwnedFd,
}

impl Stop {
    pub(super) fn new() -> Result<Arc<Self>> {
        let event = eventfd(0, EventfdFlags::CLOEXEC).context("cannot make an eventfd")?;
        Ok(Arc::new(Self { told: AtomicBool::new(false), event }))
    }

    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::Release);
        if let Err(error) = rustix::io::write(&self.event, &1_u64.to_ne_bytes()) {
            tracing::error!(%error, "cannot wake the queues");
        }
    }
}

/// A connected ring. Dropping it unmaps the ring and unbinds the port.
#[derive(Debug)]
pub(super) struct Queue {
    ring: BackRing<GrantMapping>,
    channel: EventChannel,
    window: Box<dyn Window>,
    disk: Arc<Disk>,
    stop: Arc<Stop>,
    requests: Vec<Request>,
    batch: Batch,
    stats: Stats,
}

impl Queue {
    /// Maps the ring that the frontend granted, and binds the port that it offered.
    pub(super) fn connect(
        domain: DomId,
        choice: &Choice,
        queue: &QueueChoice,
        transfer: Transfer,
        disk: Arc<Disk>,
        stop: Arc<Stop>,
    ) -> Result<Self> {
        let gnttab = Gnttab::open()?;
        let memory = gnttab.map(domain, &queue.ring)?;
        let ring = BackRing::new(memory, choice.abi)?;
        // A handle for each queue: the kernel makes all calls on one handle wait for each other.
        let channel = Evtchn::open()?.bind_interdomain(domain, queue.port)?;
        let window = transfer.window(gnttab, domain, choice.persistent);
        let (requests, batch, stats) = (Vec::new(), Batch::default(), Stats::default());
        Ok(Self { ring, channel, window, disk, stop, requests, batch, stats })
    }

    /// Slots of the ring.
    pub(super) fn slots(&self) -> u32 {
        self.ring.size()
    }

    /// Serves the ring until it is told to stop, or the frontend breaks the protocol.
    pub(super) fn serve(mut self) -> (Stats, Result<()>) {
        let result = self.run();
        (self.stats, result)
    }

    fn run(&mut self) -> Result<()> {
        while self.sleep()? {
            self.stats.events += 1;
            let start = Instant::now();
            self.drain()?;
            self.stats.busy += start.elapsed();
        }
        Ok(())
    }

    /// Sleeps until an event. False if it is time to stop.
    fn sleep(&self) -> Result<bool> {
        let evtchn = self.channel.evtchn();
        loop {
            let event = PollFd::from_borrowed_fd(evtchn.as_fd(), PollFlags::IN);
            let stop = PollFd::new(&self.stop.event, PollFlags::IN);
            match poll(&mut [event, stop], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("cannot wait for events"),
            }
            if self.stop.told.load(Ordering::Acquire) {
                return Ok(false);
            }
            if evtchn.pending_one()?.is_some() {
                // Before the look at the ring, so that what comes later is an event again.
                self.channel.unmask()?;
                return Ok(true);
            }
        }
    }

    /// Serves batches until the ring is empty and the frontend knows that it has to send an event for more.
    fn drain(&mut self) -> Result<()> {
        while !self.stop.told.load(Ordering::Acquire) {
            let waiting = self.ring.waiting()?;
            if waiting > 0 {
                self.serve_batch(waiting)?;
            } else if self.ring.arm()? {
                break;
            }
        }
        Ok(())
    }

    fn serve_batch(&mut self, waiting: u32) -> Result<()> {
        self.take(waiting)?;
        self.plan();
        execute(&mut self.batch, &self.disk, &mut *self.window, &mut self.stats);
        self.stats.batches += 1;
        if self.ring.respond(self.batch.jobs.iter().map(Job::response))? {
            self.stats.notifications += 1;
            self.channel.notify()?;
        }
        Ok(())
    }

    /// Copies requests out of the ring, as many as a batch may have.
    fn take(&mut self, waiting: u32) -> Result<()> {
        self.requests.clear();
        let mut bytes = 0;
        for _ in 0..waiting {
            let request = self.ring.peek()?;
            bytes += request.command.map_or(0, |command| command.max_bytes());
            if bytes > MAX_BATCH_BYTES && !self.requests.is_empty() {
                break;
            }
            self.ring.advance();
            self.requests.push(request);
        }
        self.stats.requests += self.requests.len() as u64;
        Ok(())
    }

    /// Checks the requests. Indirect ones need their segment lists first: one fetch for all.
    fn plan(&mut self) {
        let mut lists: Vec<Piece> = self.requests.iter().filter_map(segment_list_piece).collect();
        if !lists.is_empty() {
            self.window.fetch(&mut lists);
        }
        let mut lists = lists.iter();
        self.batch.clear();
        for request in &self.requests {
            let list = match request.command {
                Ok(Command::Indirect { .. }) => lists.next().and_then(|piece| segments(&*self.window, piece)),
                _ => None,
            };
            self.batch.add(self.disk.geometry(), request, list.as_deref());
        }
    }
}

fn segment_list_piece(request: &Request) -> Option<Piece> {
    let Ok(Command::Indirect { page, segments, .. }) = request.command else { return None };
    Some(Piece::new(page, 0..segments * SEGMENT_RECORD_SIZE, None))
}

/// A private copy of a segment list.
fn segments(window: &dyn Window, piece: &Piece) -> Option<Vec<Segment>> {
    let mut bytes = [0; MAX_INDIRECT_SEGMENTS as usize * size_of::<SegmentRecord>()];
    let bytes = bytes.get_mut(..piece.len).filter(|_| !piece.failed)?;
    window.fetched(piece.place, bytes).ok()?;
    Some(segment_list(bytes).collect())
}
