//! `/dev/xen/gntdev`: maps and copies.
#![expect(unsafe_code, reason = "adopts a file descriptor; sets what happens on unmapping")]

use crate::{Error, GrantMapping, UnmapNotify};
use rustix::param::page_size;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use xen_sys::linux::gntdev::{
    CopySegment, Gntdev, Grant, GrantCopy, MapGrantRef, SetUnmapNotify, UnmapGrantRef,
    UnmapNotify as NotifyRecord,
};
use xen_sys::linux::own_domain;
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::{Access, Device, DomId, GrantRef, GrantStatus, ReadOnly, ReadWrite, SharedMemory};

/// A handle on the grant device: maps other domains' pages, and copies to and from them.
///
/// Cloning gives another reference to the same handle. Threads may share it. Dropping the last reference closes the
/// device; what is mapped stays mapped.
#[derive(Clone, Debug)]
#[doc(alias = "xengnttab_handle")]
#[doc(alias = "xengnttab_close")]
pub struct Gnttab {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: Device<Gntdev>,
    /// Pages between the request to map them and the end of the mapping call.
    in_flight: AtomicUsize,
}

/// Address space that may be in flight on one open file, in bytes. Linux loses count at 2 GiB for each file; a request that
/// would come near that gets a file of its own.
const MOST_IN_FLIGHT: usize = 1 << 30;

impl Gnttab {
    /// Opens `/dev/xen/gntdev`, close-on-exec.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], which tells a machine without Xen from a module that is not loaded and from a lack of
    /// permission.
    #[doc(alias = "xengnttab_open")]
    pub fn open() -> Result<Self, Error> {
        Ok(Self::new(Device::open()?))
    }

    /// Takes over an open file on `/dev/xen/gntdev`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if it cannot be set up.
    ///
    /// # Safety
    ///
    /// - `fd` is open on `/dev/xen/gntdev`: another driver could take the requests for its own.
    #[doc(alias = "xengnttab_fdopen")]
    pub unsafe fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        let device = unsafe { Device::from_fd(fd) };
        Ok(Self::new(device.map_err(|source| Error::Device { call: "adopt", source })?))
    }

    fn new(device: Device<Gntdev>) -> Self {
        Self { shared: Arc::new(Shared { device, in_flight: AtomicUsize::new(0) }) }
    }

    pub(crate) fn device(&self) -> &Device<Gntdev> {
        &self.shared.device
    }

    /// Maps grants of one domain, for reading and writing: all or none.
    ///
    /// Page `n` of the mapping is `references[n]`. One request is one hypercall for all grants, and three system calls
    /// (four in an auto-translated domain: HVM, PVH, Arm); unmapping is one more. Up to 512 grants need no allocation.
    ///
    /// # Errors
    ///
    /// [`Error::Grant`] names the first grant that Xen refuses, and how; [`Error::TooMany`] for more than the kernel
    /// parameter `xen_gntdev.limit` (65536); [`Error::Count`] for none; [`Error::Map`] if the kernel lacks memory.
    #[doc(alias = "xengnttab_map_grant_ref")]
    #[doc(alias = "xengnttab_map_domain_grant_refs")]
    #[doc(alias = "IOCTL_GNTDEV_MAP_GRANT_REF")]
    #[doc(alias = "GNTTABOP_map_grant_ref")]
    pub fn map(&self, domain: DomId, references: &[GrantRef]) -> Result<GrantMapping, Error> {
        self.map_list(Grants::Of(domain, references), UnmapNotify::new())
    }

    /// Maps grants of one domain, for reading only. As [`Gnttab::map`]; grants that are read-only can only be mapped so.
    ///
    /// # Errors
    ///
    /// As [`Gnttab::map`].
    pub fn map_read_only(
        &self,
        domain: DomId,
        references: &[GrantRef],
    ) -> Result<GrantMapping<ReadOnly>, Error> {
        self.map_list(Grants::Of(domain, references), UnmapNotify::new())
    }

    /// Maps with more choice: grants of several domains, and something to happen on unmapping.
    pub fn options(&self) -> MapOptions<'_> {
        MapOptions { gnttab: self, notify: UnmapNotify::new() }
    }

    /// Does nothing: the number of grants of a handle has no limit in any supported kernel, and no kernel has the call.
    /// The name is here for those who look for it.
    #[doc(alias = "xengnttab_set_max_grants")]
    #[doc(alias = "IOCTL_GNTDEV_SET_MAX_GRANTS")]
    pub fn set_max_grants(&self, _count: u32) {}

    /// Copies all segments, in one system call; the hypervisor does the copying, and nothing is mapped.
    ///
    /// Segments are done in order. Each keeps its [`status`](CopySegment::status). If segments that fill local memory
    /// and others are mixed, each run of a kind is a system call, because the kernel would take all of one call for one
    /// kind.
    ///
    /// # Errors
    ///
    /// [`Error::Copy`] if any segment failed: all others are done, and a failed one may be done in part.
    /// [`Error::CopyCall`] if the kernel refused the call, for lack of memory or because local memory is not there.
    #[doc(alias = "xengnttab_grant_copy")]
    #[doc(alias = "IOCTL_GNTDEV_GRANT_COPY")]
    #[doc(alias = "GNTTABOP_copy")]
    #[inline]
    pub fn copy(&self, segments: &mut [CopySegment<'_>]) -> Result<(), Error> {
        let all = if CopySegment::are_of_one_kind(segments) {
            self.copy_run(segments)
        } else {
            self.copy_mixed(segments)
        };
        match all {
            Ok(()) if CopySegment::are_okay(segments) => Ok(()),
            outcome => Err(copy_error(outcome, segments)),
        }
    }

    #[cold]
    fn copy_mixed(&self, segments: &mut [CopySegment<'_>]) -> io::Result<()> {
        segments.iter_mut().for_each(CopySegment::reset_status);
        let mut runs =
            segments.chunk_by_mut(|one, next| one.fills_local_memory() == next.fills_local_memory());
        runs.try_for_each(|run| self.copy_run(run))
    }

    #[inline]
    fn copy_run(&self, run: &mut [CopySegment<'_>]) -> io::Result<()> {
        let mut request = GrantCopy::new(run).ok_or(io::ErrorKind::InvalidInput)?;
        let outcome = self.shared.device.submit(&mut request);
        if outcome.is_err() {
            // The kernel marks segments as done when it queues them, and drops the queue on an error.
            run.iter_mut().for_each(CopySegment::reset_status);
        }
        outcome.map(drop)
    }

    fn map_list<A: Access>(&self, grants: Grants<'_>, notify: UnmapNotify) -> Result<GrantMapping<A>, Error> {
        let count = grants.len();
        let pages = u32::try_from(count).ok().filter(|&pages| pages > 0);
        let pages = pages.ok_or(Error::Count { call: "mapping", count })?;
        if let Some(offset) = notify.byte() {
            let length = count.saturating_mul(xen_sys::PAGE_SIZE);
            if offset >= length {
                return Err(Error::NotifyOffset { offset, length });
            }
            if !A::WRITABLE {
                return Err(Error::NotifyReadOnly);
            }
        }
        let own = InFlight::enter(&self.shared.in_flight, count);
        let spare =
            if own.total.saturating_mul(page_size()) > MOST_IN_FLIGHT { Some(Device::open()?) } else { None };
        let device = spare.as_ref().unwrap_or(&self.shared.device);
        match map_on::<A>(device, grants, pages, notify) {
            Ok(memory) => Ok(GrantMapping::new(memory)),
            Err(Failure::Refused(source)) => Err(Error::TooMany { count, source }),
            Err(Failure::Notify(source)) => Err(Error::Notify { source }),
            Err(Failure::Mmap(source)) => Err(self.blame::<A>(device, grants, source)),
        }
    }

    /// Finds the first grant that cannot be mapped: the kernel only says that one of them cannot.
    fn blame<A: Access>(&self, device: &Device<Gntdev>, grants: Grants<'_>, source: io::Error) -> Error {
        let count = grants.len();
        if source.raw_os_error() != Some(EINVAL) {
            return Error::Map { count, source };
        }
        // The first `good` map; the first `bad` do not.
        let (mut good, mut bad) = (0, count);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            // Lossless: no longer than the list, whose length is an u32.
            let pages = u32::try_from(middle).unwrap_or(u32::MAX);
            match map_on::<A>(device, grants.first(middle), pages, UnmapNotify::new()) {
                Ok(_) => good = middle,
                Err(Failure::Mmap(error)) if error.raw_os_error() == Some(EINVAL) => bad = middle,
                Err(_) => return Error::Map { count, source },
            }
        }
        match grants.iter().nth(good) {
            Some(grant) => Error::Grant { index: good, grant, status: self.probe(grant), source },
            None => Error::Map { count, source },
        }
    }

    /// Asks Xen for the state of a grant that cannot be mapped, by copying a byte from it.
    fn probe(&self, grant: Grant) -> GrantStatus {
        let mut byte = [0];
        let Ok(segment) = CopySegment::from_grant(grant, 0, &mut byte) else { return GrantStatus::UNKNOWN };
        let mut segments = [segment];
        match self.copy(&mut segments) {
            Ok(()) => GrantStatus::PERMISSION_DENIED,
            Err(_) => segments[0].status(),
        }
    }
}

impl AsFd for Gnttab {
    #[doc(alias = "xengnttab_fd")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.device.as_fd()
    }
}

impl AsRawFd for Gnttab {
    #[doc(alias = "xengnttab_fd")]
    fn as_raw_fd(&self) -> RawFd {
        self.shared.device.as_raw_fd()
    }
}

/// How to map grants; made by [`Gnttab::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MapOptions<'a> {
    gnttab: &'a Gnttab,
    notify: UnmapNotify,
}

impl MapOptions<'_> {
    /// What is to happen when the mapping goes. It is set before the grants are mapped, so that there is no moment in
    /// which a crash would go unnoticed. If mapping fails, nothing happens.
    #[doc(alias = "xengnttab_map_grant_ref_notify")]
    #[doc(alias = "IOCTL_GNTDEV_SET_UNMAP_NOTIFY")]
    pub fn notify(self, notify: UnmapNotify) -> Self {
        Self { notify, ..self }
    }

    /// Maps grants, of any domains, for reading and writing: all or none.
    ///
    /// # Errors
    ///
    /// As [`Gnttab::map`]; and [`Error::NotifyOffset`] if the byte to clear is not inside the pages, [`Error::Notify`] if
    /// nobody holds the port.
    #[doc(alias = "xengnttab_map_grant_refs")]
    pub fn map(&self, grants: &[Grant]) -> Result<GrantMapping<ReadWrite>, Error> {
        self.gnttab.map_list(Grants::List(grants), self.notify)
    }

    /// Maps grants, of any domains, for reading only: all or none.
    ///
    /// # Errors
    ///
    /// As [`MapOptions::map`]; and [`Error::NotifyReadOnly`] if a byte is to be cleared.
    #[doc(alias = "xengnttab_map_grant_refs")]
    pub fn map_read_only(&self, grants: &[Grant]) -> Result<GrantMapping<ReadOnly>, Error> {
        self.gnttab.map_list(Grants::List(grants), self.notify)
    }
}

/// What is to be mapped.
#[derive(Clone, Copy)]
enum Grants<'a> {
    Of(DomId, &'a [GrantRef]),
    List(&'a [Grant]),
}

impl<'a> Grants<'a> {
    fn len(self) -> usize {
        match self {
            Self::Of(_, references) => references.len(),
            Self::List(grants) => grants.len(),
        }
    }

    fn first(self, count: usize) -> Self {
        match self {
            Self::Of(domain, references) => Self::Of(domain, references.get(..count).unwrap_or(references)),
            Self::List(grants) => Self::List(grants.get(..count).unwrap_or(grants)),
        }
    }

    fn iter(self) -> impl Iterator<Item = Grant> + use<'a> {
        let (domain, references, grants) = match self {
            Self::Of(domain, references) => (domain, references, &[][..]),
            Self::List(grants) => (DomId::ZERO, &[][..], grants),
        };
        references.iter().map(move |&reference| Grant::new(domain, reference)).chain(grants.iter().copied())
    }
}

/// The whole copy failed, or some of its segments.
#[cold]
fn copy_error(outcome: io::Result<()>, segments: &[CopySegment<'_>]) -> Error {
    let count = segments.len();
    if let Err(source) = outcome {
        return Error::CopyCall { count, source };
    }
    let statuses = segments.iter().map(CopySegment::status).enumerate();
    let mut failures = statuses.filter(|(_, status)| !status.is_okay());
    let (first, status) = failures.next().unwrap_or((0, GrantStatus::UNKNOWN)); // there is one
    Error::Copy { failed: 1 + failures.count(), count, first, status }
}

/// Counts pages in flight for as long as it lives.
struct InFlight<'a> {
    counter: &'a AtomicUsize,
    pages: usize,
    total: usize,
}

impl<'a> InFlight<'a> {
    fn enter(counter: &'a AtomicUsize, pages: usize) -> Self {
        let total = counter.fetch_add(pages, Ordering::Relaxed).saturating_add(pages);
        Self { counter, pages, total }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.pages, Ordering::Relaxed);
    }
}

/// Where mapping failed.
enum Failure {
    Refused(io::Error),
    Notify(io::Error),
    Mmap(io::Error),
}

/// Maps grants on a device, and gives the device's hold on them back at once, so that the mapping alone keeps them: its
/// end is one `munmap(2)`, which cannot fail, and the device's numbering never grows.
fn map_on<A: Access>(
    device: &Device<Gntdev>,
    grants: Grants<'_>,
    pages: u32,
    notify: UnmapNotify,
) -> Result<SharedMemory<A>, Failure> {
    let index = MapGrantRef::with(pages, grants.iter(), |request| {
        device.submit(request).map(|_| request.index()).map_err(Failure::Refused)
    })?;
    let mut slots = Slots { device, index, pages, notifies: false };
    if notify != UnmapNotify::new() {
        slots.set_notify(notify.record(index, page_size())).map_err(Failure::Notify)?;
        slots.notifies = true;
    }
    let memory = SharedMemory::map(device, index, grants.len()).map_err(Failure::Mmap)?;
    if !kernel_keeps_grants_from_children() {
        memory.not_for_children().map_err(Failure::Mmap)?;
    }
    slots.notifies = false;
    Ok(memory)
}

/// The device's hold on grants, given back on every path.
struct Slots<'a> {
    device: &'a Device<Gntdev>,
    index: u64,
    pages: u32,
    /// Whether the other side would be told of the end of a mapping that never was.
    notifies: bool,
}

impl Slots<'_> {
    fn set_notify(&self, record: NotifyRecord) -> io::Result<()> {
        // SAFETY: the byte, if any, is inside a map of this device that will be mapped writable: `map_list` checked.
        unsafe { self.device.submit_unchecked(&mut SetUnmapNotify(record)) }.map(drop)
    }
}

impl Drop for Slots<'_> {
    fn drop(&mut self) {
        if self.notifies {
            let cancelled = self.set_notify(NotifyRecord { index: self.index, ..NotifyRecord::default() });
            if let Err(error) = cancelled {
                tracing::warn!(index = self.index, %error, "unmap notification not cancelled");
            }
        }
        let mut request = UnmapGrantRef { index: self.index, count: self.pages, padding: 0 };
        if let Err(error) = self.device.submit(&mut request) {
            tracing::warn!(index = self.index, pages = self.pages, %error, "grant slots leaked");
        }
    }
}

/// Whether this is a PV domain, where the kernel itself keeps mapped grants out of children.
pub(crate) fn kernel_keeps_grants_from_children() -> bool {
    static PV: OnceLock<bool> = OnceLock::new();
    *PV.get_or_init(own_domain::is_pv)
}
