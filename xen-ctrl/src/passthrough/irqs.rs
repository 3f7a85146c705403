//! What the guest sees of the interrupts of its devices.

use xen_sys::Pirq;
use xen_sys::xen_public::domctl::{
    BindPtIrq, PT_ISA, PT_MSI, PT_MSI_TRANSLATE, PT_PCI, PT_SPI, PtIrq, PtIrqIsa, PtIrqMsi, PtIrqPci,
    PtIrqSpi, UnbindPtIrq, VMSI_X86_UNMASKED,
};

use super::Passthrough;
use crate::Error;

/// An interrupt, as the guest sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuestIrq {
    /// A line of a PCI device of the guest's.
    #[doc(alias = "PT_IRQ_TYPE_PCI")]
    Pci {
        /// Its bus.
        bus: u8,
        /// The device, 0 to 31.
        device: u8,
        /// The line, 0 for INTA to 3 for INTD.
        pin: u8,
    },
    /// A line of a PCI device of the guest's, where the host's device sends messages.
    #[doc(alias = "PT_IRQ_TYPE_MSI_TRANSLATE")]
    PciFromMsi {
        /// Its bus.
        bus: u8,
        /// The device, 0 to 31.
        device: u8,
        /// The line, 0 for INTA to 3 for INTD.
        pin: u8,
    },
    /// A line of the ISA bus, 0 to 15.
    #[doc(alias = "PT_IRQ_TYPE_ISA")]
    Isa(u8),
    /// A message (MSI, MSI-X).
    #[doc(alias = "PT_IRQ_TYPE_MSI")]
    Msi(GuestMsi),
    /// A shared peripheral interrupt, 32 to 1019. On Arm.
    #[doc(alias = "PT_IRQ_TYPE_SPI")]
    Spi(u16),
}

/// A message, as the guest's driver has written it into its device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuestMsi {
    vector: u8,
    flags: u32,
    table: u64,
}

impl GuestMsi {
    /// The message with this address and this data, in the form that x86 gives them. It is masked, which means that Xen keeps it back.
    #[must_use]
    pub fn new(address: u64, data: u32) -> Self {
        // of all that an address can say, these are in its lower half
        let [address, data] = [address & u64::from(u32::MAX), data.into()];
        let part = |number: u64, from: u32, bits: u32, to: u32| (number >> from & ((1 << bits) - 1)) << to;
        let flags = part(address, 12, 8, 0) // the processor
            | part(address, 3, 1, 8) // redirection hint
            | part(address, 2, 1, 9) // logical
            | part(data, 8, 3, 12) // delivery mode
            | part(data, 15, 1, 15); // level
        let [vector, ..] = data.to_le_bytes();
        Self { vector, flags: u32::try_from(flags).unwrap_or_default(), table: 0 }
    }

    /// The guest has not masked it.
    #[must_use]
    pub fn unmasked(self) -> Self {
        Self { flags: self.flags | VMSI_X86_UNMASKED, ..self }
    }

    /// The guest's device has a table of messages (MSI-X), which begins at this address. Xen then serves accesses to it.
    #[must_use]
    pub fn table(self, address: u64) -> Self {
        Self { table: address, ..self }
    }
}

impl Passthrough<'_> {
    /// Lets the guest of an HVM domain see an interrupt that was [mapped](Self::map_gsi), or of a domain on Arm one of the host's shared
    /// peripheral interrupts. Binding a message again changes it, as when the guest writes another address.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the domain has no such interrupt; [`Error::Unsupported`] for what
    /// another architecture has, and for lines of ISA where Xen does without; [`Error::Refused`] with `ESRCH` if the domain
    /// was not created with [`CreateFlags::IOMMU`](crate::domain::CreateFlags::IOMMU), `EINVAL` for a PV domain, or a number that
    /// there is not, `EBUSY` if it is bound as something else, `EEXIST`, `ENOMEM`.
    #[doc(alias = "xc_domain_bind_pt_irq")]
    #[doc(alias = "xc_domain_bind_pt_pci_irq")]
    #[doc(alias = "xc_domain_bind_pt_isa_irq")]
    #[doc(alias = "xc_domain_bind_pt_spi_irq")]
    #[doc(alias = "xc_domain_update_msi_irq")]
    #[doc(alias = "XEN_DOMCTL_bind_pt_irq")]
    pub fn bind_irq(&self, host: Pirq, guest: GuestIrq) -> Result<(), Error> {
        self.domctl(&BindPtIrq(record(host, guest))).map(drop)
    }

    /// The guest no longer sees an interrupt that was [bound](Self::bind_irq) like this.
    ///
    /// # Errors
    ///
    /// As [`bind_irq`](Self::bind_irq); [`Error::Refused`] with `EINVAL` if it is not bound.
    #[doc(alias = "xc_domain_unbind_pt_irq")]
    #[doc(alias = "xc_domain_unbind_msi_irq")]
    #[doc(alias = "xc_domain_unbind_pt_spi_irq")]
    #[doc(alias = "XEN_DOMCTL_unbind_pt_irq")]
    pub fn unbind_irq(&self, host: Pirq, guest: GuestIrq) -> Result<(), Error> {
        self.domctl(&UnbindPtIrq(record(host, guest))).map(drop)
    }
}

fn record(host: Pirq, guest: GuestIrq) -> PtIrq {
    let machine_irq = host.get();
    let pci =
        |irq_type, bus, device, intx| PtIrqPci { machine_irq, irq_type, bus, device, intx, pad: [0; 13] };
    match guest {
        GuestIrq::Pci { bus, device, pin } => PtIrq::Pci(pci(PT_PCI, bus, device, pin)),
        GuestIrq::PciFromMsi { bus, device, pin } => PtIrq::Pci(pci(PT_MSI_TRANSLATE, bus, device, pin)),
        GuestIrq::Isa(isa_irq) => {
            PtIrq::Isa(PtIrqIsa { machine_irq, irq_type: PT_ISA, isa_irq, pad: [0; 15] })
        }
        GuestIrq::Msi(GuestMsi { vector: gvec, flags: gflags, table: gtable }) => {
            PtIrq::Msi(PtIrqMsi { machine_irq, irq_type: PT_MSI, gvec, pad: [0; 3], gflags, gtable })
        }
        GuestIrq::Spi(spi) => PtIrq::Spi(PtIrqSpi { machine_irq, irq_type: PT_SPI, spi, pad: [0; 7] }),
    }
}
