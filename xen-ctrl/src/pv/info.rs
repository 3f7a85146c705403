//! All that is to be known of a PV domain's memory.

use xen_foreignmem::ForeignMemory;
use xen_sys::{Gfn, Mfn};

use super::P2m;
use crate::memory::PageType;
use crate::{Domain, Error};

/// Machine frame and kind of each frame of a PV domain, as it is needed to copy the domain. Pause it first.
#[derive(Debug)]
#[doc(alias = "xc_map_domain_meminfo")]
#[doc(alias = "xc_unmap_domain_meminfo")]
pub struct MemoryInfo {
    /// The domain's own table.
    pub p2m: P2m,
    types: Vec<PageType>,
}

impl MemoryInfo {
    /// Maps the domain's own table, and asks Xen for the kind of each page. One hypercall for every 1024 frames.
    ///
    /// # Errors
    ///
    /// As [`P2m::map`] and [`page_types`](crate::memory::DomainMemory::page_types).
    pub fn read(domain: Domain<'_>, foreign: &ForeignMemory) -> Result<Self, Error> {
        let p2m = P2m::map(domain, foreign)?;
        let numbers = (0..p2m.len()).map(Gfn::new);
        // Xen finds no page in a number that cannot be one
        let frames: Vec<_> =
            numbers.map(|frame| Gfn::new(p2m.mfn(frame).map_or(u64::MAX, Mfn::get))).collect();
        let types = domain.memory().page_types(&frames)?;
        Ok(Self { p2m, types })
    }

    /// What kind of page a frame of the domain's is: [`PageType::Missing`] if it has no machine frame.
    #[must_use]
    pub fn page_type(&self, frame: Gfn) -> PageType {
        let index = usize::try_from(frame.get()).unwrap_or(usize::MAX);
        self.types.get(index).copied().unwrap_or(PageType::Missing)
    }
}
