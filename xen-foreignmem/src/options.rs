//! How to map.

use crate::frames::{self, Plan, scratch};
use crate::resource;
use crate::{Error, ForeignMapping, ForeignMemory, MapCache, PartialMapping, Resource, ResourceMapping};
use rustix::param::page_size;
use std::marker::PhantomData;
use std::time::Duration;
use xen_sys::{Access, DomId, Gfn, PAGE_SIZE, ReadOnly, ReadWrite};

/// How to map a domain's memory; made by [`ForeignMemory::options`].
///
/// ```no_run
/// use std::time::Duration;
/// use xen_foreignmem::{DomId, ForeignMemory, Gfn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let guest = DomId::try_from(3_u16)?;
/// let memory = ForeignMemory::open()?;
/// let options = memory.options(guest).read_only().paged_out_deadline(Duration::from_secs(5));
/// let low = options.map_range(Gfn::new(0), 256)?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MapOptions<'a, A: Access = ReadWrite> {
    memory: &'a ForeignMemory,
    plan: Plan,
    access: PhantomData<A>,
}

impl<'a> MapOptions<'a> {
    pub(crate) fn new(memory: &'a ForeignMemory, domain: DomId) -> Self {
        let paged_out_deadline = Duration::from_secs(1);
        let plan = Plan { domain, paged_out_deadline, frames_per_mapping: usize::MAX };
        Self { memory, plan, access: PhantomData }
    }

    /// For reading only. What is mapped then has no methods that write.
    pub fn read_only(self) -> MapOptions<'a, ReadOnly> {
        MapOptions { memory: self.memory, plan: self.plan, access: PhantomData }
    }
}

impl<A: Access> MapOptions<'_, A> {
    /// How long to wait for frames that Xen has paged out, if this is a PV domain: 1 second unless set. In others the kernel
    /// does not tell such frames from missing ones, and they fail at once.
    pub fn paged_out_deadline(self, deadline: Duration) -> Self {
        Self { plan: Plan { paged_out_deadline: deadline, ..self.plan }, ..self }
    }

    /// Maps `frames` at a time, for huge maps; 0 is for all at once, as it is unless set. The mapping is one
    /// range of addresses all the same.
    ///
    /// The kernel stops every page fault of the process while a mapping is filled; so it can breathe in between. One more
    /// system call, and two for each piece.
    pub fn split(self, frames: usize) -> Self {
        let granularity = page_size() / PAGE_SIZE;
        let whole = frames.checked_next_multiple_of(granularity).filter(|&frames| frames > 0);
        Self { plan: Plan { frames_per_mapping: whole.unwrap_or(usize::MAX), ..self.plan }, ..self }
    }

    /// Maps frames: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map`].
    pub fn map(&self, frames: &[Gfn]) -> Result<ForeignMapping<A>, Error> {
        frames::map_all(self.memory.device(), self.plan, frames).map(ForeignMapping::new)
    }

    /// Maps `count` frames from `first` on: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_range`].
    pub fn map_range(&self, first: Gfn, count: usize) -> Result<ForeignMapping<A>, Error> {
        self.map_ranges(&[(first, count)])
    }

    /// Maps several runs of frames side by side: all or none.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_range`].
    pub fn map_ranges(&self, runs: &[(Gfn, usize)]) -> Result<ForeignMapping<A>, Error> {
        let count = runs.iter().fold(0, |count: usize, &(_, length)| count.saturating_add(length));
        let there_are = runs.iter().all(|&(first, length)| {
            u64::try_from(length).is_ok_and(|length| first.get().checked_add(length).is_some())
        });
        if !there_are || u32::try_from(count).is_err() {
            return Err(Error::Count { call: "mapping", count });
        }
        scratch(count, |frames| {
            let numbers = runs.iter().flat_map(|&(first, length)| (first.get()..).take(length));
            frames.iter_mut().zip(numbers).for_each(|(frame, number)| *frame = Gfn::new(number));
            self.map(frames)
        })
    }

    /// Maps those frames that can be mapped. Each has its status.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_partial`].
    pub fn map_partial(&self, frames: &[Gfn]) -> Result<PartialMapping<A>, Error> {
        PartialMapping::map(self.memory.device(), self.plan, frames)
    }

    /// Maps `count` frames of a resource, from `first_frame` on.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_resource`].
    pub fn map_resource(
        &self,
        resource: Resource,
        first_frame: u32,
        count: usize,
    ) -> Result<ResourceMapping<A>, Error> {
        resource::map(self.memory.device(), self.plan.domain, resource, first_frame, count)
    }

    /// How many frames a resource has; see [`ForeignMemory::resource_size`].
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::resource_size`].
    pub fn resource_size(&self, resource: Resource) -> Result<u64, Error> {
        resource::size(self.memory.device(), self.plan.domain, resource)
    }

    /// Makes a cache that maps with these options; see [`ForeignMemory::cache`].
    #[must_use]
    pub fn cache(&self, frames: usize) -> MapCache<A> {
        MapCache::new(self.memory.clone(), self.plan, frames)
    }
}
