//! Memory maps: what is memory, and what is not.

use xen_sys::xen_public::memory::{MapEntry, ReservedDeviceMemory, SetMemoryMap};

use super::DomainMemory;
use crate::{Error, Gfn};

/// A range of addresses in a memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "e820entry")]
pub struct MemoryRange {
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub length: u64,
    /// What it is.
    pub kind: MemoryKind,
}

/// What a range of addresses is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MemoryKind {
    /// Memory.
    #[doc(alias = "E820_RAM")]
    Ram,
    /// Not to be used.
    #[doc(alias = "E820_RESERVED")]
    Reserved,
    /// Tables of the firmware's; memory once they have been read.
    #[doc(alias = "E820_ACPI")]
    Acpi,
    /// Memory of the firmware's.
    #[doc(alias = "E820_NVS")]
    AcpiNvs,
    /// Faulty memory.
    #[doc(alias = "E820_UNUSABLE")]
    Unusable,
    /// A number that this crate does not know.
    Other(u32),
}

impl MemoryKind {
    /// What the firmware means by this number.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Ram,
            2 => Self::Reserved,
            3 => Self::Acpi,
            4 => Self::AcpiNvs,
            5 => Self::Unusable,
            other => Self::Other(other),
        }
    }

    /// The firmware's number.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
            Self::Acpi => 3,
            Self::AcpiNvs => 4,
            Self::Unusable => 5,
            Self::Other(number) => number,
        }
    }
}

impl From<&MapEntry> for MemoryRange {
    fn from(entry: &MapEntry) -> Self {
        Self {
            address: u64::from_le_bytes(entry.address),
            length: u64::from_le_bytes(entry.length),
            kind: MemoryKind::from_number(u32::from_le_bytes(entry.kind)),
        }
    }
}

impl From<&MemoryRange> for MapEntry {
    fn from(range: &MemoryRange) -> Self {
        Self {
            address: range.address.to_le_bytes(),
            length: range.length.to_le_bytes(),
            kind: range.kind.number().to_le_bytes(),
        }
    }
}

/// A range of a domain's own numbering that a device uses behind the back of its driver, so that memory must not be put there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReservedRange {
    /// Its first frame.
    pub first: Gfn,
    /// How many frames it has.
    pub count: u64,
}

impl From<&ReservedDeviceMemory> for ReservedRange {
    fn from(record: &ReservedDeviceMemory) -> Self {
        Self { first: Gfn::new(record.start_pfn), count: record.nr_pages }
    }
}

impl DomainMemory<'_> {
    /// Sets the memory map that Xen gives the domain when it asks; on x86. Xen takes up to 1024 ranges.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for more ranges; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_set_memory_map")]
    #[doc(alias = "XENMEM_set_memory_map")]
    pub fn set_map(&self, ranges: &[MemoryRange]) -> Result<(), Error> {
        let entries: Vec<MapEntry> = ranges.iter().map(MapEntry::from).collect();
        let mut map = self.xen.xencall().buffer_from(&entries)?;
        let operation = SetMemoryMap { domain: self.id, map: map.lend() };
        self.xen.call(Some(self.id), &operation).map(drop)
    }

    /// Sets a memory map of a single range: memory from address 0 on, so many bytes. Whole KiB count.
    ///
    /// # Errors
    ///
    /// As [`set_map`](Self::set_map).
    #[doc(alias = "xc_domain_set_memmap_limit")]
    pub fn set_map_limit(&self, bytes: u64) -> Result<(), Error> {
        self.set_map(&[MemoryRange { address: 0, length: bytes & !1023, kind: MemoryKind::Ram }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_come_back(address: u64, length: u64, number: u32) {
            let range = MemoryRange { address, length, kind: MemoryKind::from_number(number) };
            prop_assert_eq!(MemoryRange::from(&MapEntry::from(&range)), range);
        }
    }
}
