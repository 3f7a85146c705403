//! What lies where in the memory of an HVM, PVH or Arm domain.

use std::io;

use xen_sys::xen_public::memory::{
    AddToPhysmap, AddToPhysmapBatch, MAPIDX_GRANT_TABLE_STATUS, MapSpace, RemoveFromPhysmap,
};
use xen_sys::{DomId, Gfn, OtherDomain};

use super::DomainMemory;
use crate::Error;

/// How many pages one hypercall takes; Xen would take 65535.
const CHUNK: usize = 1 << 15;

/// What is put to a place in a domain's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageSource {
    /// The domain's shared information page.
    #[doc(alias = "XENMAPSPACE_shared_info")]
    SharedInfo,
    /// A page of the domain's grant table, by its number. The table grows as needed.
    #[doc(alias = "XENMAPSPACE_grant_table")]
    GrantTable(u32),
    /// A page of the status entries of the domain's grant table (version 2).
    #[doc(alias = "XENMAPIDX_grant_table_status")]
    GrantStatus(u32),
    /// A page of the domain's own, which moves from here.
    #[doc(alias = "XENMAPSPACE_gmfn")]
    Frame(Gfn),
    /// A page of another domain's. Takes power over both.
    #[doc(alias = "XENMAPSPACE_gmfn_foreign")]
    ForeignFrame(DomId, Gfn),
    /// A page of a device's memory, by its machine frame (Arm).
    #[doc(alias = "XENMAPSPACE_dev_mmio")]
    DeviceFrame(u64),
}

impl PageSource {
    /// The space, and whose that is if it is another domain's.
    fn space(self) -> (MapSpace, Option<DomId>) {
        match self {
            Self::SharedInfo => (MapSpace::SHARED_INFO, None),
            Self::GrantTable(_) | Self::GrantStatus(_) => (MapSpace::GRANT_TABLE, None),
            Self::Frame(_) => (MapSpace::GMFN, None),
            Self::ForeignFrame(domain, _) => (MapSpace::GMFN_FOREIGN, Some(domain)),
            Self::DeviceFrame(_) => (MapSpace::DEV_MMIO, None),
        }
    }

    /// Which page of the space.
    fn index(self) -> u64 {
        match self {
            Self::SharedInfo => 0,
            Self::GrantTable(page) => page.into(),
            Self::GrantStatus(page) => u64::from(page) | MAPIDX_GRANT_TABLE_STATUS,
            Self::Frame(frame) | Self::ForeignFrame(_, frame) => frame.get(),
            Self::DeviceFrame(frame) => frame,
        }
    }
}

impl DomainMemory<'_> {
    /// Puts a page to a place in the domain's memory. What lay there is freed, if it was ordinary memory.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if there is no such page; for PV
    /// domains, `EACCES` or `EINVAL`, which have no such places; [`Error::Unsupported`] for what another architecture has.
    #[doc(alias = "xc_domain_add_to_physmap")]
    #[doc(alias = "XENMEM_add_to_physmap")]
    pub fn add_page(&self, source: PageSource, at: Gfn) -> Result<(), Error> {
        let operation = "XENMEM_add_to_physmap";
        let domain = self.other(operation)?;
        let (space, foreign) = source.space();
        if foreign.is_some() {
            // only the batched form can do that
            let outcome = self.add_pages(&[(source, at)])?.pop().unwrap_or(Ok(()));
            return outcome.map_err(|source| Error::Refused { operation, domain: Some(self.id), source });
        }
        let add = AddToPhysmap { domain, space, count: 0, index: source.index(), at: at.get() };
        self.xen.call(Some(self.id), &add).map(drop)
    }

    /// Moves `count` frames of the domain's, from `first` on, to `at` and behind.
    ///
    /// # Errors
    ///
    /// As [`add_page`](Self::add_page). Those in front of the one that failed are moved then.
    #[doc(alias = "XENMAPSPACE_gmfn_range")]
    pub fn move_range(&self, first: Gfn, count: u16, at: Gfn) -> Result<(), Error> {
        let domain = self.other("XENMEM_add_to_physmap")?;
        let (index, at) = (first.get(), at.get());
        let add = AddToPhysmap { domain, space: MapSpace::GMFN_RANGE, count, index, at };
        self.xen.call(Some(self.id), &add).map(drop)
    }

    /// Puts pages to places in the domain's memory, each with its own result. One hypercall for each run of the same kind of source
    /// (and of the same foreign domain), up to 32768 pages.
    ///
    /// # Errors
    ///
    /// As [`add_page`](Self::add_page), if a hypercall as a whole is refused; those in front of it are done then.
    #[doc(alias = "xc_domain_add_to_physmap_batch")]
    #[doc(alias = "XENMEM_add_to_physmap_batch")]
    pub fn add_pages(&self, pages: &[(PageSource, Gfn)]) -> Result<Vec<io::Result<()>>, Error> {
        let domain = self.other("XENMEM_add_to_physmap_batch")?;
        let mut outcomes = Vec::with_capacity(pages.len());
        let runs = pages.chunk_by(|(one, _), (next, _)| one.space() == next.space());
        for run in runs.flat_map(|run| run.chunks(CHUNK)) {
            self.add_run(domain, run, &mut outcomes)?;
        }
        Ok(outcomes)
    }

    fn add_run(
        &self,
        domain: OtherDomain,
        run: &[(PageSource, Gfn)],
        outcomes: &mut Vec<io::Result<()>>,
    ) -> Result<(), Error> {
        let Some((source, _)) = run.first() else { return Ok(()) };
        let (space, foreign) = source.space();
        let call = self.xen.xencall();
        let indexes: Vec<u64> = run.iter().map(|(source, _)| source.index()).collect();
        let frames: Vec<Gfn> = run.iter().map(|&(_, at)| at).collect();
        let mut indexes = call.buffer_from(&indexes)?;
        let mut frames = call.buffer_from(&frames)?;
        let mut results = call.zeroed_buffer::<i32>(run.len())?;
        let batch = AddToPhysmapBatch {
            domain,
            space,
            foreign,
            indexes: indexes.lend(),
            frames: frames.lend(),
            results: results.lend(),
        };
        self.xen.call(Some(self.id), &batch)?;
        outcomes.extend(results.iter().map(|&result| match result {
            0 => Ok(()),
            result => Err(io::Error::from_raw_os_error(result.saturating_neg())),
        }));
        Ok(())
    }

    /// Takes away what lies at a place in the domain's memory. A page that belongs to the domain still does, and lies nowhere.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `ENOENT` or `EINVAL` if nothing is there.
    #[doc(alias = "XENMEM_remove_from_physmap")]
    pub fn remove_page(&self, at: Gfn) -> Result<(), Error> {
        let domain = self.other("XENMEM_remove_from_physmap")?;
        let remove = RemoveFromPhysmap { domain, frame: at.get() };
        self.xen.call(Some(self.id), &remove).map(drop)
    }
}
