//! The pages of synchronous requests: a place for each vCPU, which waits until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use xen_foreignmem::{PAGE_SIZE, ResourceMapping};
use xen_sys::Port;
use xen_sys::xen_public::hvm::{IOREQ_INPROCESS, IOREQ_READY, IORESP_READY, Ioreq};

/// Bytes of a place.
const PLACE: usize = size_of::<Ioreq>();
/// Where in a place the data are.
const DATA: usize = std::mem::offset_of!(Ioreq, data);
/// Where in a place the port is.
const PORT: usize = std::mem::offset_of!(Ioreq, vp_eport);
/// Where in a place the state is.
const FLAGS: usize = std::mem::offset_of!(Ioreq, flags);
/// How many places a page has.
pub(super) const PER_PAGE: usize = PAGE_SIZE / PLACE;

/// The pages. Their places are as many as vCPUs can be, of which the guest may have fewer.
#[derive(Debug)]
pub(super) struct Places {
    pages: Vec<Arc<ResourceMapping>>,
    /// Where to look first, so that no vCPU is forgotten for another one.
    next: AtomicUsize,
}

impl Places {
    pub(super) fn new(pages: Vec<ResourceMapping>) -> Self {
        Self { pages: pages.into_iter().map(Arc::new).collect(), next: AtomicUsize::new(0) }
    }

    /// The first page.
    pub(super) fn first_page(&self) -> Option<&Arc<ResourceMapping>> {
        self.pages.first()
    }

    pub(super) fn count(&self) -> usize {
        self.pages.len() * PER_PAGE
    }

    /// The page that a place is in, and where it begins there.
    fn find(&self, place: usize) -> Option<(&ResourceMapping, usize)> {
        Some((self.pages.get(place / PER_PAGE)?, place % PER_PAGE * PLACE))
    }

    /// The port that belongs to a place, if there is such a vCPU.
    pub(super) fn port(&self, place: usize) -> Option<Port> {
        let (page, start) = self.find(place)?;
        let port = page.load_u32(start + PORT).ok()?;
        (port != 0).then(|| Port::new(port))
    }

    /// Changes the state of a place from one to another; false if it is in none or another. What Xen wrote before it set the state
    /// is visible afterwards.
    fn change(&self, place: usize, from: u8, to: u8) -> bool {
        let flags = self.find(place).and_then(|(page, start)| page.atomic_u8(start + FLAGS).ok());
        let changed = |flags: u8| (flags & Ioreq::STATE == from).then_some(flags & !Ioreq::STATE | to);
        flags.is_some_and(|flags| flags.fetch_update(Ordering::AcqRel, Ordering::Acquire, changed).is_ok())
    }

    fn is_ready(&self, place: usize) -> bool {
        let flags = self.find(place).and_then(|(page, start)| page.atomic_u8(start + FLAGS).ok());
        flags.is_some_and(|flags| flags.load(Ordering::Acquire) & Ioreq::STATE == IOREQ_READY)
    }

    /// Whether there is a request that nobody has taken.
    pub(super) fn is_any_ready(&self) -> bool {
        (0..self.count()).any(|place| self.is_ready(place))
    }

    /// A place among the first `count` with a request that nobody has taken, if there is one.
    pub(super) fn ready(&self, count: usize) -> Option<usize> {
        let first = self.next.load(Ordering::Relaxed);
        let place = (0..count).map(|place| (first + place) % count).find(|place| self.is_ready(*place))?;
        self.next.store(place + 1, Ordering::Relaxed);
        Some(place)
    }

    /// Takes the request of a place, unless another thread was faster. What is returned is a copy, which nobody can change.
    pub(super) fn take(&self, place: usize) -> Option<Ioreq> {
        if !self.change(place, IOREQ_READY, IOREQ_INPROCESS) {
            return None;
        }
        let (page, start) = self.find(place)?;
        page.read(start).ok()
    }

    /// Answers the request that was taken from a place, with a value if it wants one.
    pub(super) fn answer(&self, place: usize, value: Option<u64>) {
        let Some((page, start)) = self.find(place) else { return };
        if let (Some(value), Ok(data)) = (value, page.atomic_u64(start + DATA)) {
            data.store(value, Ordering::Relaxed); // before the state, whose change releases it
        }
        self.change(place, IOREQ_INPROCESS, IORESP_READY);
    }

    /// Has requests that a program took, which then ended, be taken again.
    pub(super) fn reopen(&self) {
        for place in 0..self.count() {
            self.change(place, IOREQ_INPROCESS, IOREQ_READY);
        }
    }
}
