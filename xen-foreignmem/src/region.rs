//! A guest's memory for rust-vmm code.

use crate::{Error, ForeignMapping, MapOptions};
use vm_memory::{
    GuestAddress, GuestMemoryError, GuestMemoryRegion, GuestMemoryRegionBytes, GuestUsize,
    MemoryRegionAddress, VolatileSlice,
};
use xen_sys::{Gfn, PAGE_SIZE};

/// A run of a guest's frames as a region of rust-vmm's `vm-memory`; made by [`MapOptions::map_region`].
///
/// A [`vm_memory::GuestRegionCollection`] of such regions is a `GuestMemory`, which virtqueues and device backends of
/// rust-vmm work on.
///
/// ```no_run
/// use vm_memory::{Bytes, GuestAddress, GuestRegionCollection};
/// use xen_foreignmem::{DomId, ForeignMemory, Gfn};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let guest = DomId::try_from(3_u16)?;
/// let memory = ForeignMemory::open()?;
/// let low = memory.options(guest).map_region(Gfn::new(0x100), 4096)?; // from 1 MiB on, 16 MiB
/// let memory = GuestRegionCollection::from_regions(vec![low])?;
/// let word: u32 = memory.read_obj(GuestAddress(0x12_3000))?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct GuestRegion {
    mapping: ForeignMapping,
    start: GuestAddress,
}

impl MapOptions<'_> {
    /// Maps `count` frames from `first` on, as a region at their guest-physical address. All must be there.
    ///
    /// # Errors
    ///
    /// As [`ForeignMemory::map_range`](crate::ForeignMemory::map_range); [`Error::AddressOverflow`] for frames beyond the
    /// last address that there can be.
    pub fn map_region(&self, first: Gfn, count: usize) -> Result<GuestRegion, Error> {
        const FRAME: u64 = PAGE_SIZE as u64;
        let length = count.saturating_mul(PAGE_SIZE);
        let start = first.get().checked_mul(FRAME);
        let start = start
            .filter(|start| u64::try_from(length).is_ok_and(|length| start.checked_add(length).is_some()));
        let start =
            start.ok_or(Error::AddressOverflow { address: first.get().saturating_mul(FRAME), length })?;
        Ok(GuestRegion { mapping: self.map_range(first, count)?, start: GuestAddress(start) })
    }
}

impl GuestRegion {
    /// The mapping.
    pub fn mapping(&self) -> &ForeignMapping {
        &self.mapping
    }
}

fn offset_of(address: MemoryRegionAddress) -> Result<usize, GuestMemoryError> {
    usize::try_from(address.0).map_err(|_| GuestMemoryError::InvalidBackendAddress)
}

impl GuestMemoryRegion for GuestRegion {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.mapping.len() as u64
    }

    fn start_addr(&self) -> GuestAddress {
        self.start
    }

    fn bitmap(&self) {}

    fn get_host_address(&self, address: MemoryRegionAddress) -> Result<*mut u8, GuestMemoryError> {
        let offset = offset_of(address)?;
        let page =
            self.mapping.page_ptr(offset / PAGE_SIZE).ok_or(GuestMemoryError::InvalidBackendAddress)?;
        Ok(page.wrapping_add(offset % PAGE_SIZE))
    }

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> Result<VolatileSlice<'_>, GuestMemoryError> {
        let slice = self.mapping.volatile_slice(offset_of(offset)?, count);
        slice.map_err(|_| GuestMemoryError::InvalidBackendAddress)
    }
}

impl GuestMemoryRegionBytes for GuestRegion {}
