//! `xen/include/public/physdev.h`: what Xen is told, and asked, about interrupts and PCI devices of the host.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::{HypercallNumber, Operation};
use super::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Makes a record its own operation, one of `physdev_op`. For records without addresses only.
macro_rules! physdev_op {
    ($record:ident, $name:literal = $command:literal) => {
        // SAFETY: Xen reads and perhaps writes one such record, of integers only, as the invocation vouches for.
        unsafe impl Operation for $record {
            const NUMBER: HypercallNumber = HypercallNumber::PHYSDEV_OP;
            const NAME: &'static str = $name;
            type Record = Self;

            fn record(&self) -> Self {
                *self
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}

constants! { i32:
    /// A message of a device in segment 0.
    MAP_MSI = "MAP_PIRQ_TYPE_MSI" = 0;
    /// A line.
    MAP_GSI = "MAP_PIRQ_TYPE_GSI" = 1;
    /// A message of a device in any segment.
    MAP_MSI_SEG = "MAP_PIRQ_TYPE_MSI_SEG" = 3;
    /// Several messages of a device.
    MAP_MULTI_MSI = "MAP_PIRQ_TYPE_MULTI_MSI" = 4;
}

/// `struct physdev_map_pirq`: gives an interrupt of the host a number in a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "physdev_map_pirq")]
pub struct MapPirq {
    /// The domain.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// `MAP_*`
    pub kind: i32,
    /// The line; -1 for messages.
    pub index: i32,
    /// The number that it is to have; negative for any. Answer: its number.
    pub pirq: i32,
    /// The bus; from bit 16 on, the segment.
    pub bus: i32,
    /// Device, times 8, and function.
    pub devfn: i32,
    /// Which message of the device's table; how many, for [`MAP_MULTI_MSI`]. Answer: how many.
    pub entry_nr: i32,
    /// Zero.
    pub pad2: u32,
    /// Where in the host's memory the device's table is; 0 for a device without.
    pub table_base: u64,
}
layout!(
    MapPirq = "struct physdev_map_pirq", 40, domid @ 0, kind("type") @ 4, index @ 8, pirq @ 12, bus @ 16, devfn @ 20,
    entry_nr @ 24, table_base @ 32,
);
physdev_op!(MapPirq, "PHYSDEVOP_map_pirq" = 13);

/// `struct physdev_unmap_pirq`: takes the number away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "physdev_unmap_pirq")]
pub struct UnmapPirq {
    /// The domain.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// The number.
    pub pirq: i32,
}
layout!(UnmapPirq = "struct physdev_unmap_pirq", 8, domid @ 0, pirq @ 4);
physdev_op!(UnmapPirq, "PHYSDEVOP_unmap_pirq" = 14);

/// `struct physdev_pci_device`
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "physdev_pci_device")]
pub struct PciDevice {
    /// Segment.
    pub seg: u16,
    /// Bus.
    pub bus: u8,
    /// Device, times 8, and function.
    pub devfn: u8,
}
layout!(PciDevice = "struct physdev_pci_device", 4, seg @ 0, bus @ 2, devfn @ 3);

constants! { u32:
    /// The function has a number above 7, as ARI gives them.
    PCI_DEV_EXTFN = "XEN_PCI_DEV_EXTFN" = 1;
    /// It is a virtual function.
    PCI_DEV_VIRTFN = "XEN_PCI_DEV_VIRTFN" = 2;
    /// Its proximity domain is told.
    PCI_DEV_PXM = "XEN_PCI_DEV_PXM" = 4;
}

/// `struct physdev_pci_device_add`: tells Xen of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "physdev_pci_device_add")]
pub struct AddPciDevice {
    /// Segment.
    pub seg: u16,
    /// Bus.
    pub bus: u8,
    /// Device, times 8, and function.
    pub devfn: u8,
    /// `PCI_DEV_*`
    pub flags: u32,
    /// Of a virtual function: the bus of the physical one.
    pub physfn_bus: u8,
    /// Of a virtual function: device and function of the physical one.
    pub physfn_devfn: u8,
    /// Zero.
    pub pad: u16,
    /// The proximity domain, with [`PCI_DEV_PXM`].
    pub optarr: [u32; 1],
}
layout!(
    AddPciDevice = "struct physdev_pci_device_add" extended, 16, seg @ 0, bus @ 2, devfn @ 3, flags @ 4,
    physfn_bus("physfn.bus") @ 8, physfn_devfn("physfn.devfn") @ 9, optarr @ 12,
);
physdev_op!(AddPciDevice, "PHYSDEVOP_pci_device_add" = 25);

/// An operation that is told which device, and nothing else.
macro_rules! pci_device_op {
    ($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $operation(
            /// Which device.
            pub PciDevice,
        );

        // SAFETY: Xen reads one such record, of integers only.
        unsafe impl Operation for $operation {
            const NUMBER: HypercallNumber = HypercallNumber::PHYSDEV_OP;
            const NAME: &'static str = $name;
            type Record = PciDevice;

            fn record(&self) -> PciDevice {
                self.0
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}

pci_device_op!(
    /// Tells Xen that a device is gone.
    RemovePciDevice, "PHYSDEVOP_pci_device_remove" = 26
);
pci_device_op!(
    /// Has Xen learn where a device has its table of messages.
    PrepareMsix, "PHYSDEVOP_prepare_msix" = 30
);
pci_device_op!(
    /// Has Xen forget that.
    ReleaseMsix, "PHYSDEVOP_release_msix" = 31
);

constants! { u32:
    /// It was without power.
    RESET_COLD = "PCI_DEVICE_RESET_COLD" = 0;
    /// Its bus was reset.
    RESET_WARM = "PCI_DEVICE_RESET_WARM" = 1;
    /// The link to it was reset.
    RESET_HOT = "PCI_DEVICE_RESET_HOT" = 2;
    /// It reset itself.
    RESET_FLR = "PCI_DEVICE_RESET_FLR" = 3;
}

/// `struct pci_device_reset` (Xen 4.20+): tells Xen that a device was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "pci_device_reset")]
pub struct PciDeviceReset {
    /// Which device.
    pub dev: PciDevice,
    /// `RESET_*`
    pub flags: u32,
}
layout!(PciDeviceReset = "struct pci_device_reset" (4.20..=4.22), 8, dev @ 0, flags @ 4);
physdev_op!(PciDeviceReset, "PHYSDEVOP_pci_device_reset" = 32);
