//! Interrupts and exceptions for the guest.

use xen_sys::VcpuId;
use xen_sys::xen_public::hvm::{self, InjectEvent, InjectMsi, SetIrqLevel, SetIsaIrqLevel};
use xen_sys::xen_public::hvm::{SetPciIntxLevel, SetPciLinkRoute};

use super::DeviceModel;
use crate::Error;
use crate::host::PciAddress;

/// An interrupt pin of a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntxPin {
    /// INTA#
    A,
    /// INTB#
    B,
    /// INTC#
    C,
    /// INTD#
    D,
}

impl IntxPin {
    /// 0 for A.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
            Self::D => 3,
        }
    }
}

/// What a vCPU can be interrupted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// An interrupt from outside.
    #[doc(alias = "XEN_DMOP_EVENT_ext_int")]
    External,
    /// An interrupt that cannot be masked.
    #[doc(alias = "XEN_DMOP_EVENT_nmi")]
    NonMaskable,
    /// An exception of the processor's.
    #[doc(alias = "XEN_DMOP_EVENT_hw_exc")]
    Exception,
    /// `int n`
    #[doc(alias = "XEN_DMOP_EVENT_sw_int")]
    SoftwareInterrupt,
    /// `icebp`
    #[doc(alias = "XEN_DMOP_EVENT_pri_sw_exc")]
    PrivilegedSoftwareException,
    /// `int3`, `into`
    #[doc(alias = "XEN_DMOP_EVENT_sw_exc")]
    SoftwareException,
}

impl EventKind {
    fn number(self) -> u8 {
        match self {
            Self::External => hvm::EVENT_EXT_INT,
            Self::NonMaskable => hvm::EVENT_NMI,
            Self::Exception => hvm::EVENT_HW_EXC,
            Self::SoftwareInterrupt => hvm::EVENT_SW_INT,
            Self::PrivilegedSoftwareException => hvm::EVENT_PRI_SW_EXC,
            Self::SoftwareException => hvm::EVENT_SW_EXC,
        }
    }
}

/// An interrupt or exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Which one: the index in the table of interrupts.
    pub vector: u8,
    /// What it is.
    pub kind: EventKind,
    /// How many bytes the instruction has that causes it, if one does; 0 otherwise.
    pub instruction_length: u8,
    /// The error code that goes with it.
    pub error_code: Option<u32>,
    /// The address of a page fault; what is pending, of a debug exception.
    pub cr2: u64,
}

impl Event {
    /// An event with nothing besides.
    #[must_use]
    pub fn new(kind: EventKind, vector: u8) -> Self {
        Self { vector, kind, instruction_length: 0, error_code: None, cr2: 0 }
    }
}

impl DeviceModel {
    /// Sets the level of an interrupt pin of a PCI device: asserted or not. Its functions share the pins. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for a segment or a bus other than 0.
    #[doc(alias = "xendevicemodel_set_pci_intx_level")]
    #[doc(alias = "xc_hvm_set_pci_intx_level")]
    #[doc(alias = "XEN_DMOP_set_pci_intx_level")]
    pub fn set_pci_intx_level(&self, device: PciAddress, pin: IntxPin, asserted: bool) -> Result<(), Error> {
        self.operate(&mut pci_intx(device, pin, asserted), None)
    }

    /// Sets the level of an ISA interrupt line, 0 to 15: asserted or not. x86 only.
    ///
    /// The guest must have the interrupt controllers of a PC. Xen 4.17 takes the operation for a PVH guest too, and crashes when
    /// that guest's state is read later.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for a line above 15.
    #[doc(alias = "xendevicemodel_set_isa_irq_level")]
    #[doc(alias = "xc_hvm_set_isa_irq_level")]
    #[doc(alias = "XEN_DMOP_set_isa_irq_level")]
    pub fn set_isa_irq_level(&self, line: u8, asserted: bool) -> Result<(), Error> {
        self.operate(&mut SetIsaIrqLevel { isa_irq: line, level: asserted.into() }, None)
    }

    /// Leads one of the four links, which the interrupts of PCI devices come together in, to an ISA interrupt line, 1 to 15; or
    /// nowhere. x86 only.
    ///
    /// The guest must have the interrupt controllers of a PC, as for [`set_isa_irq_level`](Self::set_isa_irq_level).
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for a link above 3 or a line above 15.
    #[doc(alias = "xendevicemodel_set_pci_link_route")]
    #[doc(alias = "xc_hvm_set_pci_link_route")]
    #[doc(alias = "XEN_DMOP_set_pci_link_route")]
    pub fn set_pci_link_route(&self, link: u8, isa_irq: Option<u8>) -> Result<(), Error> {
        self.operate(&mut SetPciLinkRoute { link, isa_irq: isa_irq.unwrap_or(0) }, None)
    }

    /// Sets the level of a shared peripheral interrupt, 32 to 1019: asserted or not. Arm only, Xen 4.15+.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for an interrupt that is none of these, or that is
    /// led through from the hardware.
    #[doc(alias = "xendevicemodel_set_irq_level")]
    #[doc(alias = "XEN_DMOP_set_irq_level")]
    pub fn set_irq_level(&self, interrupt: u32, asserted: bool) -> Result<(), Error> {
        self.operate(&mut SetIrqLevel { irq: interrupt, level: asserted.into(), pad: [0; 3] }, None)
    }

    /// Sends a message-signalled interrupt to the guest. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EINVAL` for an address or data that no controller of the guest
    /// takes, on newer hypervisors.
    #[doc(alias = "xendevicemodel_inject_msi")]
    #[doc(alias = "xc_hvm_inject_msi")]
    #[doc(alias = "XEN_DMOP_inject_msi")]
    pub fn inject_msi(&self, address: u64, data: u32) -> Result<(), Error> {
        self.operate(&mut InjectMsi { data, pad: 0, addr: address }, None)
    }

    /// Has a vCPU see an interrupt or exception when it runs next. x86 only.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `EBUSY` if there is one for it already, `EINVAL` for a
    /// vCPU that is not there.
    #[doc(alias = "xendevicemodel_inject_event")]
    #[doc(alias = "xc_hvm_inject_trap")]
    #[doc(alias = "XEN_DMOP_inject_event")]
    pub fn inject_event(&self, vcpu: VcpuId, event: Event) -> Result<(), Error> {
        let mut operation = InjectEvent {
            vcpuid: vcpu.get(),
            vector: event.vector,
            kind: event.kind.number(),
            insn_len: event.instruction_length,
            error_code: event.error_code.unwrap_or(u32::MAX),
            cr2: event.cr2,
            ..InjectEvent::default()
        };
        self.operate(&mut operation, None)
    }
}

pub(super) fn pci_intx(device: PciAddress, pin: IntxPin, asserted: bool) -> SetPciIntxLevel {
    SetPciIntxLevel {
        domain: device.segment(),
        bus: device.bus(),
        device: device.device(),
        intx: pin.number(),
        level: asserted.into(),
    }
}
