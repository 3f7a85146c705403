//! Creating a domain.

mod created;
mod options;
mod record;

pub use created::CreatedDomain;
pub use options::{
    Altp2m, Altp2mMode, ArmOptions, CreateDomain, CreateFlags, DomainKind, Gic, Tee, X86Emulation, X86Options,
};

use xen_sys::xen_public::domctl::{CreateDomain414, Domctl};

use super::GrantVersion;
use crate::host::HostCapabilities;
use crate::{Error, Xenctrl};

/// What Xen calls it, in messages.
const OPERATION: &str = CreateDomain414::COMMAND.name;

impl Xenctrl {
    /// Creates a domain: an empty one, paused, without vCPUs and memory. A builder gives it those next:
    /// [`set_max_vcpus`](crate::Domain::set_max_vcpus), [`set_max_memory`](crate::Domain::set_max_memory), and so on. It is destroyed
    /// if what is returned here is dropped, so that an error on the way leaves nothing behind; [`CreatedDomain::keep`] ends that.
    ///
    /// The record of this operation has six forms; the one of this hypervisor is chosen. What was asked for and has no place in
    /// it is an error, never left out. One hypercall, or two from Xen 4.16 on if no version of the grant table is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an option that this Xen or this architecture does not have; [`Error::Denied`];
    /// [`Error::Refused`] with `EEXIST` if the number is taken, `EINVAL` for options that do not go together or that the host cannot
    /// do, `ENOMEM`, `ENOSPC`.
    #[doc(alias = "xc_domain_create")]
    #[doc(alias = "xc_domain_create_config")]
    #[doc(alias = "XEN_DOMCTL_createdomain")]
    pub fn create_domain(&self, options: &CreateDomain) -> Result<CreatedDomain<'_>, Error> {
        options.check(self)?;
        let grants = self.grant_version_of(options)?;
        let (id, filled) = record::create(self, options, grants)?;
        Ok(CreatedDomain::new(self.domain(id), filled))
    }

    /// The version of the grant table that the domain gets, if this Xen wants to be told: the highest that it allows, as toolstacks
    /// do, unless one is asked for.
    fn grant_version_of(&self, options: &CreateDomain) -> Result<u32, Error> {
        if !self.is_at_least(16) {
            return Ok(0);
        }
        if let Some(version) = options.grant_version {
            return Ok(version.number());
        }
        let has_second = self.host().info()?.capabilities.contains(HostCapabilities::GNTTAB_V2);
        Ok(if has_second { GrantVersion::V2 } else { GrantVersion::V1 }.number())
    }
}
