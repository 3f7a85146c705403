//! Operations on one vCPU.

mod affinity;
mod context;
mod extended;
#[cfg(target_arch = "x86_64")]
mod hvm;
mod info;
#[cfg_attr(all(target_arch = "aarch64", not(test)), expect(dead_code, reason = "no processor of x86"))]
mod paging;
mod state;
mod translate;

pub use affinity::Affinity;
pub use context::VcpuContext;
#[cfg(target_arch = "aarch64")]
pub use context::{CoreRegisters, flags};
#[cfg(target_arch = "x86_64")]
pub use context::{TrapInfo, UserRegisters, flags};
pub use extended::{Callback, ExtendedContext, MachineCheck};
#[cfg(target_arch = "x86_64")]
pub use hvm::HvmCpu;
pub use info::VcpuInfo;
pub(crate) use paging::Paging;
pub use state::{ExtendedState, Msr};
pub use translate::AddressSpace;
pub(crate) use translate::{WORDS, read_words};

use xen_sys::xen_public::domctl::Domctl;
use xen_sys::{DomId, VcpuId};

use crate::{Domain, Error, Xenctrl};

/// A virtual CPU of a domain: what can be asked of it and done with it.
///
/// All operations fail with [`Error::NoSuchDomain`], with [`Error::Denied`], and with [`Error::Refused`] for a vCPU that is not there:
/// `EINVAL` for a number that the domain cannot have, `ESRCH` for one that has not been made yet.
#[derive(Clone, Copy, Debug)]
pub struct Vcpu<'a> {
    xen: &'a Xenctrl,
    domain: DomId,
    id: VcpuId,
}

impl<'a> Domain<'a> {
    /// The operations on one of its vCPUs. Whether there is such a vCPU shows when one of them is used.
    #[must_use]
    pub fn vcpu(&self, id: VcpuId) -> Vcpu<'a> {
        Vcpu { xen: self.xen, domain: self.id, id }
    }
}

impl Vcpu<'_> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> VcpuId {
        self.id
    }

    /// The number of its domain.
    #[must_use]
    pub fn domain_id(&self) -> DomId {
        self.domain
    }

    /// Issues an operation on the vCPU.
    pub(crate) fn domctl<T: Domctl>(&self, operation: &T) -> Result<T::Record, Error> {
        self.xen.domctl(self.domain, operation).map_err(|error| self.explain(error))
    }

    /// Tells a domain that is not there from a vCPU that is not.
    fn explain(&self, error: Error) -> Error {
        self.xen.domain(self.domain).unless_a_part_is_missing(error)
    }
}
