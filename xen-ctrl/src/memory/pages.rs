//! Single pages of a domain.

use xen_foreignmem::ForeignMemory;
use xen_sys::xen_public::domctl::{AuditP2m, CacheFlush, GetPageFrameInfo3, SetBrokenPage};
use xen_sys::xen_public::domctl::{
    PFINFO_BROKEN, PFINFO_L1TAB, PFINFO_LPINTAB, PFINFO_LTAB_MASK, PFINFO_LTABTYPE_MASK, PFINFO_XALLOC,
    PFINFO_XTAB,
};
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::{Gfn, PAGE_SIZE};

use super::DomainMemory;
use crate::Error;
use crate::domain::DomainFlags;

/// What kind of page a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PageType {
    /// An ordinary page.
    #[doc(alias = "XEN_DOMCTL_PFINFO_NOTAB")]
    Normal,
    /// A page table of a PV domain's.
    #[doc(alias = "XEN_DOMCTL_PFINFO_L1TAB")]
    #[doc(alias = "XEN_DOMCTL_PFINFO_L2TAB")]
    #[doc(alias = "XEN_DOMCTL_PFINFO_L3TAB")]
    #[doc(alias = "XEN_DOMCTL_PFINFO_L4TAB")]
    PageTable {
        /// Its level: 1 for those whose entries are ordinary pages, up to 4.
        level: u8,
        /// Whether it stays a page table when none uses it.
        pinned: bool,
    },
    /// A page that is there but has no content.
    #[doc(alias = "XEN_DOMCTL_PFINFO_XALLOC")]
    Empty,
    /// A page whose memory is faulty.
    #[doc(alias = "XEN_DOMCTL_PFINFO_BROKEN")]
    Broken,
    /// None.
    #[doc(alias = "XEN_DOMCTL_PFINFO_XTAB")]
    Missing,
}

impl PageType {
    /// Reads what Xen wrote. The higher values of the level stand for what is no page table.
    fn from_bits(bits: u64) -> Self {
        match bits & PFINFO_LTAB_MASK {
            PFINFO_XTAB => Self::Missing,
            PFINFO_XALLOC => Self::Empty,
            PFINFO_BROKEN => Self::Broken,
            bits => match u8::try_from((bits & PFINFO_LTABTYPE_MASK) / PFINFO_L1TAB) {
                Ok(level @ 1..) => Self::PageTable { level, pinned: bits & PFINFO_LPINTAB != 0 },
                _ => Self::Normal,
            },
        }
    }
}

/// How far the books of a domain's memory disagree, in frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// Pages that belong to the domain and are nowhere in its memory.
    pub orphans: u64,
    /// Machine frames whose entry names another frame of the domain's.
    pub wrong_in_m2p: u64,
    /// Frames of the domain's whose machine frame does not name them.
    pub wrong_in_p2m: u64,
}

impl DomainMemory<'_> {
    /// What kind of page each of these frames is. One hypercall for every 1024. x86.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_get_pfn_type_batch")]
    #[doc(alias = "XEN_DOMCTL_getpageframeinfo3")]
    pub fn page_types(&self, frames: &[Gfn]) -> Result<Vec<PageType>, Error> {
        /// Xen takes no more at a time.
        const BATCH: usize = 1024;
        let mut types = Vec::with_capacity(frames.len());
        for chunk in frames.chunks(BATCH) {
            let mut list = self.xen.xencall().buffer_from(chunk)?;
            self.xen.domctl(self.id, &GetPageFrameInfo3(list.lend()))?;
            types.extend(list.iter().map(|bits| PageType::from_bits(bits.get())));
        }
        Ok(types)
    }

    /// Overwrites a page of the domain's.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the frame cannot be mapped for writing; as [`flush_caches`](Self::flush_caches).
    #[doc(alias = "xc_copy_to_domain_page")]
    pub fn write_page(
        &self,
        foreign: &ForeignMemory,
        frame: Gfn,
        content: &[u8; PAGE_SIZE],
    ) -> Result<(), Error> {
        let page = foreign.map(self.id, &[frame])?;
        page.copy_from_slice(0, content).map_err(xen_foreignmem::Error::from)?;
        self.flush_caches(frame, 1)
    }

    /// Sets pages of the domain's to zero, `count` from `first` on.
    ///
    /// # Errors
    ///
    /// As [`write_page`](Self::write_page). Those in front of the one that failed may be zero then.
    #[doc(alias = "xc_clear_domain_pages")]
    #[doc(alias = "xc_clear_domain_page")]
    pub fn clear_pages(&self, foreign: &ForeignMemory, first: Gfn, count: u64) -> Result<(), Error> {
        /// 4 MiB at a time, so that large ranges need no large tables.
        const BATCH: u64 = 1024;
        let end = first.get().saturating_add(count);
        for start in (first.get()..end).step_by(1024) {
            let size = BATCH.min(end - start);
            let pages =
                foreign.map_range(self.id, Gfn::new(start), usize::try_from(size).unwrap_or(usize::MAX))?;
            pages.fill(0, pages.len(), 0).map_err(xen_foreignmem::Error::from)?;
        }
        self.flush_caches(first, count)
    }

    /// Writes what caches hold of the domain's frames to memory, so that the domain sees it with its caches off. On x86, caches do
    /// not differ from memory, and nothing is done.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if there are no such frames.
    #[doc(alias = "xc_domain_cacheflush")]
    #[doc(alias = "XEN_DOMCTL_cacheflush")]
    pub fn flush_caches(&self, first: Gfn, count: u64) -> Result<(), Error> {
        /// Xen takes no more than four times this at a time.
        const BATCH: u64 = 1 << 16;
        if cfg!(target_arch = "x86_64") {
            return Ok(());
        }
        let mut start = first.get();
        let mut rest = count;
        while rest > 0 {
            let size = rest.min(BATCH);
            self.xen.domctl(self.id, &CacheFlush { start_pfn: start, nr_pfns: size })?;
            start = start.saturating_add(size);
            rest -= size;
        }
        Ok(())
    }

    /// Marks a page of an HVM or PVH domain's whose memory is faulty: the domain crashes if it uses that. x86.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if it has no such page, or is a PV domain;
    /// [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_set_broken_page_p2m")]
    #[doc(alias = "XEN_DOMCTL_set_broken_page_p2m")]
    pub fn mark_broken(&self, frame: Gfn) -> Result<(), Error> {
        // not every hypervisor asks before it changes what a PV domain does not have
        if !self.xen.domain(self.id).info()?.flags.contains(DomainFlags::HVM_GUEST) {
            return Err(self.refused("XEN_DOMCTL_set_broken_page_p2m", EINVAL));
        }
        self.xen.domctl(self.id, &SetBrokenPage { pfn: frame.get() }).map(drop)
    }

    /// Checks the books that Xen keeps of the memory of an HVM or PVH domain. x86, hypervisors that were built for debugging.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] elsewhere.
    #[doc(alias = "xc_domain_p2m_audit")]
    #[doc(alias = "XEN_DOMCTL_audit_p2m")]
    pub fn audit(&self) -> Result<Audit, Error> {
        let record = self.xen.domctl(self.id, &AuditP2m::default())?;
        Ok(Audit { orphans: record.orphans, wrong_in_m2p: record.m2p_bad, wrong_in_p2m: record.p2m_bad })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xen_writes_is_understood() {
        for (bits, kind) in [
            (0, PageType::Normal),
            (1 << 28, PageType::PageTable { level: 1, pinned: false }),
            (4 << 28, PageType::PageTable { level: 4, pinned: false }),
            (0xc << 28, PageType::PageTable { level: 4, pinned: true }),
            (9 << 28 | 0xfff, PageType::PageTable { level: 1, pinned: true }),
            (0xd << 28, PageType::Broken),
            (0xe << 28, PageType::Empty),
            (0xf << 28, PageType::Missing),
        ] {
            assert_eq!(PageType::from_bits(bits), kind, "{bits:#x}");
        }
    }
}
