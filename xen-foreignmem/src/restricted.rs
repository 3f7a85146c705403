//! A handle with power over one domain only.

use crate::{
    Error, ForeignMapping, ForeignMemory, MapCache, MapOptions, PartialMapping, Resource, ResourceMapping,
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use xen_sys::{DomId, Gfn, ReadOnly};

/// A handle that maps the memory of one domain, and can do nothing else; made by [`ForeignMemory::restrict`].
///
/// The kernel sees to that: the open file refuses hypercalls, and other domains.
#[derive(Clone, Debug)]
pub struct RestrictedForeignMemory {
    /// Invariant: restricted to `domain`.
    memory: ForeignMemory,
    domain: DomId,
}

impl RestrictedForeignMemory {
    pub(crate) fn new(memory: ForeignMemory, domain: DomId) -> Self {
        Self { memory, domain }
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomId {
        self.domain
    }

    /// Maps frames with more choice.
    pub fn options(&self) -> MapOptions<'_> {
        self.memory.options(self.domain)
    }

    /// As [`ForeignMemory::map`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map(&self, frames: &[Gfn]) -> Result<ForeignMapping, Error> {
        self.options().map(frames)
    }

    /// As [`ForeignMemory::map_read_only`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_read_only(&self, frames: &[Gfn]) -> Result<ForeignMapping<ReadOnly>, Error> {
        self.options().read_only().map(frames)
    }

    /// As [`ForeignMemory::map_partial`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_partial(&self, frames: &[Gfn]) -> Result<PartialMapping, Error> {
        self.options().map_partial(frames)
    }

    /// As [`ForeignMemory::map_range`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_range(&self, first: Gfn, count: usize) -> Result<ForeignMapping, Error> {
        self.options().map_range(first, count)
    }

    /// As [`ForeignMemory::map_ranges`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_ranges(&self, runs: &[(Gfn, usize)]) -> Result<ForeignMapping, Error> {
        self.options().map_ranges(runs)
    }

    /// As [`ForeignMemory::map_resource`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn map_resource(
        &self,
        resource: Resource,
        first_frame: u32,
        count: usize,
    ) -> Result<ResourceMapping, Error> {
        self.options().map_resource(resource, first_frame, count)
    }

    /// As [`ForeignMemory::resource_size`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn resource_size(&self, resource: Resource) -> Result<u64, Error> {
        self.options().resource_size(resource)
    }

    /// As [`ForeignMemory::cache`].
    #[must_use]
    pub fn cache(&self, frames: usize) -> MapCache {
        self.options().cache(frames)
    }
}

impl AsFd for RestrictedForeignMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

impl AsRawFd for RestrictedForeignMemory {
    fn as_raw_fd(&self) -> RawFd {
        self.memory.as_raw_fd()
    }
}
