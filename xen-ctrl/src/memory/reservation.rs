//! More memory, less, or other memory.

use std::io;

use xen_call::{Answer, Attempt};
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::xen_public::memory::{
    ClaimPages, DecreaseReservation, Exchange, Extents, IncreaseReservation, MEMF_EXACT_NODE_REQUEST,
    MEMF_POPULATE_ON_DEMAND, MEMF_VNODE, PopulatePhysmap, memf_node,
};
use xen_sys::{Gfn, OtherDomain};

use super::DomainMemory;
use crate::Error;

/// How many extents one hypercall takes: their list has 1 MiB. Xen would take 2^26.
const CHUNK: usize = 1 << 17;

/// What kind of memory a domain gets. The default: single frames from anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocation {
    /// The size of each extent is 2 to the power of this, in frames; it begins at a multiple of its size. On x86: 0, 9 (2 MiB)
    /// and 18 (1 GiB).
    pub order: u32,
    /// How many bits the machine addresses may have.
    pub address_bits: Option<u8>,
    /// From which NUMA node.
    pub node: NodeChoice,
    /// Memory need not be there before the domain uses it (HVM and PVH on x86).
    #[doc(alias = "XENMEMF_populate_on_demand")]
    pub on_demand: bool,
}

/// From which NUMA node memory is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeChoice {
    /// As Xen finds best.
    #[default]
    Any,
    /// From this one, if it has some.
    Prefer(u8),
    /// From this one or not at all.
    Only(u8),
    /// From where this node of the domain's own lies.
    Virtual(u8),
}

impl Allocation {
    /// Extents of 2 to the power of `order` frames.
    #[must_use]
    pub fn of_order(order: u32) -> Self {
        Self { order, ..Self::default() }
    }

    fn flags(self) -> u32 {
        let node = match self.node {
            NodeChoice::Any => 0,
            NodeChoice::Prefer(node) => memf_node(node),
            NodeChoice::Only(node) => memf_node(node) | MEMF_EXACT_NODE_REQUEST,
            NodeChoice::Virtual(node) => memf_node(node) | MEMF_VNODE,
        };
        let on_demand = if self.on_demand { MEMF_POPULATE_ON_DEMAND } else { 0 };
        u32::from(self.address_bits.unwrap_or(0)) | node | on_demand
    }
}

impl DomainMemory<'_> {
    /// Gives the domain memory at `places`, the first frame of each extent in the domain's own numbering. One hypercall for every
    /// 131072 extents.
    ///
    /// Gives back the extents that the domain got, from the first on, by the frames that others know them by: in a PV domain, where
    /// these are machine frames; else `places` again. **Fewer than asked for** if the host has no more, the domain may have
    /// no more ([`set_max_memory`](crate::Domain::set_max_memory)), a place cannot have memory, or there is no memory for its page
    /// tables: on Arm, a new domain has none ([`set_paging_memory`](crate::Domain::set_paging_memory)). Xen does not tell which.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`], [`Error::Call`]. What an earlier hypercall of several gave, stays then.
    #[doc(alias = "xc_domain_populate_physmap")]
    #[doc(alias = "XENMEM_populate_physmap")]
    pub fn populate(&self, places: &[Gfn], how: Allocation) -> Result<Vec<Gfn>, Error> {
        let domain = self.other("XENMEM_populate_physmap")?;
        self.each_chunk(domain, places, how, |extents| {
            self.xen.call(Some(self.id), &PopulatePhysmap(extents))
        })
    }

    /// Gives the domain memory at all `places`, or at none; see [`populate`](Self::populate).
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`]: there was not enough, and what the domain had got is taken back. As [`populate`](Self::populate).
    #[doc(alias = "xc_domain_populate_physmap_exact")]
    pub fn populate_exact(&self, places: &[Gfn], how: Allocation) -> Result<Vec<Gfn>, Error> {
        let got = self.populate(places, how)?;
        self.all_or_none("XENMEM_populate_physmap", got, places.len(), how)
    }

    /// Gives the domain `count` extents of memory that are nowhere in its own numbering. For PV domains: others cannot reach it.
    ///
    /// Gives back the machine frames; fewer than asked for as with [`populate`](Self::populate).
    ///
    /// # Errors
    ///
    /// As [`populate`](Self::populate).
    #[doc(alias = "xc_domain_increase_reservation")]
    #[doc(alias = "XENMEM_increase_reservation")]
    pub fn increase(&self, count: usize, how: Allocation) -> Result<Vec<Gfn>, Error> {
        let domain = self.other("XENMEM_increase_reservation")?;
        let places = vec![Gfn::default(); count];
        self.each_chunk(domain, &places, how, |extents| {
            self.xen.call(Some(self.id), &IncreaseReservation(extents))
        })
    }

    /// Gives the domain all `count` extents, or none; see [`increase`](Self::increase).
    ///
    /// # Errors
    ///
    /// As [`populate_exact`](Self::populate_exact).
    #[doc(alias = "xc_domain_increase_reservation_exact")]
    pub fn increase_exact(&self, count: usize, how: Allocation) -> Result<Vec<Gfn>, Error> {
        let got = self.increase(count, how)?;
        self.all_or_none("XENMEM_increase_reservation", got, count, how)
    }

    /// Takes memory from the domain: extents of 2 to the power of `order` frames, by their first frames.
    ///
    /// Gives back how many extents it lost, from the first on: fewer than asked for if one of them it did not have. Memory
    /// that others have mapped is freed when they unmap it.
    ///
    /// # Errors
    ///
    /// As [`populate`](Self::populate).
    #[doc(alias = "xc_domain_decrease_reservation")]
    #[doc(alias = "XENMEM_decrease_reservation")]
    pub fn decrease(&self, frames: &[Gfn], order: u32) -> Result<usize, Error> {
        let domain = self.other("XENMEM_decrease_reservation")?;
        let how = Allocation::of_order(order);
        let lost = self.each_chunk(domain, frames, how, |extents| {
            self.xen.call(Some(self.id), &DecreaseReservation(extents))
        })?;
        Ok(lost.len())
    }

    /// Takes all these extents from the domain; see [`decrease`](Self::decrease).
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`]: the first ones are gone, the one behind them is not the domain's. As [`populate`](Self::populate).
    #[doc(alias = "xc_domain_decrease_reservation_exact")]
    pub fn decrease_exact(&self, frames: &[Gfn], order: u32) -> Result<(), Error> {
        let done = self.decrease(frames, order)?;
        if done == frames.len() {
            return Ok(());
        }
        Err(self.incomplete("XENMEM_decrease_reservation", done, frames.len()))
    }

    /// Gives a PV domain a frame below 4 GiB for one of its own, and gives back which. Its content is lost, and its tables do not
    /// know of it yet. If there is none, the domain has lost the old one nevertheless.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if it had no such frame, or there is none below 4 GiB. As [`populate`](Self::populate).
    #[doc(alias = "xc_make_page_below_4G")]
    pub fn move_below_4g(&self, frame: Gfn) -> Result<Gfn, Error> {
        self.decrease_exact(&[frame], 0)?;
        let low = Allocation { address_bits: Some(32), ..Allocation::default() };
        let got = self.increase_exact(1, low)?;
        got.first().copied().ok_or_else(|| self.incomplete("XENMEM_increase_reservation", 0, 1))
    }

    /// Sets memory aside, so that the domain is sure to get it: it is to have `pages` of 4 KiB altogether. 0 ends that, as does the
    /// last of these pages.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `ENOMEM` if the host has not so much; with `EINVAL` if there is no such domain, it
    /// has so much already, may not have so much, or is dying.
    #[doc(alias = "xc_domain_claim_pages")]
    #[doc(alias = "XENMEM_claim_pages")]
    pub fn claim(&self, pages: u64) -> Result<(), Error> {
        self.xen.call(Some(self.id), &ClaimPages { domain: self.id, pages }).map(drop)
    }

    /// Gives a PV domain other memory for memory of its own, to get it contiguous, or at low addresses: large extents for many small
    /// ones, or the other way round. The content is lost.
    ///
    /// `given` are machine frames, the first of each extent of 2 to the power of `order` frames. `places` are where the new extents
    /// are in the domain's own numbering, each as large as `how` says; their machine frames are written there. The domain's tables
    /// do not know of them yet. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if only the first `done` of the given extents were exchanged, and why: the first of `places`, as many as
    /// make up for those, are machine frames then, and the others are as they were. If none was: [`Error::NoSuchDomain`],
    /// [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if the sizes differ or the domain has no such frames; with `ENOMEM`; with
    /// `EPERM` for too large ones; [`Error::Unsupported`] if this hypervisor does not exchange memory of that domain.
    #[doc(alias = "xc_domain_memory_exchange_pages")]
    #[doc(alias = "XENMEM_exchange")]
    pub fn exchange(
        &self,
        given: &[Gfn],
        order: u32,
        places: &mut [Gfn],
        how: Allocation,
    ) -> Result<(), Error> {
        let operation = "XENMEM_exchange";
        let domain = self.other(operation)?;
        let size =
            |count: usize, order: u32| 1_usize.checked_shl(order).and_then(|one| one.checked_mul(count));
        if size(given.len(), order) != size(places.len(), how.order) {
            return Err(self.refused(operation, EINVAL));
        }
        let asked = given.len();
        let mut given = self.xen.xencall().buffer_from(given)?;
        let mut taken = self.xen.xencall().buffer_from(places)?;
        let extents = |frames, order, flags| Extents { domain, frames, order, flags };
        let exchange = Exchange {
            given: extents(given.lend(), order, 0),
            taken: extents(taken.lend(), how.order, how.flags()),
        };
        let Attempt { result, record } = self.xen.attempt(Some(self.id), &exchange)?;
        places.copy_from_slice(&taken);
        let done = usize::try_from(record.nr_exchanged).unwrap_or(usize::MAX).min(asked);
        match result {
            Err(error) if done > 0 => {
                let source = error.errno().map(io::Error::from_raw_os_error);
                Err(Error::Incomplete { operation, domain: Some(self.id), done, asked, source })
            }
            result => result.map(drop),
        }
    }

    /// Issues an operation on a list of extents, part by part, until it is done or there is no more. Gives back the part of the
    /// list that is done, as Xen left it.
    fn each_chunk<R>(
        &self,
        domain: OtherDomain,
        frames: &[Gfn],
        how: Allocation,
        issue: impl Fn(Extents<'_>) -> Result<Answer<R>, Error>,
    ) -> Result<Vec<Gfn>, Error> {
        let mut done = Vec::new();
        for chunk in frames.chunks(CHUNK) {
            let mut list = self.xen.xencall().buffer_from(chunk)?;
            let extents = Extents { domain, frames: list.lend(), order: how.order, flags: how.flags() };
            let count = usize::try_from(issue(extents)?.value).unwrap_or(usize::MAX).min(chunk.len());
            done.extend_from_slice(&list[..count]);
            if count < chunk.len() {
                break;
            }
        }
        if done.is_empty() && !frames.is_empty() {
            // Xen says "none" for a domain that is not there, too
            self.pages()?;
        }
        Ok(done)
    }

    fn all_or_none(
        &self,
        operation: &'static str,
        got: Vec<Gfn>,
        asked: usize,
        how: Allocation,
    ) -> Result<Vec<Gfn>, Error> {
        if got.len() == asked {
            return Ok(got);
        }
        self.decrease_exact(&got, how.order)?;
        Err(self.incomplete(operation, got.len(), asked))
    }

    fn incomplete(&self, operation: &'static str, done: usize, asked: usize) -> Error {
        Error::Incomplete { operation, domain: Some(self.id), done, asked, source: None }
    }
}
