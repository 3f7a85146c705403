//! `/dev/xen/gntalloc`: pages of our own, granted to another domain.
#![expect(unsafe_code, reason = "adopts a file descriptor")]

use crate::{Error, UnmapNotify};
use rustix::param::page_size;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use xen_sys::linux::gntalloc::{AllocGref, DeallocGref, Gntalloc as Driver, SetUnmapNotify};
use xen_sys::linux::gntdev::UnmapNotify as NotifyRecord;
use xen_sys::{Device, DomId, GrantRef, PAGE_SIZE, SharedMemory};

/// A handle on the device that shares pages of ours. Cloning gives another reference to it. Threads may share it.
/// Dropping the last reference closes the device; what is shared stays shared.
///
/// The kernel parameter `xen_gntalloc.limit` (1024) bounds the pages of all processes together.
#[derive(Clone, Debug)]
#[doc(alias = "xengntshr_handle")]
#[doc(alias = "xengntshr_close")]
pub struct Gntalloc {
    device: Arc<Device<Driver>>,
}

impl Gntalloc {
    /// Opens `/dev/xen/gntalloc`, close-on-exec.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], which tells a machine without Xen from a module that is not loaded and from a lack of
    /// permission.
    #[doc(alias = "xengntshr_open")]
    pub fn open() -> Result<Self, Error> {
        Ok(Self { device: Arc::new(Device::open()?) })
    }

    /// Takes over an open file on `/dev/xen/gntalloc`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if it cannot be set up.
    ///
    /// # Safety
    ///
    /// - `fd` is open on `/dev/xen/gntalloc`: another driver could take the requests for its own.
    pub unsafe fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        let device = unsafe { Device::from_fd(fd) };
        let device = device.map_err(|source| Error::Device { call: "adopt", source })?;
        Ok(Self { device: Arc::new(device) })
    }

    /// Shares fresh zeroed pages with `domain`, which may read and write them. Three system calls; one to release them.
    ///
    /// # Errors
    ///
    /// [`Error::Share`]: `ENOSPC` the limit is reached or no grant is left, `ENOMEM`. [`Error::Count`] for no page.
    #[doc(alias = "xengntshr_share_pages")]
    #[doc(alias = "IOCTL_GNTALLOC_ALLOC_GREF")]
    pub fn share(&self, domain: DomId, pages: usize) -> Result<SharedPages, Error> {
        self.options().share(domain, pages)
    }

    /// Shares fresh zeroed pages with `domain`, which may only read them; we may write. As [`Gntalloc::share`].
    ///
    /// # Errors
    ///
    /// As [`Gntalloc::share`].
    pub fn share_read_only(&self, domain: DomId, pages: usize) -> Result<SharedPages, Error> {
        self.options().read_only(true).share(domain, pages)
    }

    /// Shares with more choice: something to happen when a page goes.
    pub fn options(&self) -> ShareOptions<'_> {
        ShareOptions { gntalloc: self, read_only: false, notify: Vec::new() }
    }
}

impl AsFd for Gntalloc {
    #[doc(alias = "xengntshr_fd")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for Gntalloc {
    #[doc(alias = "xengntshr_fd")]
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

/// How to share pages; made by [`Gntalloc::options`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ShareOptions<'a> {
    gntalloc: &'a Gntalloc,
    read_only: bool,
    notify: Vec<(usize, UnmapNotify)>,
}

impl ShareOptions<'_> {
    /// Whether the other domain may only read.
    pub fn read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// What is to happen when page number `page` goes; the byte to clear counts from the start of that page. It is set
    /// before the pages are mapped. A page has one notification: of several, the last counts.
    #[doc(alias = "xengntshr_share_page_notify")]
    #[doc(alias = "IOCTL_GNTALLOC_SET_UNMAP_NOTIFY")]
    pub fn notify(mut self, page: usize, notify: UnmapNotify) -> Self {
        self.notify.push((page, notify));
        self
    }

    /// Shares fresh zeroed pages with `domain`.
    ///
    /// # Errors
    ///
    /// As [`Gntalloc::share`]; and [`Error::NotifyOffset`] if a byte to clear is not inside its page, or the page not
    /// among the pages, [`Error::Notify`] if nobody holds the port.
    pub fn share(&self, domain: DomId, pages: usize) -> Result<SharedPages, Error> {
        let count = u32::try_from(pages).ok().filter(|&count| count > 0);
        let count = count.ok_or(Error::Count { call: "sharing", count: pages })?;
        for &(page, notify) in &self.notify {
            let byte = notify.byte().unwrap_or(0);
            if page >= pages || byte >= PAGE_SIZE {
                let offset = page.saturating_mul(PAGE_SIZE).saturating_add(byte);
                return Err(Error::NotifyOffset { offset, length: pages.saturating_mul(PAGE_SIZE) });
            }
        }
        let failed = |source| Error::Share { domain, count: pages, source };
        let device = &*self.gntalloc.device;
        let (index, references) = AllocGref::with(domain, count, !self.read_only, |request| {
            device.submit(request).map(|_| (request.index(), request.references().to_vec()))
        })
        .map_err(failed)?;
        let mut hold = Hold { device, index, count, notified: Vec::new() };
        for &(page, notify) in &self.notify {
            let record = notify.record(index + (page * page_size()) as u64, page_size());
            device.submit(&mut SetUnmapNotify(record)).map_err(|source| Error::Notify { source })?;
            hold.notified.push(record.index);
        }
        let memory = SharedMemory::map(device, index, pages).map_err(failed)?;
        hold.notified.clear();
        Ok(SharedPages { memory, references })
    }
}

/// The device's hold on pages, given back on every path: what is mapped lives on.
struct Hold<'a> {
    device: &'a Device<Driver>,
    index: u64,
    count: u32,
    /// Where notifications are set that must not go out, because nobody ever saw the pages.
    notified: Vec<u64>,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let cancel = |index| {
            self.device.submit(&mut SetUnmapNotify(NotifyRecord { index, ..NotifyRecord::default() }))
        };
        let release =
            || self.device.submit(&mut DeallocGref { index: self.index, count: self.count, padding: 0 });
        let outcome: io::Result<u32> =
            self.notified.drain(..).try_for_each(|index| cancel(index).map(drop)).and_then(|()| release());
        if let Err(error) = outcome {
            tracing::warn!(index = self.index, pages = self.count, %error, "shared pages leaked until the device is closed");
        }
    }
}

/// Pages of ours that another domain may use. Dropping them ends the sharing.
///
/// While the other domain still has a page mapped, the kernel keeps that page and its grant; the other domain never sees what
/// the page is used for later. Nothing can take the page away from it. Once it is unmapped, the kernel gives page and grant
/// back, but only 10 of them a second (`grant_table.free_per_iteration`): a program that shares and releases a lot should wait
/// until the other side has unmapped, before it releases. Then both are free at once.
#[derive(Debug)]
#[must_use = "dropping shared pages ends the sharing"]
#[doc(alias = "xengntshr_unshare")]
pub struct SharedPages {
    memory: SharedMemory,
    references: Vec<GrantRef>,
}

impl SharedPages {
    /// The references of the pages, in order: what the other domain maps.
    #[must_use]
    pub fn grants(&self) -> &[GrantRef] {
        &self.references
    }
}

impl Deref for SharedPages {
    type Target = SharedMemory;

    fn deref(&self) -> &SharedMemory {
        &self.memory
    }
}
