//! Devices and interrupts of the host's that a domain is given.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

constants! { u32:
    /// A PCI device.
    DEV_PCI = "XEN_DOMCTL_DEV_PCI" = 0;
    /// A node of the device tree.
    DEV_DT = "XEN_DOMCTL_DEV_DT" = 1;
    /// The domain may have memory where the device reserves some.
    DEV_RDM_RELAXED = "XEN_DOMCTL_DEV_RDM_RELAXED" = 1;
}

/// `struct xen_domctl_assign_device` for a PCI device.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_assign_device")]
pub struct PassedPciDevice {
    /// [`DEV_PCI`]
    pub dev: u32,
    /// [`DEV_RDM_RELAXED`] or 0.
    pub flags: u32,
    /// Segment, bus, device and function.
    pub machine_sbdf: u32,
    /// Zero.
    pub pad: [u32; 3],
}
layout!(
    PassedPciDevice = "struct xen_domctl_assign_device", 24,
    dev @ 0, flags @ 4, machine_sbdf("u.pci.machine_sbdf") @ 8,
);

/// `struct xen_domctl_assign_device` for a node of the device tree.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PassedNode {
    /// [`DEV_DT`]
    pub dev: u32,
    /// Zero.
    pub flags: u32,
    /// Length of the path.
    pub size: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the path.
    pub path: u64,
}
layout!(
    PassedNode = "struct xen_domctl_assign_device", 24,
    dev @ 0, flags @ 4, size("u.dt.size") @ 8, path("u.dt.path") @ 16,
);

/// Which device.
#[derive(Debug)]
pub enum PassedDevice<'a> {
    /// A PCI device.
    Pci {
        /// Segment, bus, device and function.
        sbdf: u32,
        /// [`DEV_RDM_RELAXED`] or 0; for [`AssignDevice`] only.
        flags: u32,
    },
    /// A node of the device tree, by its path, without a zero at the end.
    Node(GuestMemory<'a>),
}

impl PassedDevice<'_> {
    fn record(&self) -> [u8; 24] {
        match self {
            &Self::Pci { sbdf: machine_sbdf, flags } => {
                transmute!(PassedPciDevice { dev: DEV_PCI, flags, machine_sbdf, pad: [0; 3] })
            }
            Self::Node(path) => transmute!(PassedNode {
                dev: DEV_DT,
                flags: 0,
                size: u32::try_from(path.len()).unwrap_or(0),
                pad: 0,
                path: path.address(),
            }),
        }
    }
}

/// An operation on a device.
macro_rules! on_device {
    ($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Debug)]
        #[doc(alias = $name)]
        pub struct $operation<'a>(
            /// Which device.
            pub PassedDevice<'a>,
        );

        // SAFETY: Xen reads the path, if there is one, as long as it is.
        unsafe impl Domctl for $operation<'_> {
            const COMMAND: Command = Command { number: $command, name: $name };
            type Record = [u8; 24];

            fn record(&self) -> [u8; 24] {
                self.0.record()
            }
        }
    };
}

on_device! {
    /// Gives the domain a device.
    AssignDevice, "XEN_DOMCTL_assign_device" = 37
}
on_device! {
    /// Asks whether the device could be given to the domain; with `DOMID_INVALID`, whether no domain but dom0 has it.
    TestAssignDevice, "XEN_DOMCTL_test_assign_device" = 45
}
on_device! {
    /// Takes a device from the domain.
    DeassignDevice, "XEN_DOMCTL_deassign_device" = 47
}

/// `struct xen_domctl_get_device_group`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_get_device_group")]
pub struct DeviceGroup {
    /// Segment, bus, device and function.
    pub machine_sbdf: u32,
    /// For how many there is room.
    pub max_sdevs: u32,
    /// Answer: how many there are, as far as there is room.
    pub num_sdevs: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the list.
    pub sdev_array: u64,
}
layout!(
    DeviceGroup = "struct xen_domctl_get_device_group", 24,
    machine_sbdf @ 0, max_sdevs @ 4, num_sdevs @ 8, sdev_array @ 16,
);

/// Asks which other devices of the domain's the IOMMU cannot tell from this one.
#[derive(Debug)]
pub struct GetDeviceGroup<'a> {
    /// The device's segment, bus, device and function.
    pub sbdf: u32,
    /// Where they are written: an `u32` each, the bus from bit 16 on, device and function from bit 8 on.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most as many numbers as there is room for.
unsafe impl Domctl for GetDeviceGroup<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_get_device_group" = 50);
    type Record = DeviceGroup;

    fn record(&self) -> DeviceGroup {
        DeviceGroup {
            machine_sbdf: self.sbdf,
            max_sdevs: u32::try_from(self.into.len() / size_of::<u32>()).unwrap_or(u32::MAX),
            num_sdevs: 0,
            pad: 0,
            sdev_array: self.into.address(),
        }
    }
}
