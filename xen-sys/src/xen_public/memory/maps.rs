//! Maps of memory: a domain's, the host's, the table of all machine frames, what devices reserve.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::memory_op;
use crate::DomId;
use crate::xen_public::operation::GuestMemory;
use crate::xen_public::physdev::PciDevice;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An entry of a memory map, as PC firmware gives it. Its 20 bytes follow each other without a gap, so it is made of bytes that
/// need no alignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MapEntry {
    /// Where the range begins, little-endian.
    pub address: [u8; 8],
    /// How many bytes it has, little-endian.
    pub length: [u8; 8],
    /// What it is, little-endian: 1 for memory, 2 for reserved.
    pub kind: [u8; 4],
}

/// `struct xen_memory_map`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_memory_map")]
pub struct MemoryMap {
    /// How many entries there are, or there is room for; answer: how many there are.
    pub nr_entries: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the entries, [`MapEntry`].
    pub buffer: u64,
}
layout!(MemoryMap = "struct xen_memory_map", 16, nr_entries @ 0, buffer @ 8);

fn map_in(memory: &GuestMemory<'_>) -> MemoryMap {
    MemoryMap { nr_entries: memory.room::<MapEntry>(), pad: 0, buffer: memory.address() }
}

/// Asks for the memory map that the caller's own domain was given.
///
/// `XENMEM_memory_map`
#[derive(Debug)]
#[doc(alias = "XENMEM_memory_map")]
pub struct OwnMemoryMap<'a>(
    /// Where to; [`MapEntry`].
    pub GuestMemory<'a>,
);

impl OwnMemoryMap<'_> {
    fn to_record(&self) -> MemoryMap {
        map_in(&self.0)
    }
}

// SAFETY: Xen writes at most as many entries as the memory has room for.
memory_op!(OwnMemoryMap<'_>, MemoryMap, "XENMEM_memory_map" = 9);

/// Asks for the host's memory map. Without memory, Xen only tells how many entries it has; with memory, it wants room for one more than that.
///
/// `XENMEM_machine_memory_map`
#[derive(Debug)]
#[doc(alias = "XENMEM_machine_memory_map")]
pub struct MachineMemoryMap<'a>(
    /// Where to; [`MapEntry`].
    pub GuestMemory<'a>,
);

impl MachineMemoryMap<'_> {
    fn to_record(&self) -> MemoryMap {
        map_in(&self.0)
    }
}

// SAFETY: Xen writes at most as many entries as the memory has room for, and none without an address.
memory_op!(MachineMemoryMap<'_>, MemoryMap, "XENMEM_machine_memory_map" = 10);

/// `struct xen_foreign_memory_map`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_foreign_memory_map")]
pub struct ForeignMemoryMap {
    /// Which domain.
    pub domid: u16,
    /// Zero.
    pub pad: [u16; 3],
    /// Its map.
    pub map: MemoryMap,
}
layout!(ForeignMemoryMap = "struct xen_foreign_memory_map", 24, domid @ 0, map @ 8);

/// Sets the memory map that a domain is given.
///
/// `XENMEM_set_memory_map`
#[derive(Debug)]
#[doc(alias = "XENMEM_set_memory_map")]
pub struct SetMemoryMap<'a> {
    /// Which domain.
    pub domain: DomId,
    /// Its map; [`MapEntry`].
    pub map: GuestMemory<'a>,
}

impl SetMemoryMap<'_> {
    fn to_record(&self) -> ForeignMemoryMap {
        ForeignMemoryMap { domid: self.domain.get(), pad: [0; 3], map: map_in(&self.map) }
    }
}

// SAFETY: Xen reads as many entries as the memory has room for.
memory_op!(SetMemoryMap<'_>, ForeignMemoryMap, "XENMEM_set_memory_map" = 13);

/// `struct xen_machphys_mfn_list`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_machphys_mfn_list")]
pub struct MachphysMfnListRecord {
    /// How many there is room for.
    pub max_extents: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the list.
    pub extent_start: u64,
    /// Answer: how many there are in it.
    pub nr_extents: u32,
    /// Zero.
    pub pad2: u32,
}
layout!(
    MachphysMfnListRecord = "struct xen_machphys_mfn_list", 24, max_extents @ 0, extent_start @ 8, nr_extents @ 16,
);

/// Asks where the table is that gives a domain's frame for each machine frame: the first frame of each 2 MiB, 0 for a gap.
///
/// `XENMEM_machphys_mfn_list`
#[derive(Debug)]
#[doc(alias = "XENMEM_machphys_mfn_list")]
pub struct MachphysMfnList<'a>(
    /// Where to: 8 bytes each.
    pub GuestMemory<'a>,
);

impl MachphysMfnList<'_> {
    fn to_record(&self) -> MachphysMfnListRecord {
        list_in(&self.0)
    }
}

// SAFETY: Xen writes at most as many frames as the memory has room for.
memory_op!(MachphysMfnList<'_>, MachphysMfnListRecord, "XENMEM_machphys_mfn_list" = 5);

/// The same for the table that 32-bit PV domains see.
///
/// `XENMEM_machphys_compat_mfn_list`
#[derive(Debug)]
#[doc(alias = "XENMEM_machphys_compat_mfn_list")]
pub struct MachphysCompatMfnList<'a>(
    /// Where to: 8 bytes each.
    pub GuestMemory<'a>,
);

impl MachphysCompatMfnList<'_> {
    fn to_record(&self) -> MachphysMfnListRecord {
        list_in(&self.0)
    }
}

// SAFETY: as above.
memory_op!(MachphysCompatMfnList<'_>, MachphysMfnListRecord, "XENMEM_machphys_compat_mfn_list" = 25);

fn list_in(memory: &GuestMemory<'_>) -> MachphysMfnListRecord {
    MachphysMfnListRecord {
        max_extents: memory.room::<u64>(),
        pad: 0,
        extent_start: memory.address(),
        nr_extents: 0,
        pad2: 0,
    }
}

constants! { u32:
    /// The ranges of all devices.
    RDM_ALL = "XENMEM_RDM_ALL" = 1;
}

/// `struct xen_reserved_device_memory`: a range that a device uses behind the back of its driver.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_reserved_device_memory")]
pub struct ReservedDeviceMemory {
    /// Its first frame.
    pub start_pfn: u64,
    /// How many frames it has.
    pub nr_pages: u64,
}
layout!(ReservedDeviceMemory = "struct xen_reserved_device_memory", 16, start_pfn @ 0, nr_pages @ 8);

/// `struct xen_reserved_device_memory_map`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_reserved_device_memory_map")]
pub struct ReservedDeviceMemoryMapRecord {
    /// [`RDM_ALL`], or 0 for one device.
    pub flags: u32,
    /// How many there is room for; answer: how many there are.
    pub nr_entries: u32,
    /// Address of the list.
    pub buffer: u64,
    /// The device.
    pub device: PciDevice,
    /// Zero.
    pub pad: u32,
}
layout!(
    ReservedDeviceMemoryMapRecord = "struct xen_reserved_device_memory_map", 24,
    flags @ 0, nr_entries @ 4, buffer @ 8, device("dev.pci") @ 16,
);

/// Asks for the memory that devices reserve. If there is not enough room, `ENOBUFS`.
///
/// `XENMEM_reserved_device_memory_map`
#[derive(Debug)]
#[doc(alias = "XENMEM_reserved_device_memory_map")]
pub struct ReservedDeviceMemoryMap<'a> {
    /// Which device; `None` for all.
    pub device: Option<PciDevice>,
    /// Where to; [`ReservedDeviceMemory`].
    pub into: GuestMemory<'a>,
}

impl ReservedDeviceMemoryMap<'_> {
    fn to_record(&self) -> ReservedDeviceMemoryMapRecord {
        ReservedDeviceMemoryMapRecord {
            flags: if self.device.is_some() { 0 } else { RDM_ALL },
            nr_entries: self.into.room::<ReservedDeviceMemory>(),
            buffer: self.into.address(),
            device: self.device.unwrap_or(PciDevice { seg: 0, bus: 0, devfn: 0 }),
            pad: 0,
        }
    }
}

// SAFETY: Xen writes at most as many ranges as the memory has room for.
memory_op!(
    ReservedDeviceMemoryMap<'_>,
    ReservedDeviceMemoryMapRecord,
    "XENMEM_reserved_device_memory_map" = 27
);
