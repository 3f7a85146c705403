//! The memory of the host.

use xen_call::HypercallBuffer;
use xen_sys::Mfn;
use xen_sys::xen_public::errno::ENOBUFS;
use xen_sys::xen_public::memory::{
    MachineMemoryMap, MachphysCompatMfnList, MachphysMfnList, MapEntry, MaximumRamPage, OwnMemoryMap,
    ReservedDeviceMemory, ReservedDeviceMemoryMap, SharingFreedPages, SharingSharedPages,
};

use super::{MemoryRange, ReservedRange};
use crate::host::PciAddress;
use crate::{Error, Xenctrl};

/// The memory of the host; made by [`Host::memory`](crate::Host::memory).
#[derive(Clone, Copy, Debug)]
pub struct HostMemory<'a> {
    xen: &'a Xenctrl,
}

/// How many entries the longest memory map has: Xen keeps no longer ones.
const LONGEST_MAP: usize = 1024;

impl<'a> HostMemory<'a> {
    pub(crate) fn new(xen: &'a Xenctrl) -> Self {
        Self { xen }
    }

    /// The first frame behind the host's memory: all of it has lower numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Call`].
    #[doc(alias = "xc_maximum_ram_page")]
    #[doc(alias = "XENMEM_maximum_ram_page")]
    pub fn end(&self) -> Result<Mfn, Error> {
        Ok(Mfn::new(self.xen.call(None, &MaximumRamPage)?.value.unsigned_abs()))
    }

    /// How many frames the sharing of memory between domains saves; 0 if Xen was built without it.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], [`Error::Unsupported`].
    #[doc(alias = "xc_sharing_freed_pages")]
    #[doc(alias = "XENMEM_get_sharing_freed_pages")]
    pub fn pages_saved_by_sharing(&self) -> Result<u64, Error> {
        Ok(self.xen.call(None, &SharingFreedPages)?.value.unsigned_abs())
    }

    /// How many frames domains share; 0 if Xen was built without that.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], [`Error::Unsupported`].
    #[doc(alias = "xc_sharing_used_frames")]
    #[doc(alias = "XENMEM_get_sharing_shared_pages")]
    pub fn shared_pages(&self) -> Result<u64, Error> {
        Ok(self.xen.call(None, &SharingSharedPages)?.value.unsigned_abs())
    }

    /// The host's memory map, as the firmware gave it to Xen. x86.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_get_machine_memory_map")]
    #[doc(alias = "XENMEM_machine_memory_map")]
    pub fn machine_map(&self) -> Result<Vec<MemoryRange>, Error> {
        // Xen wants room for one more than there are
        let mut entries = self.xen.xencall().zeroed_buffer::<MapEntry>(LONGEST_MAP + 1)?;
        let answer = self.xen.call(None, &MachineMemoryMap(entries.lend()))?;
        Ok(first(&entries, answer.record.nr_entries).iter().map(Into::into).collect())
    }

    /// The memory map that a toolstack, or Xen, has given the caller's own domain. x86.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if it was given none, as a PV dom0, and on Arm.
    #[doc(alias = "XENMEM_memory_map")]
    pub fn own_map(&self) -> Result<Vec<MemoryRange>, Error> {
        let mut entries = self.xen.xencall().zeroed_buffer::<MapEntry>(LONGEST_MAP)?;
        let answer = self.xen.call(None, &OwnMemoryMap(entries.lend()))?;
        Ok(first(&entries, answer.record.nr_entries).iter().map(Into::into).collect())
    }

    /// The memory that devices use behind the back of their drivers: of all, or of one. Empty without an IOMMU. x86.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Unsupported`] if Xen was built without passthrough of devices.
    #[doc(alias = "xc_reserved_device_memory_map")]
    #[doc(alias = "XENMEM_reserved_device_memory_map")]
    pub fn reserved_by_devices(&self, device: Option<PciAddress>) -> Result<Vec<ReservedRange>, Error> {
        let device = device.map(PciAddress::record);
        let mut room = 64;
        loop {
            let mut ranges = self.xen.xencall().zeroed_buffer::<ReservedDeviceMemory>(room)?;
            let operation = ReservedDeviceMemoryMap { device, into: ranges.lend() };
            match self.xen.call(None, &operation) {
                Ok(answer) => {
                    let ranges = first(&ranges, answer.record.nr_entries);
                    return Ok(ranges.iter().map(Into::into).collect());
                }
                Err(error) if error.errno() == Some(ENOBUFS) && room < 1 << 16 => room *= 4,
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the table lies that gives, for each machine frame, the frame that it is to its domain: the first of the 512 frames of
    /// each 2 MiB; 0 for a gap. PV guests and [`M2p`](crate::pv::M2p) map it. x86 with PV.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_machphys_mfn_list")]
    #[doc(alias = "XENMEM_machphys_mfn_list")]
    pub fn m2p_extents(&self) -> Result<Vec<Mfn>, Error> {
        let mut list = self.extents_buffer()?;
        let count = self.xen.call(None, &MachphysMfnList(list.lend()))?.record.nr_extents;
        Ok(first(&list, count).to_vec())
    }

    /// The same for the table that 32-bit PV guests see; mostly empty where Xen was built without these.
    ///
    /// # Errors
    ///
    /// As [`m2p_extents`](Self::m2p_extents).
    #[doc(alias = "XENMEM_machphys_compat_mfn_list")]
    pub fn m2p_extents_of_32_bit(&self) -> Result<Vec<Mfn>, Error> {
        let mut list = self.extents_buffer()?;
        let count = self.xen.call(None, &MachphysCompatMfnList(list.lend()))?.record.nr_extents;
        Ok(first(&list, count).to_vec())
    }

    /// Room for the whole table's extents: each tells of 2^18 frames.
    fn extents_buffer(self) -> Result<HypercallBuffer<[Mfn]>, Error> {
        let count = self.end()?.get().div_ceil(1 << 18);
        Ok(self.xen.xencall().zeroed_buffer(usize::try_from(count).unwrap_or(usize::MAX))?)
    }
}

/// The first `count` entries of an answer.
fn first<T>(entries: &[T], count: u32) -> &[T] {
    &entries[..usize::try_from(count).unwrap_or(usize::MAX).min(entries.len())]
}
