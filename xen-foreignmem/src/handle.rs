//! The handle.
#![expect(unsafe_code, reason = "adopts a file descriptor")]

use crate::{
    Error, ForeignMapping, MapCache, MapOptions, PartialMapping, Resource, ResourceMapping,
    RestrictedForeignMemory,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use xen_sys::linux::privcmd::{Privcmd, Restrict};
use xen_sys::{Device, DomId, Gfn, ReadOnly};

/// A handle that maps other domains' memory.
///
/// Cloning gives another reference to the same handle. Threads may share it. Dropping the last reference closes the
/// device; what is mapped stays mapped.
///
/// The methods here are the common cases, for reading and writing; [`ForeignMemory::options`] has the rest: reading only,
/// frames that are paged out, huge maps.
#[derive(Clone, Debug)]
#[doc(alias = "xenforeignmemory_handle")]
#[doc(alias = "xenforeignmemory_close")]
pub struct ForeignMemory {
    device: Arc<Device<Privcmd>>,
}

impl ForeignMemory {
    /// Opens `/dev/xen/privcmd`, close-on-exec.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], which tells a machine without Xen from a module that is not loaded and from a lack of
    /// permission.
    #[doc(alias = "xenforeignmemory_open")]
    pub fn open() -> Result<Self, Error> {
        Ok(Self { device: Arc::new(Device::open()?) })
    }

    /// Takes over an open file on `/dev/xen/privcmd`.
    ///
    /// # Errors
    ///
    /// [`Error::Adopt`] if it cannot be set up.
    ///
    /// # Safety
    ///
    /// - `fd` is open on `/dev/xen/privcmd`: another driver could take the requests for its own.
    pub unsafe fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        let device = unsafe { Device::from_fd(fd) };
        Ok(Self { device: Arc::new(device.map_err(|source| Error::Adopt { source })?) })
    }

    /// The open file, for requests of other kinds, such as device model operations.
    #[must_use]
    pub fn device(&self) -> &Device<Privcmd> {
        &self.device
    }

    /// Gives up all power but that over one domain, for ever.
    ///
    /// This is a property of the open file: clones of this handle, and whoever else has the file, are restricted with it.
    /// What is mapped already stays mapped.
    ///
    /// # Errors
    ///
    /// [`Error::Restrict`] if the file is restricted to another domain.
    #[doc(alias = "xenforeignmemory_restrict")]
    #[doc(alias = "IOCTL_PRIVCMD_RESTRICT")]
    pub fn restrict(self, domain: DomId) -> Result<RestrictedForeignMemory, Error> {
        let outcome = self.device.submit(&mut Restrict { domid: domain.get() });
        outcome.map_err(|source| Error::Restrict { domain, source })?;
        Ok(RestrictedForeignMemory::new(self, domain))
    }

    /// Maps frames of a domain with more choice.
    pub fn options(&self, domain: DomId) -> MapOptions<'_> {
        MapOptions::new(self, domain)
    }

    /// Maps frames of a domain, for reading and writing: all or none. Frame `n` of the mapping is `frames[n]`.
    ///
    /// Two system calls, and up to 512 frames need no allocation; unmapping is one more. In an auto-translated domain (HVM,
    /// PVH, Arm) the kernel issues a hypercall for each frame, so keep what is used often, or use a [`MapCache`].
    ///
    /// # Errors
    ///
    /// [`Error::Frame`] names the first frame that failed, and why; [`Error::Count`] for none; [`Error::Map`] if the kernel
    /// lacks memory; [`Error::Restricted`] and [`Error::LockedDown`] if the file or this domain may not.
    #[doc(alias = "xenforeignmemory_map")]
    #[doc(alias = "xenforeignmemory_map2")]
    #[doc(alias = "xc_map_foreign_pages")]
    #[doc(alias = "IOCTL_PRIVCMD_MMAPBATCH_V2")]
    pub fn map(&self, domain: DomId, frames: &[Gfn]) -> Result<ForeignMapping, Error> {
        self.options(domain).map(frames)
    }

    /// Maps frames of a domain, for reading only: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map`].
    pub fn map_read_only(&self, domain: DomId, frames: &[Gfn]) -> Result<ForeignMapping<ReadOnly>, Error> {
        self.options(domain).read_only().map(frames)
    }

    /// Maps those frames of a domain that can be mapped, for reading and writing. Each has its status.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map`], except that a frame that fails is no error.
    #[doc(alias = "xc_map_foreign_bulk")]
    #[doc(alias = "map_foreign_bulk")]
    pub fn map_partial(&self, domain: DomId, frames: &[Gfn]) -> Result<PartialMapping, Error> {
        self.options(domain).map_partial(frames)
    }

    /// Maps `count` frames of a domain from `first` on, for reading and writing: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map`]; [`Error::Count`] also if there are no such frame numbers.
    #[doc(alias = "xc_map_foreign_range")]
    pub fn map_range(&self, domain: DomId, first: Gfn, count: usize) -> Result<ForeignMapping, Error> {
        self.options(domain).map_range(first, count)
    }

    /// Maps several runs of frames of a domain side by side, for reading and writing: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_range`].
    #[doc(alias = "xc_map_foreign_ranges")]
    pub fn map_ranges(&self, domain: DomId, runs: &[(Gfn, usize)]) -> Result<ForeignMapping, Error> {
        self.options(domain).map_ranges(runs)
    }

    /// Maps `count` frames of a resource that Xen keeps for a domain, from `first_frame` on, for reading and writing.
    ///
    /// # Errors
    ///
    /// [`Error::Resource`] if the domain has no such frames, or is not to be controlled by this one; [`Error::Count`] for
    /// none; [`Error::Unsupported`] if the kernel or Xen is too old, or for more than one frame on a kernel whose pages are
    /// larger than Xen's (arm64 with 16 or 64 KiB), which gets that wrong: map them one by one there;
    /// [`Error::Restricted`] and [`Error::LockedDown`] if the file or this domain may not.
    #[doc(alias = "xenforeignmemory_map_resource")]
    #[doc(alias = "IOCTL_PRIVCMD_MMAP_RESOURCE")]
    #[doc(alias = "XENMEM_acquire_resource")]
    pub fn map_resource(
        &self,
        domain: DomId,
        resource: Resource,
        first_frame: u32,
        count: usize,
    ) -> Result<ResourceMapping, Error> {
        self.options(domain).map_resource(resource, first_frame, count)
    }

    /// How many frames a resource has. What a domain's grant table can grow to counts in full. Xen before 4.15 does not know,
    /// and answers with a large number for anything.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_resource`].
    #[doc(alias = "xenforeignmemory_resource_size")]
    pub fn resource_size(&self, domain: DomId, resource: Resource) -> Result<u64, Error> {
        self.options(domain).resource_size(resource)
    }

    /// Makes a cache through which a domain's memory is read and written by guest-physical address. It keeps up to
    /// `frames` frames mapped, but at least 16.
    #[must_use]
    pub fn cache(&self, domain: DomId, frames: usize) -> MapCache {
        self.options(domain).cache(frames)
    }
}

impl AsFd for ForeignMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for ForeignMemory {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}
