//! The memory of a domain, and of the host.
//!
//! [`Domain::memory`](crate::Domain::memory) and [`Host::memory`](crate::Host::memory) are views of their own: there is much to be
//! done with memory, and most of it is for those who build domains, not for those who watch them.

mod dirty;
mod host;
mod map;
mod pages;
mod physmap;
mod reservation;
mod vnuma;

pub use dirty::DirtyPages;
pub use host::HostMemory;
pub use map::{MemoryKind, MemoryRange, ReservedRange};
pub use pages::{Audit, PageType};
pub use physmap::PageSource;
pub use reservation::{Allocation, NodeChoice};
pub use vnuma::{NodeRange, VirtualNuma};

use xen_sys::xen_public::memory::{
    CurrentReservation, GetPodTarget, MaximumGpfn, MaximumReservation, PodTarget, SetPodTarget,
};
use xen_sys::{DomId, Gfn, OtherDomain};

use crate::{Error, Xenctrl};

/// The memory of a domain; made by [`Domain::memory`](crate::Domain::memory).
///
/// **Frames** are what the domain's memory is known by to others, and what `xen-foreignmem` maps: the domain's own numbering, but in a
/// PV domain, which has none that Xen knows, machine frames.
///
/// What changes memory refuses the caller's own domain, dom0, with `EINVAL`: that memory is the kernel's.
#[derive(Clone, Copy, Debug)]
pub struct DomainMemory<'a> {
    xen: &'a Xenctrl,
    id: DomId,
}

/// How a domain that is populated on demand is doing. In pages of 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PopulationOnDemand {
    /// Memory that the domain has, those pages included that wait.
    pub pages: u64,
    /// Pages that wait for the domain to use a frame that has none.
    pub waiting: u64,
    /// The domain's frames that have no page yet.
    pub unpopulated: u64,
}

impl<'a> DomainMemory<'a> {
    pub(crate) fn new(xen: &'a Xenctrl, id: DomId) -> Self {
        Self { xen, id }
    }

    /// How much memory the domain has, in pages of 4 KiB.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "XENMEM_current_reservation")]
    pub fn pages(&self) -> Result<u64, Error> {
        let answer = self.xen.call(Some(self.id), &CurrentReservation(self.id))?;
        Ok(answer.value.unsigned_abs())
    }

    /// How much memory the domain may have, in pages of 4 KiB.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "XENMEM_maximum_reservation")]
    pub fn max_pages(&self) -> Result<u64, Error> {
        let answer = self.xen.call(Some(self.id), &MaximumReservation(self.id))?;
        Ok(answer.value.unsigned_abs())
    }

    /// The highest frame in the domain's own numbering; 0 if it has none.
    ///
    /// A PV domain tells that itself, once it runs.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "xc_domain_maximum_gpfn")]
    #[doc(alias = "xc_domain_nr_gpfns")]
    #[doc(alias = "xc_core_arch_get_scratch_gpfn")]
    #[doc(alias = "XENMEM_maximum_gpfn")]
    pub fn max_gfn(&self) -> Result<Gfn, Error> {
        let answer = self.xen.call(Some(self.id), &MaximumGpfn(self.id))?;
        Ok(Gfn::new(answer.value.unsigned_abs()))
    }

    /// How population on demand is doing. HVM and PVH domains on x86.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Refused`] with `EINVAL` for a PV domain.
    #[doc(alias = "xc_domain_get_pod_target")]
    #[doc(alias = "XENMEM_get_pod_target")]
    pub fn population_on_demand(&self) -> Result<PopulationOnDemand, Error> {
        let answer = self.xen.call(Some(self.id), &GetPodTarget(self.id))?;
        Ok(on_demand(&answer.record))
    }

    /// Sets how much memory a domain that is populated on demand is to have, in pages of 4 KiB. It gets, or gives, pages that wait.
    ///
    /// The target counts only until the domain has given back, by its balloon driver, all frames that have no page.
    ///
    /// # Errors
    ///
    /// As [`population_on_demand`](Self::population_on_demand); [`Error::Refused`] also with `ENOMEM`, if the host has not so much.
    #[doc(alias = "xc_domain_set_pod_target")]
    #[doc(alias = "XENMEM_set_pod_target")]
    pub fn set_population_target(&self, pages: u64) -> Result<PopulationOnDemand, Error> {
        let domain = self.other("XENMEM_set_pod_target")?;
        let answer = self.xen.call(Some(self.id), &SetPodTarget { domain, pages })?;
        Ok(on_demand(&answer.record))
    }

    /// Fails for the caller's own domain.
    fn other(&self, operation: &'static str) -> Result<OtherDomain, Error> {
        self.xen.other_domain(self.id, operation)
    }

    fn refused(&self, operation: &'static str, errno: i32) -> Error {
        Error::refused(operation, Some(self.id), errno)
    }
}

fn on_demand(record: &PodTarget) -> PopulationOnDemand {
    PopulationOnDemand {
        pages: record.tot_pages,
        waiting: record.pod_cache_pages,
        unpopulated: record.pod_entries,
    }
}
