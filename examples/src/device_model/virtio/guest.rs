//! A Xen guest: its memory as rust-vmm's `GuestMemory`, mapped as needed, and its interrupts.

use std::fmt;
use std::iter::FusedIterator;

use elsa::FrozenMap;
use vm_memory::guest_memory::GuestMemorySliceIterator;
use vm_memory::{
    GuestAddress, GuestMemory, GuestMemoryError, GuestRegionCollection, Permissions, VolatileSlice,
};
use xen_ctrl::devicemodel::DeviceModel;
use xen_foreignmem::{DomId, ForeignMapping, ForeignMemory, Gfn, GuestRegion, PAGE_SIZE, PartialMapping};

use super::Guest;

/// So many frames are mapped together, those of them that the guest has.
const RUN: u64 = 512;
const FRAME: u64 = PAGE_SIZE as u64;
/// Frames that the guest got later are mapped one by one. Each takes one of the kernel's 65530 mappings, and no request needs more.
const MOST_SINGLES: usize = 8192;

/// A guest's memory. What was used stays mapped.
pub struct GuestPages {
    memory: ForeignMemory,
    domain: DomId,
    /// By the number of their first frame. These maps only grow as long as somebody may have slices.
    runs: FrozenMap<u64, Box<PartialMapping>>,
    singles: FrozenMap<u64, Box<ForeignMapping>>,
}

impl GuestPages {
    /// The memory of this guest.
    #[must_use]
    pub fn new(memory: ForeignMemory, domain: DomId) -> Self {
        Self { memory, domain, runs: FrozenMap::new(), singles: FrozenMap::new() }
    }

    fn forget(&mut self) {
        tracing::debug!(memory = ?self, "unmapped");
        self.runs = FrozenMap::new();
        self.singles = FrozenMap::new();
    }

    /// The memory from an address on: up to `length` bytes, but at least one.
    fn slice(&self, address: u64, length: usize) -> Result<VolatileSlice<'_>, GuestMemoryError> {
        let run = self.run(address / FRAME / RUN)?;
        let (offset, in_frame) = (offset_in(address, RUN * FRAME), offset_in(address, FRAME));
        let in_run = run.volatile_slice(offset, length.min(run.len() - offset));
        let length = length.min(PAGE_SIZE - in_frame);
        let slice = in_run.or_else(|_| run.volatile_slice(offset, length));
        slice.or_else(|_| {
            let single = self.single(address / FRAME)?;
            single.volatile_slice(in_frame, length).map_err(|_| nowhere(address))
        })
    }

    fn run(&self, number: u64) -> Result<&PartialMapping, GuestMemoryError> {
        if let Some(run) = self.runs.get(&number) {
            return Ok(run);
        }
        let first = number * RUN;
        let frames: Vec<Gfn> = (first..first + RUN).map(Gfn::new).collect();
        let run = self.memory.map_partial(self.domain, &frames).map_err(|_| nowhere(first * FRAME))?;
        // One with nothing in it is not worth to be kept: of these there are as many as a guest wants.
        let is_memory = run.statuses().iter().any(|status| status.is_mapped());
        if is_memory { Ok(self.runs.insert(number, Box::new(run))) } else { Err(nowhere(first * FRAME)) }
    }

    fn single(&self, frame: u64) -> Result<&ForeignMapping, GuestMemoryError> {
        if let Some(single) = self.singles.get(&frame) {
            return Ok(single);
        }
        if self.singles.len() >= MOST_SINGLES {
            return Err(nowhere(frame * FRAME));
        }
        let single = self.memory.map(self.domain, &[Gfn::new(frame)]).map_err(|_| nowhere(frame * FRAME))?;
        tracing::debug!(frame, "a frame that the guest got later");
        Ok(self.singles.insert(frame, Box::new(single)))
    }
}

fn nowhere(address: u64) -> GuestMemoryError {
    GuestMemoryError::InvalidGuestAddress(GuestAddress(address))
}

/// The place of an address in units of this size, a few MiB at most.
fn offset_in(address: u64, size: u64) -> usize {
    usize::try_from(address % size).unwrap_or_default()
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

/// A range of addresses, mapping by mapping.
struct Slices<'a> {
    pages: &'a GuestPages,
    address: u64,
    left: usize,
}

impl<'a> Iterator for Slices<'a> {
    type Item = Result<VolatileSlice<'a>, GuestMemoryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let slice = self.pages.slice(self.address, self.left);
        let length = slice.as_ref().map_or(self.left, VolatileSlice::len); // with an error, it ends
        self.address = self.address.wrapping_add(length as u64);
        self.left -= length;
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
