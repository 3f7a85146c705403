//! Domains of our own making.

use anyhow::Result;
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind};
use xen_ctrl::memory::Allocation;
use xen_ctrl::{DomId, Gfn, Xenctrl};

/// An HVM domain that has memory and one vCPU, and never ran. It ends with this.
pub(crate) struct BareDomain {
    domain: CreatedDomain<'static>,
}

impl BareDomain {
    /// With so many frames, from number 0 on: some times 512, or fewer than that.
    pub(crate) fn new(frames: u64) -> Result<Self> {
        let xen: &'static Xenctrl = Box::leak(Box::new(Xenctrl::open()?));
        let domain = xen.create_domain(&CreateDomain::new(DomainKind::Hvm))?;
        domain.set_max_vcpus(1)?;
        domain.set_max_memory((frames + 64) * 4)?;
        if cfg!(target_arch = "x86_64") {
            domain.memory().set_paging_allocation(4)?;
        }
        let order = if frames < 512 { 0 } else { 9 };
        let places: Vec<_> = (0..frames).step_by(1 << order).map(Gfn::new).collect();
        domain.memory().populate_exact(&places, Allocation::of_order(order))?;
        Ok(Self { domain })
    }

    pub(crate) fn id(&self) -> DomId {
        self.domain.id()
    }

    pub(crate) fn domain(&self) -> &CreatedDomain<'static> {
        &self.domain
    }
}
