//! What Xen knows of the host's PCI devices, and what dom0's kernel tells it of them.

use std::{fs, iter};

use xen_sys::DomId;
use xen_sys::linux::privcmd::PcidevGetGsi;
use xen_sys::xen_public::domctl::{PassedDevice, TestAssignDevice};
use xen_sys::xen_public::errno::{EINVAL, ENODEV, ENOTTY};
use xen_sys::xen_public::operation::Operation;
use xen_sys::xen_public::physdev::{
    AddPciDevice, PCI_DEV_EXTFN, PCI_DEV_PXM, PCI_DEV_VIRTFN, PciDeviceReset, PrepareMsix, RESET_COLD,
    RESET_FLR, RESET_HOT, RESET_WARM, ReleaseMsix, RemovePciDevice,
};

use super::{Host, PciAddress};
use crate::Error;

/// What kind of function of a PCI device it is that Xen is told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PciFunction {
    /// An ordinary one.
    #[default]
    Ordinary,
    /// One whose number is above 7, as a device with ARI has them.
    #[doc(alias = "XEN_PCI_DEV_EXTFN")]
    Extended,
    /// A virtual function (SR-IOV) of this physical one, which is on the same segment.
    #[doc(alias = "XEN_PCI_DEV_VIRTFN")]
    Virtual(PciAddress),
}

/// How a PCI device was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PciReset {
    /// It was without power.
    #[doc(alias = "PCI_DEVICE_RESET_COLD")]
    Cold,
    /// With its bus.
    #[doc(alias = "PCI_DEVICE_RESET_WARM")]
    Warm,
    /// By its link.
    #[doc(alias = "PCI_DEVICE_RESET_HOT")]
    Hot,
    /// By itself: a function-level reset.
    #[doc(alias = "PCI_DEVICE_RESET_FLR")]
    FunctionLevel,
}

impl Host<'_> {
    /// Tells Xen of a PCI device, or again, for instance with another proximity domain (`_PXM` of ACPI, from which Xen takes the
    /// NUMA node). Dom0's kernel does so for all that it finds.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if this is not dom0; [`Error::Refused`] with `ENODEV` or others, if the IOMMU does not take it;
    /// [`Error::Unsupported`] if Xen was built without PCI, as usually on Arm.
    #[doc(alias = "PHYSDEVOP_pci_device_add")]
    pub fn add_pci_device(
        &self,
        device: PciAddress,
        function: PciFunction,
        proximity: Option<u32>,
    ) -> Result<(), Error> {
        let (kind, physical) = match function {
            PciFunction::Ordinary => (0, PciAddress::default()),
            PciFunction::Extended => (PCI_DEV_EXTFN, PciAddress::default()),
            PciFunction::Virtual(physical) => (PCI_DEV_VIRTFN, physical),
        };
        let record = device.record();
        let add = AddPciDevice {
            seg: record.seg,
            bus: record.bus,
            devfn: record.devfn,
            flags: kind | if proximity.is_some() { PCI_DEV_PXM } else { 0 },
            physfn_bus: physical.bus(),
            physfn_devfn: physical.devfn(),
            pad: 0,
            optarr: [proximity.unwrap_or(0)],
        };
        self.xen.call(None, &add).map(drop)
    }

    /// Tells Xen that a PCI device is gone. The domain that had it has it no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if this is not dom0; [`Error::Refused`] with `ENODEV` if Xen does not know it; [`Error::Unsupported`] as
    /// [`add_pci_device`](Self::add_pci_device).
    #[doc(alias = "PHYSDEVOP_pci_device_remove")]
    pub fn remove_pci_device(&self, device: PciAddress) -> Result<(), Error> {
        self.xen.call(None, &RemovePciDevice(device.record())).map(drop)
    }

    /// Tells Xen that a PCI device was reset, so that it forgets what it emulates of it. Xen 4.20+.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if this is not dom0; [`Error::Refused`] with `ENODEV` if Xen does not know it; [`Error::Unsupported`]
    /// before Xen 4.20, and as [`add_pci_device`](Self::add_pci_device).
    #[doc(alias = "PHYSDEVOP_pci_device_reset")]
    pub fn pci_device_was_reset(&self, device: PciAddress, how: PciReset) -> Result<(), Error> {
        self.xen.require("PHYSDEVOP_pci_device_reset", 20)?;
        let flags = match how {
            PciReset::Cold => RESET_COLD,
            PciReset::Warm => RESET_WARM,
            PciReset::Hot => RESET_HOT,
            PciReset::FunctionLevel => RESET_FLR,
        };
        self.xen.call(None, &PciDeviceReset { dev: device.record(), flags }).map(drop)
    }

    /// Has Xen learn where a PCI device has its table of messages (MSI-X), which it has to know before another domain is given
    /// [one of them](crate::passthrough::Passthrough::map_msix), and keep it from that domain's device model. The kernel driver
    /// `xen-pciback` does the same. The device's memory must be switched on.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if this is not dom0; [`Error::Refused`] with `ENODEV` if the device is not there, or has no such table (Xen would
    /// crash: dom0's kernel is asked before, which has to know the device), `EBUSY` if some of its messages are mapped, `ENXIO` if its memory is switched off; [`Error::Unsupported`] on Arm.
    #[doc(alias = "PHYSDEVOP_prepare_msix")]
    pub fn prepare_msix(&self, device: PciAddress) -> Result<(), Error> {
        expect_msix(device, PrepareMsix::NAME)?;
        self.xen.call(None, &PrepareMsix(device.record())).map(drop)
    }

    /// Has Xen forget what [`prepare_msix`](Self::prepare_msix) had it learn.
    ///
    /// # Errors
    ///
    /// As [`prepare_msix`](Self::prepare_msix).
    #[doc(alias = "PHYSDEVOP_release_msix")]
    pub fn release_msix(&self, device: PciAddress) -> Result<(), Error> {
        expect_msix(device, ReleaseMsix::NAME)?;
        self.xen.call(None, &ReleaseMsix(device.record())).map(drop)
    }

    /// Whether Xen knows the PCI device and no domain but dom0 has it. Xen 4.15+: older ones have the operation, and crash.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Unsupported`] on a host without an IOMMU, and before Xen 4.15.
    pub fn is_pci_device_free(&self, device: PciAddress) -> Result<bool, Error> {
        self.xen.require("XEN_DOMCTL_test_assign_device", 15)?;
        let test = TestAssignDevice(PassedDevice::Pci { sbdf: device.sbdf(), flags: 0 });
        match self.xen.domctl(DomId::INVALID, &test) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(EINVAL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The interrupt line (GSI) that a PCI device uses: what a PVH dom0 gives to
    /// [`map_gsi`](crate::passthrough::Passthrough::map_gsi), as it has no numbers of its own for interrupts. Dom0's kernel knows it;
    /// the device must belong to its driver `xen-pciback`. One ioctl. Linux 6.12+, on x86.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedByKernel`]; [`Error::Kernel`] with `EOPNOTSUPP` if `xen-pciback` is not loaded, `ENODEV` if the device is
    /// not its own, `EPERM` if it has no line, or in a PV dom0.
    #[doc(alias = "xc_pcidev_get_gsi")]
    #[doc(alias = "IOCTL_PRIVCMD_PCIDEV_GET_GSI")]
    pub fn pci_gsi(&self, device: PciAddress) -> Result<u32, Error> {
        let operation = "IOCTL_PRIVCMD_PCIDEV_GET_GSI";
        let mut request = PcidevGetGsi { sbdf: device.sbdf(), gsi: 0 };
        match self.xen.xencall().submit(&mut request) {
            Ok(_) => Ok(request.gsi),
            Err(error) if matches!(error.raw_os_error(), Some(ENOTTY | EINVAL)) => {
                Err(Error::UnsupportedByKernel {
                    operation,
                    needs: "Linux 6.12 on x86, with CONFIG_XEN_ACPI",
                })
            }
            Err(source) => Err(Error::Kernel { operation, source }),
        }
    }
}

/// Fails for a device that has no table of messages, as far as dom0's kernel knows.
fn expect_msix(device: PciAddress, operation: &'static str) -> Result<(), Error> {
    let config = fs::read(format!("/sys/bus/pci/devices/{device}/config")).unwrap_or_default();
    if has_msix(&config) { Ok(()) } else { Err(Error::refused(operation, None, ENODEV)) }
}

/// Whether there is a table of messages among the capabilities in a configuration space.
fn has_msix(config: &[u8]) -> bool {
    const STATUS: usize = 0x06;
    const HAS_LIST: u8 = 1 << 4;
    const LIST: usize = 0x34;
    const MSIX: u8 = 0x11;
    let byte = |offset: usize| config.get(offset).copied().unwrap_or(0);
    let after = |offset: u8| Some(byte(usize::from(offset) + 1) & !3).filter(|&next| next != 0);
    let first = Some(byte(LIST) & !3).filter(|&first| first != 0 && byte(STATUS) & HAS_LIST != 0);
    // a list that is longer bites its tail
    let mut capabilities = iter::successors(first, |&offset| after(offset)).take(64);
    capabilities.any(|offset| byte(offset.into()) == MSIX)
}

#[cfg(test)]
mod tests {
    use super::has_msix;

    #[test]
    fn a_table_of_messages_is_found() {
        let mut config = [0; 256];
        (config[0x34], config[0x40], config[0x41], config[0x50]) = (0x40, 0x05, 0x50, 0x11);
        assert!(!has_msix(&config), "there is no list");
        config[0x06] = 0x10;
        assert!(has_msix(&config));
        config[0x50] = 0x01;
        assert!(!has_msix(&config));
        config[0x51] = 0x40;
        assert!(!has_msix(&config), "a circle");
        assert!(!has_msix(&config[..64]) && !has_msix(&[]), "cut");
    }
}
