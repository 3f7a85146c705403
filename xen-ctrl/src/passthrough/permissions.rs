//! What a domain may use of the host's devices.

use xen_sys::xen_public::domctl::{
    Domctl, GSI_GRANT, GSI_REVOKE, GsiPermission, IomemPermission, IoportPermission, IrqPermission414,
    IrqPermission416,
};
use xen_sys::xen_public::errno::EILSEQ;
use xen_sys::{Mfn, Pirq};

use super::Passthrough;
use crate::Error;

impl Passthrough<'_> {
    /// Says whether the domain may use `count` frames of the host's, from `first` on, that are no memory but devices. The caller can
    /// only give what it may use itself. Frames that are mapped already stay so.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller may not use them; [`Error::Refused`] with `EINVAL` for
    /// none, or for more than addresses reach.
    #[doc(alias = "xc_domain_iomem_permission")]
    #[doc(alias = "XEN_DOMCTL_iomem_permission")]
    pub fn set_memory_permission(&self, first: Mfn, count: u64, allowed: bool) -> Result<(), Error> {
        let permission = IomemPermission {
            first_mfn: first.get(),
            nr_mfns: count,
            allow_access: allowed.into(),
            pad: [0; 7],
        };
        self.xen.domctl(self.id, &permission).map(drop)
    }

    /// Says whether the domain may use `count` I/O ports, from `first` on. On x86.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller may not use them; [`Error::Refused`] with `EINVAL` for
    /// none, or for ports above 65535; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_domain_ioport_permission")]
    #[doc(alias = "XEN_DOMCTL_ioport_permission")]
    pub fn set_port_permission(&self, first: u16, count: u32, allowed: bool) -> Result<(), Error> {
        let permission = IoportPermission {
            first_port: first.into(),
            nr_ports: count,
            allow_access: allowed.into(),
            pad: [0; 3],
        };
        self.xen.domctl(self.id, &permission).map(drop)
    }

    /// Says whether the domain may use an interrupt, by the number that the **caller** knows it by: a PV dom0 numbers lines as the
    /// host does; a PVH dom0 has no such numbers, see [`set_gsi_permission`](Self::set_gsi_permission). On Arm, before Xen 4.19, by
    /// the host's number.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller has no such interrupt; [`Error::Refused`] with `EINVAL` for a
    /// number that there is not; [`Error::Unsupported`] before Xen 4.16 for numbers above 255, and on Arm since Xen 4.19.
    #[doc(alias = "xc_domain_irq_permission")]
    #[doc(alias = "XEN_DOMCTL_irq_permission")]
    pub fn set_irq_permission(&self, irq: Pirq, allowed: bool) -> Result<(), Error> {
        if self.xen.is_at_least(16) {
            let permission = IrqPermission416 { pirq: irq.get(), allow_access: allowed.into(), pad: [0; 3] };
            return match self.xen.domctl(self.id, &permission) {
                // A number that Xen has for itself, and on Arm lets out where it does without the operation.
                Err(error) if error.errno() == Some(EILSEQ) => {
                    let (operation, running) = (IrqPermission416::COMMAND.name, self.xen.version());
                    Err(Error::Unsupported { operation, needs: None, running })
                }
                answer => answer.map(drop),
            };
        }
        let Ok(pirq) = u8::try_from(irq.get()) else {
            return self.xen.require("XEN_DOMCTL_irq_permission", 16); // has no room for it
        };
        let permission = IrqPermission414 { pirq, allow_access: allowed.into() };
        self.xen.domctl(self.id, &permission).map(drop)
    }

    /// Says whether the domain may use an interrupt line of the host's (GSI). On x86, Xen 4.20+.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller may not use it; [`Error::Refused`] with `ERANGE` if there is no
    /// such line; [`Error::Unsupported`] before Xen 4.20, and on Arm.
    #[doc(alias = "xc_domain_gsi_permission")]
    #[doc(alias = "XEN_DOMCTL_gsi_permission")]
    pub fn set_gsi_permission(&self, gsi: u32, allowed: bool) -> Result<(), Error> {
        self.xen.require("XEN_DOMCTL_gsi_permission", 20)?;
        let flags = if allowed { GSI_GRANT } else { GSI_REVOKE };
        self.xen.domctl(self.id, &GsiPermission { gsi, flags }).map(drop)
    }
}
