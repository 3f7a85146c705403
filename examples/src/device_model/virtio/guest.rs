//! A Xen guest: its memory as rust-vmm's `GuestMemory`, mapped as needed, and its interrupts.

use std::fmt;
use std::iter::FusedIterator;

use elsa::FrozenMap;
use vm_memory::guest_memory::GuestMemorySliceIterator;
use vm_memory::{
    GuestAddress, GuestMemory, GuestMemoryError, GuestMemoryRegion, GuestRegionCollection,
    MemoryRegionAddress, Permissions, VolatileSlice,
};
use xen_ctrl::devicemodel::DeviceModel;
use xen_foreignmem::{DomId, ForeignMemory, Gfn, GuestRegion, PAGE_SIZE};

use super::Guest;

/// So many frames are mapped together where the guest has them all. Elsewhere, they are mapped one by one.
const RUN: usize = 512;
/// No request needs more frames of the second kind, which each take one of the kernel's 65530 mappings.
const MOST_SINGLES: usize = 8192;

/// A guest's memory. What was used stays mapped.
pub struct GuestPages {
    memory: ForeignMemory,
    domain: DomId,
    /// By the number of their first frame. These maps only grow as long as somebody may have slices.
    runs: FrozenMap<u64, Box<GuestRegion>>,
    singles: FrozenMap<u64, Box<GuestRegion>>,
}

impl GuestPages {
    /// The memory of this guest.
    #[must_use]
    pub fn new(memory: ForeignMemory, domain: DomId) -> Self {
        Self { memory, domain, runs: FrozenMap::new(), singles: FrozenMap::new() }
    }

    fn forget(&mut self) {
        self.runs = FrozenMap::new();
        self.singles = FrozenMap::new();
    }

    /// The region in which an address is.
    fn region(&self, address: u64) -> Result<&GuestRegion, GuestMemoryError> {
        let frame = address / PAGE_SIZE as u64;
        let first = frame - frame % RUN as u64;
        if let Some(region) = self.runs.get(&first).or_else(|| self.singles.get(&frame)) {
            return Ok(region);
        }
        let options = self.memory.options(self.domain);
        if let Ok(run) = options.map_region(Gfn::new(first), RUN) {
            return Ok(self.runs.insert(first, Box::new(run)));
        }
        let nowhere = || GuestMemoryError::InvalidGuestAddress(GuestAddress(address));
        if self.singles.len() >= MOST_SINGLES {
            return Err(nowhere());
        }
        let single = options.map_region(Gfn::new(frame), 1).map_err(|_| nowhere())?;
        Ok(self.singles.insert(frame, Box::new(single)))
    }
}

impl GuestMemory for GuestPages {
    type PhysicalMemory = GuestRegionCollection<GuestRegion>;
    type Bitmap = ();

    fn check_range(&self, address: GuestAddress, count: usize, _: Permissions) -> bool {
        Slices { pages: self, address: address.0, left: count }.all(|slice| slice.is_ok())
    }

    fn get_slices(
        &self,
        address: GuestAddress,
        count: usize,
        _: Permissions,
    ) -> Result<impl GuestMemorySliceIterator<'_, ()>, GuestMemoryError> {
        Ok(Slices { pages: self, address: address.0, left: count })
    }
}

impl fmt::Debug for GuestPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestPages")
            .field("domain", &self.domain)
            .field("runs", &self.runs.len())
            .field("singles", &self.singles.len())
            .finish_non_exhaustive()
    }
}

/// A range of addresses, region by region.
struct Slices<'a> {
    pages: &'a GuestPages,
    address: u64,
    left: usize,
}

impl<'a> Slices<'a> {
    fn take(&mut self) -> Result<VolatileSlice<'a>, GuestMemoryError> {
        let region = self.pages.region(self.address)?;
        let offset = self.address - region.start_addr().0;
        let length = usize::try_from(region.len() - offset).map_or(self.left, |rest| rest.min(self.left));
        let slice = region.get_slice(MemoryRegionAddress(offset), length)?;
        self.address = self.address.wrapping_add(length as u64);
        self.left -= length;
        Ok(slice)
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = Result<VolatileSlice<'a>, GuestMemoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let slice = self.take();
        if slice.is_err() {
            self.left = 0;
        }
        Some(slice)
    }
}

impl FusedIterator for Slices<'_> {}

impl<'a> GuestMemorySliceIterator<'a, ()> for Slices<'a> {}

/// A guest of Xen's.
#[derive(Debug)]
pub struct XenGuest {
    pages: GuestPages,
    model: DeviceModel,
}

impl XenGuest {
    /// The guest of this device model, whose memory is mapped through this file.
    #[must_use]
    pub fn new(memory: ForeignMemory, model: DeviceModel) -> Self {
        Self { pages: GuestPages::new(memory, model.domain_id()), model }
    }
}

impl Guest for XenGuest {
    type Memory = GuestPages;

    fn memory(&self) -> &GuestPages {
        &self.pages
    }

    fn rest(&mut self) {
        if self.pages.singles.len() > MOST_SINGLES / 2 {
            self.pages.forget();
        }
    }

    fn forget_memory(&mut self) {
        self.pages.forget();
    }

    fn interrupt(&self, address: u64, data: u32) {
        if let Err(error) = self.model.inject_msi(address, data) {
            tracing::warn!(%error, "an interrupt is lost");
        }
    }
}
