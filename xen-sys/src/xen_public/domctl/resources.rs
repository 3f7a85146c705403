//! Memory, ports and interrupts of devices: who may use them, and where they appear.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::{Domctl, DomctlCall, DomctlRecord, domctl};
use crate::OtherDomain;
use crate::xen_public::operation::{Command, HypercallNumber, Operation, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// The domain may no longer use the line.
    GSI_REVOKE = "XEN_DOMCTL_GSI_REVOKE" = 0;
    /// The domain may use the line.
    GSI_GRANT = "XEN_DOMCTL_GSI_GRANT" = 1;
    /// It disappears.
    REMOVE_MAPPING = "DPCI_REMOVE_MAPPING" = 0;
    /// It appears.
    ADD_MAPPING = "DPCI_ADD_MAPPING" = 1;
}

/// `struct xen_domctl_irq_permission` of Xen 4.14 and 4.15.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_irq_permission")]
pub struct IrqPermission414 {
    /// The interrupt, as the caller knows it.
    pub pirq: u8,
    /// Whether the domain may use it.
    pub allow_access: u8,
}
layout!(IrqPermission414 = "struct xen_domctl_irq_permission" (4.14..=4.15), 2, pirq @ 0, allow_access @ 1);
domctl!(IrqPermission414, "XEN_DOMCTL_irq_permission" = 19);

/// `struct xen_domctl_irq_permission` of Xen 4.16 and later.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct IrqPermission416 {
    /// The interrupt, as the caller knows it.
    pub pirq: u32,
    /// Whether the domain may use it.
    pub allow_access: u8,
    /// Zero.
    pub pad: [u8; 3],
}
layout!(IrqPermission416 = "struct xen_domctl_irq_permission" (4.16..=4.22), 8, pirq @ 0, allow_access @ 4);
domctl!(IrqPermission416, "XEN_DOMCTL_irq_permission" = 19);

/// `struct xen_domctl_gsi_permission` (Xen 4.20+)
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_gsi_permission")]
pub struct GsiPermission {
    /// The interrupt line of the host.
    pub gsi: u32,
    /// [`GSI_GRANT`] or [`GSI_REVOKE`]
    pub flags: u32,
}
layout!(GsiPermission = "struct xen_domctl_gsi_permission" (4.20..=4.22), 8, gsi @ 0, flags @ 4);
domctl!(GsiPermission, "XEN_DOMCTL_gsi_permission" = 88);

/// `struct xen_domctl_iomem_permission`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_iomem_permission")]
pub struct IomemPermission {
    /// The first frame of the host.
    pub first_mfn: u64,
    /// How many.
    pub nr_mfns: u64,
    /// Whether the domain may use them.
    pub allow_access: u8,
    /// Zero.
    pub pad: [u8; 7],
}
layout!(
    IomemPermission = "struct xen_domctl_iomem_permission", 24, first_mfn @ 0, nr_mfns @ 8, allow_access @ 16,
);
domctl!(IomemPermission, "XEN_DOMCTL_iomem_permission" = 20);

/// `struct xen_domctl_ioport_permission`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_ioport_permission")]
pub struct IoportPermission {
    /// The first port.
    pub first_port: u32,
    /// How many.
    pub nr_ports: u32,
    /// Whether the domain may use them.
    pub allow_access: u8,
    /// Zero.
    pub pad: [u8; 3],
}
layout!(
    IoportPermission = "struct xen_domctl_ioport_permission", 12, first_port @ 0, nr_ports @ 4, allow_access @ 8,
);
domctl!(IoportPermission, "XEN_DOMCTL_ioport_permission" = 21);

/// `struct xen_domctl_memory_mapping`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_memory_mapping")]
pub struct MemoryMapping {
    /// Where: the first frame of the guest.
    pub first_gfn: u64,
    /// What: the first frame of the host.
    pub first_mfn: u64,
    /// How many.
    pub nr_mfns: u64,
    /// [`ADD_MAPPING`] or [`REMOVE_MAPPING`]
    pub add_mapping: u32,
    /// Zero.
    pub padding: u32,
}
layout!(
    MemoryMapping = "struct xen_domctl_memory_mapping", 32,
    first_gfn @ 0, first_mfn @ 8, nr_mfns @ 16, add_mapping @ 24,
);

/// Maps frames of the host's devices into a domain's memory, or unmaps them, whatever lies there. The result is 0 if all is done, or how
/// many of the first frames are.
///
/// `XEN_DOMCTL_memory_mapping`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XEN_DOMCTL_memory_mapping")]
pub struct MapDeviceMemory {
    /// The version of the interface, as in [`DomctlCall`].
    pub version: u32,
    /// Whose memory changes.
    pub domain: OtherDomain,
    /// What, and where.
    pub mapping: MemoryMapping,
}

/// The operation on any domain, which is not safe on the caller's own.
struct Unchecked(MemoryMapping);

// SAFETY: integers only. Not for others to issue: see above.
unsafe impl Domctl for Unchecked {
    const COMMAND: Command = command!("XEN_DOMCTL_memory_mapping" = 39);
    type Record = MemoryMapping;

    fn record(&self) -> MemoryMapping {
        self.0
    }
}

// SAFETY: Xen reads one such structure, of integers only; the memory that changes is another domain's.
unsafe impl Operation for MapDeviceMemory {
    const NUMBER: HypercallNumber = HypercallNumber::DOMCTL;
    const NAME: &'static str = Unchecked::COMMAND.name;
    type Record = DomctlRecord;

    fn record(&self) -> DomctlRecord {
        let operation = &Unchecked(self.mapping);
        DomctlCall { version: self.version, domain: self.domain.id(), operation }.record()
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 0, 0, 0, 0]
    }
}

/// `struct xen_domctl_ioport_mapping`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_ioport_mapping")]
pub struct IoportMapping {
    /// Where: the first port of the guest.
    pub first_gport: u32,
    /// What: the first port of the host.
    pub first_mport: u32,
    /// How many.
    pub nr_ports: u32,
    /// [`ADD_MAPPING`] or [`REMOVE_MAPPING`]
    pub add_mapping: u32,
}
layout!(
    IoportMapping = "struct xen_domctl_ioport_mapping", 16,
    first_gport @ 0, first_mport @ 4, nr_ports @ 8, add_mapping @ 12,
);
domctl!(IoportMapping, "XEN_DOMCTL_ioport_mapping" = 40);
