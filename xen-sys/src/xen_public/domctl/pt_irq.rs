//! Interrupts of the host's as the guest sees them.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
use crate::xen_public::operation::Command;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, transmute};

constants! { u32:
    /// A line of a PCI device.
    PT_PCI = "PT_IRQ_TYPE_PCI" = 0;
    /// A line of the ISA bus.
    PT_ISA = "PT_IRQ_TYPE_ISA" = 1;
    /// A message.
    PT_MSI = "PT_IRQ_TYPE_MSI" = 2;
    /// A line of a PCI device, where the host's is a message.
    PT_MSI_TRANSLATE = "PT_IRQ_TYPE_MSI_TRANSLATE" = 3;
    /// A shared peripheral interrupt, on Arm.
    PT_SPI = "PT_IRQ_TYPE_SPI" = 4;

    /// Of a message: the processor's number.
    VMSI_X86_DEST_ID_MASK = "XEN_DOMCTL_VMSI_X86_DEST_ID_MASK" = 0x0000_00ff;
    /// The redirection hint.
    VMSI_X86_RH_MASK = "XEN_DOMCTL_VMSI_X86_RH_MASK" = 0x0000_0100;
    /// The processor's number is a logical one.
    VMSI_X86_DM_MASK = "XEN_DOMCTL_VMSI_X86_DM_MASK" = 0x0000_0200;
    /// The delivery mode.
    VMSI_X86_DELIV_MASK = "XEN_DOMCTL_VMSI_X86_DELIV_MASK" = 0x0000_7000;
    /// Triggered by the level.
    VMSI_X86_TRIG_MASK = "XEN_DOMCTL_VMSI_X86_TRIG_MASK" = 0x0000_8000;
    /// The guest has not masked it.
    VMSI_X86_UNMASKED = "XEN_DOMCTL_VMSI_X86_UNMASKED" = 0x0001_0000;
}

/// `struct xen_domctl_bind_pt_irq` for a line of a PCI device.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_bind_pt_irq")]
pub struct PtIrqPci {
    /// The host's interrupt.
    pub machine_irq: u32,
    /// [`PT_PCI`] or [`PT_MSI_TRANSLATE`]
    pub irq_type: u32,
    /// The guest's bus.
    pub bus: u8,
    /// The device on it.
    pub device: u8,
    /// The line: 0 to 3.
    pub intx: u8,
    /// Zero.
    pub pad: [u8; 13],
}
layout!(
    PtIrqPci = "struct xen_domctl_bind_pt_irq", 24,
    machine_irq @ 0, irq_type @ 4, bus("u.pci.bus") @ 8, device("u.pci.device") @ 9, intx("u.pci.intx") @ 10,
);

/// `struct xen_domctl_bind_pt_irq` for a line of the ISA bus.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PtIrqIsa {
    /// The host's interrupt.
    pub machine_irq: u32,
    /// [`PT_ISA`]
    pub irq_type: u32,
    /// The guest's line.
    pub isa_irq: u8,
    /// Zero.
    pub pad: [u8; 15],
}
layout!(
    PtIrqIsa = "struct xen_domctl_bind_pt_irq", 24, machine_irq @ 0, irq_type @ 4, isa_irq("u.isa.isa_irq") @ 8,
);

/// `struct xen_domctl_bind_pt_irq` for a message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PtIrqMsi {
    /// The host's interrupt.
    pub machine_irq: u32,
    /// [`PT_MSI`]
    pub irq_type: u32,
    /// The guest's vector.
    pub gvec: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// `VMSI_X86_*`
    pub gflags: u32,
    /// Address of the guest's table of messages; 0 for none.
    pub gtable: u64,
}
layout!(
    PtIrqMsi = "struct xen_domctl_bind_pt_irq", 24,
    machine_irq @ 0, irq_type @ 4, gvec("u.msi.gvec") @ 8, gflags("u.msi.gflags") @ 12, gtable("u.msi.gtable") @ 16,
);

/// `struct xen_domctl_bind_pt_irq` for a shared peripheral interrupt.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PtIrqSpi {
    /// The host's interrupt.
    pub machine_irq: u32,
    /// [`PT_SPI`]
    pub irq_type: u32,
    /// The guest's.
    pub spi: u16,
    /// Zero.
    pub pad: [u16; 7],
}
layout!(PtIrqSpi = "struct xen_domctl_bind_pt_irq", 24, machine_irq @ 0, irq_type @ 4, spi("u.spi.spi") @ 8);

/// An interrupt of the host's, and what the guest sees of it.
#[derive(Clone, Copy, Debug)]
pub enum PtIrq {
    /// A line of a PCI device.
    Pci(PtIrqPci),
    /// A line of the ISA bus.
    Isa(PtIrqIsa),
    /// A message.
    Msi(PtIrqMsi),
    /// A shared peripheral interrupt.
    Spi(PtIrqSpi),
}

impl PtIrq {
    fn record(self) -> [u8; 24] {
        match self {
            Self::Pci(record) => transmute!(record),
            Self::Isa(record) => transmute!(record),
            Self::Msi(record) => transmute!(record),
            Self::Spi(record) => transmute!(record),
        }
    }
}

/// An operation on such a pair.
macro_rules! on_pt_irq {
    ($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $name)]
        pub struct $operation(
            /// Which.
            pub PtIrq,
        );

        // SAFETY: integers only; the guest's table is in the guest's memory.
        unsafe impl Domctl for $operation {
            const COMMAND: Command = Command { number: $command, name: $name };
            type Record = [u8; 24];

            fn record(&self) -> [u8; 24] {
                self.0.record()
            }
        }
    };
}

on_pt_irq! {
    /// Lets the guest see an interrupt of the host's, or see it as another one.
    BindPtIrq, "XEN_DOMCTL_bind_pt_irq" = 38
}
on_pt_irq! {
    /// Ends that.
    UnbindPtIrq, "XEN_DOMCTL_unbind_pt_irq" = 48
}
