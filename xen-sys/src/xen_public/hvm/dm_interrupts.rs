//! `hvm/dm_op.h`: the interrupts that device models raise.

use super::dm_op::dm_op;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_dm_op_set_pci_intx_level`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_pci_intx_level")]
pub struct SetPciIntxLevel {
    /// The segment.
    pub domain: u16,
    /// The bus.
    pub bus: u8,
    /// The device.
    pub device: u8,
    /// Which of its four pins.
    pub intx: u8,
    /// Whether it is asserted.
    pub level: u8,
}
layout!(
    SetPciIntxLevel = "struct xen_dm_op_set_pci_intx_level", 6,
    domain @ 0, bus @ 2, device @ 3, intx @ 4, level @ 5,
);
dm_op!(SetPciIntxLevel, "XEN_DMOP_set_pci_intx_level" = 8);

/// `struct xen_dm_op_set_isa_irq_level`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_isa_irq_level")]
pub struct SetIsaIrqLevel {
    /// Which line.
    pub isa_irq: u8,
    /// Whether it is asserted.
    pub level: u8,
}
layout!(SetIsaIrqLevel = "struct xen_dm_op_set_isa_irq_level", 2, isa_irq @ 0, level @ 1);
dm_op!(SetIsaIrqLevel, "XEN_DMOP_set_isa_irq_level" = 9);

/// `struct xen_dm_op_set_pci_link_route`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_pci_link_route")]
pub struct SetPciLinkRoute {
    /// Which of the four links.
    pub link: u8,
    /// To which ISA interrupt; 0 for none.
    pub isa_irq: u8,
}
layout!(SetPciLinkRoute = "struct xen_dm_op_set_pci_link_route", 2, link @ 0, isa_irq @ 1);
dm_op!(SetPciLinkRoute, "XEN_DMOP_set_pci_link_route" = 10);

constants! { u8:
    /// An interrupt from outside.
    EVENT_EXT_INT = "XEN_DMOP_EVENT_ext_int" = 0;
    /// An interrupt that cannot be masked.
    EVENT_NMI = "XEN_DMOP_EVENT_nmi" = 2;
    /// An exception of the processor's.
    EVENT_HW_EXC = "XEN_DMOP_EVENT_hw_exc" = 3;
    /// `int n`
    EVENT_SW_INT = "XEN_DMOP_EVENT_sw_int" = 4;
    /// `icebp`
    EVENT_PRI_SW_EXC = "XEN_DMOP_EVENT_pri_sw_exc" = 5;
    /// `int3`, `into`
    EVENT_SW_EXC = "XEN_DMOP_EVENT_sw_exc" = 6;
}

/// `struct xen_dm_op_inject_event`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_inject_event")]
pub struct InjectEvent {
    /// Which vCPU.
    pub vcpuid: u32,
    /// Which interrupt or exception.
    pub vector: u8,
    /// `EVENT_*`
    pub kind: u8,
    /// How long the instruction is that caused it.
    pub insn_len: u8,
    /// Zero.
    pub pad0: u8,
    /// The error code; all ones for none.
    pub error_code: u32,
    /// Zero.
    pub pad1: u32,
    /// Of page faults, the address; of debug exceptions, what is pending.
    pub cr2: u64,
}
layout!(
    InjectEvent = "struct xen_dm_op_inject_event", 24,
    vcpuid @ 0, vector @ 4, kind("type") @ 5, insn_len @ 6, error_code @ 8, cr2 @ 16,
);
dm_op!(InjectEvent, "XEN_DMOP_inject_event" = 13);

/// `struct xen_dm_op_inject_msi`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_inject_msi")]
pub struct InjectMsi {
    /// The message's data.
    pub data: u32,
    /// Zero.
    pub pad: u32,
    /// The message's address.
    pub addr: u64,
}
layout!(InjectMsi = "struct xen_dm_op_inject_msi", 16, data @ 0, addr @ 8);
dm_op!(InjectMsi, "XEN_DMOP_inject_msi" = 14);

/// `struct xen_dm_op_set_irq_level`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_irq_level")]
pub struct SetIrqLevel {
    /// Which interrupt.
    pub irq: u32,
    /// Whether it is asserted.
    pub level: u8,
    /// Zero.
    pub pad: [u8; 3],
}
layout!(SetIrqLevel = "struct xen_dm_op_set_irq_level" (4.15..=4.22), 8, irq @ 0, level @ 4);
dm_op!(SetIrqLevel, "XEN_DMOP_set_irq_level" = 19);
