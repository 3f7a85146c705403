//! Devices of the host's for a domain: which ones it has, what it may use of them, and where its guest sees that.
//!
//! [`Domain::passthrough`](crate::Domain::passthrough) is a view of its own. A device is **assigned** to a domain that was created with
//! [`CreateFlags::IOMMU`](crate::domain::CreateFlags::IOMMU), so that the IOMMU lets it reach that domain's memory and no other. Its
//! memory, ports and interrupts are given apart: a PV guest uses what it is **permitted**; in an HVM guest they are **mapped** and
//! **bound** besides, to where the device model shows them. No driver of dom0's may use the device meanwhile: toolstacks bind it to
//! `xen-pciback` before.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use xen_ctrl::passthrough::{Device, GuestIrq, ReservedMemory};
//! use xen_ctrl::{DomId, Gfn, Mfn, Xenctrl};
//!
//! let xen = Xenctrl::open()?;
//! let guest = xen.domain(DomId::try_from(7_u32)?).passthrough();
//! guest.assign(Device::Pci("0000:00:05.0".parse()?), ReservedMemory::Strict)?;
//!
//! let registers = Mfn::new(0xfea00); // of 16 pages, as the device's BAR says
//! guest.set_memory_permission(registers, 16, true)?;
//! guest.map_memory(Gfn::new(0xf0000), registers, 16)?;
//!
//! let line = guest.map_gsi(20, None)?;
//! guest.bind_irq(line, GuestIrq::Pci { bus: 0, device: 5, pin: 0 })?;
//! # Ok(()) }
//! ```

mod devices;
mod irqs;
mod mappings;
mod permissions;
mod pirqs;

pub use devices::{Device, ReservedMemory};
pub use irqs::{GuestIrq, GuestMsi};
pub use pirqs::Pirqs;

use xen_sys::DomId;
use xen_sys::xen_public::domctl::Domctl;

use crate::{Error, Xenctrl};

/// The devices of the host's that a domain is given; made by [`Domain::passthrough`](crate::Domain::passthrough).
#[derive(Clone, Copy, Debug)]
pub struct Passthrough<'a> {
    xen: &'a Xenctrl,
    id: DomId,
}

impl<'a> Passthrough<'a> {
    pub(crate) fn new(xen: &'a Xenctrl, id: DomId) -> Self {
        Self { xen, id }
    }

    /// Issues an operation in which `ESRCH` need not mean the domain.
    fn domctl<T: Domctl>(&self, operation: &T) -> Result<T::Record, Error> {
        let domain = self.xen.domain(self.id);
        self.xen.domctl(self.id, operation).map_err(|error| domain.unless_a_part_is_missing(error))
    }
}
