//! What a server emulates: ports, addresses, PCI devices, memory of one type.

use std::ops::RangeInclusive;

use xen_sys::xen_public::hvm::{
    self, HVMMEM_IOREQ_SERVER, IOREQ_MEM_ACCESS_WRITE, IoRange, MapIoRange, MapMemType, UnmapIoRange,
};

use super::IoreqServer;
use crate::Error;
use crate::host::PciAddress;

impl IoreqServer {
    /// From now on, the guest's accesses to these ports come here.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`](super::DeviceModel); [`Error::Refused`] with `EEXIST` if some of it is mapped to this server already,
    /// `EINVAL` if the end is before the beginning. Another server may have the same, and one of them gets the request.
    #[doc(alias = "xendevicemodel_map_io_range_to_ioreq_server")]
    #[doc(alias = "xc_hvm_map_io_range_to_ioreq_server")]
    #[doc(alias = "XEN_DMOP_map_io_range_to_ioreq_server")]
    pub fn map_ports(&self, ports: RangeInclusive<u16>) -> Result<(), Error> {
        let range = self.ports(&ports);
        self.model().operate(&mut MapIoRange { range }, None)
    }

    /// Accesses to these ports no longer come here. The range must be as it was mapped.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`](super::DeviceModel); [`Error::Refused`] with `ENOENT` if it was not mapped.
    #[doc(alias = "xendevicemodel_unmap_io_range_from_ioreq_server")]
    #[doc(alias = "xc_hvm_unmap_io_range_from_ioreq_server")]
    #[doc(alias = "XEN_DMOP_unmap_io_range_from_ioreq_server")]
    pub fn unmap_ports(&self, ports: RangeInclusive<u16>) -> Result<(), Error> {
        let range = self.ports(&ports);
        self.model().operate(&mut UnmapIoRange { range }, None)
    }

    /// From now on, the guest's accesses to these addresses come here, where it has no memory. An access that is not all inside goes
    /// nowhere.
    ///
    /// # Errors
    ///
    /// As [`map_ports`](Self::map_ports).
    #[doc(alias = "xendevicemodel_map_io_range_to_ioreq_server")]
    #[doc(alias = "xc_hvm_map_io_range_to_ioreq_server")]
    #[doc(alias = "XEN_DMOP_map_io_range_to_ioreq_server")]
    pub fn map_memory(&self, addresses: RangeInclusive<u64>) -> Result<(), Error> {
        let range = self.range(hvm::IO_RANGE_MEMORY, *addresses.start(), *addresses.end());
        self.model().operate(&mut MapIoRange { range }, None)
    }

    /// Accesses to these addresses no longer come here. The range must be as it was mapped.
    ///
    /// # Errors
    ///
    /// As [`unmap_ports`](Self::unmap_ports).
    #[doc(alias = "xendevicemodel_unmap_io_range_from_ioreq_server")]
    #[doc(alias = "xc_hvm_unmap_io_range_from_ioreq_server")]
    #[doc(alias = "XEN_DMOP_unmap_io_range_from_ioreq_server")]
    pub fn unmap_memory(&self, addresses: RangeInclusive<u64>) -> Result<(), Error> {
        let range = self.range(hvm::IO_RANGE_MEMORY, *addresses.start(), *addresses.end());
        self.model().operate(&mut UnmapIoRange { range }, None)
    }

    /// From now on, the guest's accesses to the configuration space of this function of a PCI device come here: those through ports
    /// 0xcf8 and 0xcfc, which Xen decodes.
    ///
    /// # Errors
    ///
    /// As [`map_ports`](Self::map_ports).
    #[doc(alias = "xendevicemodel_map_pcidev_to_ioreq_server")]
    #[doc(alias = "xc_hvm_map_pcidev_to_ioreq_server")]
    #[doc(alias = "XEN_DMOP_map_io_range_to_ioreq_server")]
    pub fn map_pci(&self, device: PciAddress) -> Result<(), Error> {
        let range = self.pci(device);
        self.model().operate(&mut MapIoRange { range }, None)
    }

    /// Accesses to this function's configuration space no longer come here.
    ///
    /// # Errors
    ///
    /// As [`unmap_ports`](Self::unmap_ports).
    #[doc(alias = "xendevicemodel_unmap_pcidev_from_ioreq_server")]
    #[doc(alias = "xc_hvm_unmap_pcidev_from_ioreq_server")]
    #[doc(alias = "XEN_DMOP_unmap_io_range_from_ioreq_server")]
    pub fn unmap_pci(&self, device: PciAddress) -> Result<(), Error> {
        let range = self.pci(device);
        self.model().operate(&mut UnmapIoRange { range }, None)
    }

    fn ports(&self, ports: &RangeInclusive<u16>) -> IoRange {
        self.range(hvm::IO_RANGE_PORT, (*ports.start()).into(), (*ports.end()).into())
    }

    fn pci(&self, device: PciAddress) -> IoRange {
        let function = device.device() << 3 | device.function();
        let address = u64::from(device.segment()) << 16 | u64::from(device.bus()) << 8 | u64::from(function);
        self.range(hvm::IO_RANGE_PCI, address, address)
    }

    fn range(&self, kind: u32, start: u64, end: u64) -> IoRange {
        IoRange { id: self.id().get(), pad: 0, kind, start, end }
    }

    /// From now on, writes to pages of the type [`MemoryType::IoreqServer`](super::MemoryType::IoreqServer) come here. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`](super::DeviceModel); [`Error::Refused`] with `EBUSY` if another server has claimed it;
    /// [`Error::Unsupported`] for a guest whose paging is not done by the processor.
    #[doc(alias = "xendevicemodel_map_mem_type_to_ioreq_server")]
    #[doc(alias = "XEN_DMOP_map_mem_type_to_ioreq_server")]
    pub fn claim_memory_type(&self) -> Result<(), Error> {
        self.memory_type(IOREQ_MEM_ACCESS_WRITE)
    }

    /// Writes to such pages no longer come here.
    ///
    /// # Errors
    ///
    /// As [`claim_memory_type`](Self::claim_memory_type).
    pub fn release_memory_type(&self) -> Result<(), Error> {
        self.memory_type(0)
    }

    fn memory_type(&self, flags: u32) -> Result<(), Error> {
        let mut operation = MapMemType { id: self.id().get(), kind: HVMMEM_IOREQ_SERVER, flags, opaque: 0 };
        self.model().operate(&mut operation, None)
    }
}
