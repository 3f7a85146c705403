//! Which devices a domain has.

use xen_sys::xen_public::domctl::{
    AssignDevice, DEV_RDM_RELAXED, DeassignDevice, GetDeviceGroup, PassedDevice, TestAssignDevice,
};
use xen_sys::xen_public::errno::EINVAL;

use super::Passthrough;
use crate::Error;
use crate::host::PciAddress;

/// A device of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Device<'a> {
    /// On PCI.
    Pci(PciAddress),
    /// A node of the device tree, by its full path. On Arm.
    DeviceTree(&'a str),
}

/// What happens if the domain has memory where the device reserves some for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReservedMemory {
    /// It does not get the device.
    #[default]
    Strict,
    /// It gets the device, which may not work.
    #[doc(alias = "XEN_DOMCTL_DEV_RDM_RELAXED")]
    Relaxed,
}

/// How many devices a group has room for at first.
const GROUP: usize = 32;

/// A segment has 256 buses of 256 functions.
const SEGMENT: usize = 1 << 16;

impl Passthrough<'_> {
    /// Gives the domain a device. Xen takes it from dom0, not from another domain.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] if the host has no IOMMU, or the domain was not
    /// created with [`CreateFlags::IOMMU`](crate::domain::CreateFlags::IOMMU); [`Error::Refused`] with `EBUSY` if another domain has the
    /// device, `ENODEV` if Xen does not know it, `ESRCH` if the device tree has no such node, `EINVAL` for dom0, `ENOMEM`
    /// if there is no memory for the IOMMU's tables ([`set_paging_memory`](crate::Domain::set_paging_memory)).
    #[doc(alias = "xc_assign_device")]
    #[doc(alias = "xc_assign_dt_device")]
    #[doc(alias = "XEN_DOMCTL_assign_device")]
    pub fn assign(&self, device: Device<'_>, reserved: ReservedMemory) -> Result<(), Error> {
        let flags = match reserved {
            ReservedMemory::Strict => 0,
            ReservedMemory::Relaxed => DEV_RDM_RELAXED,
        };
        self.on_device(device, flags, |device| self.domctl(&AssignDevice(device)).map(drop))
    }

    /// Takes a device from the domain. One on PCI goes back to dom0, or to nobody if Xen has a quarantine for devices; one of the
    /// device tree goes to nobody.
    ///
    /// # Errors
    ///
    /// As [`assign`](Self::assign); [`Error::Refused`] with `ENODEV` or `EINVAL` if the domain does not have it.
    #[doc(alias = "xc_deassign_device")]
    #[doc(alias = "xc_deassign_dt_device")]
    #[doc(alias = "XEN_DOMCTL_deassign_device")]
    pub fn deassign(&self, device: Device<'_>) -> Result<(), Error> {
        self.on_device(device, 0, |device| self.domctl(&DeassignDevice(device)).map(drop))
    }

    /// Whether the domain could be given a device: Xen knows it, and no domain but dom0 has it. Never for dom0.
    ///
    /// # Errors
    ///
    /// As [`assign`](Self::assign), for a host or a domain that cannot have devices.
    #[doc(alias = "xc_test_assign_device")]
    #[doc(alias = "xc_test_assign_dt_device")]
    #[doc(alias = "XEN_DOMCTL_test_assign_device")]
    pub fn is_assignable(&self, device: Device<'_>) -> Result<bool, Error> {
        match self.on_device(device, 0, |device| self.domctl(&TestAssignDevice(device)).map(drop)) {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Some(EINVAL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The other PCI devices of the domain's that the IOMMU cannot tell from this one, for instance because they are behind the same
    /// bridge to conventional PCI. They can only be assigned together.
    ///
    /// # Errors
    ///
    /// As [`assign`](Self::assign), for a host or a domain that cannot have devices; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_get_device_group")]
    #[doc(alias = "XEN_DOMCTL_get_device_group")]
    pub fn group(&self, device: PciAddress) -> Result<Vec<PciAddress>, Error> {
        let mut room = GROUP;
        loop {
            let mut list = self.xen.xencall().zeroed_buffer::<u32>(room)?;
            let answer = self.domctl(&GetDeviceGroup { sbdf: device.sbdf(), into: list.lend() })?;
            let count = usize::try_from(answer.num_sdevs).unwrap_or(usize::MAX).min(room);
            // Xen leaves out without a word what there is no room for
            if count < room || room >= SEGMENT {
                return Ok(list[..count].iter().map(|&place| sibling(device, place)).collect());
            }
            room *= 4;
        }
    }

    /// Does something with a device as Xen is told of it.
    fn on_device<T>(
        &self,
        device: Device<'_>,
        flags: u32,
        act: impl FnOnce(PassedDevice<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match device {
            Device::Pci(address) => act(PassedDevice::Pci { sbdf: address.sbdf(), flags }),
            Device::DeviceTree(path) => {
                let mut path = self.xen.xencall().buffer_from(path.as_bytes())?;
                act(PassedDevice::Node(path.lend()))
            }
        }
    }
}

/// A device as Xen lists it: the bus from bit 16 on, device and function from bit 8 on, on the segment that was asked about.
fn sibling(of: PciAddress, place: u32) -> PciAddress {
    let [_, devfn, bus, _] = place.to_le_bytes();
    PciAddress::from_bytes(of.segment(), bus, devfn)
}
