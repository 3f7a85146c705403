//! Single pages of a domain: what kind they are, whether caches and books agree with them.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::{Domctl, domctl};
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u64:
    /// No page table.
    PFINFO_NOTAB = "XEN_DOMCTL_PFINFO_NOTAB" = 0;
    /// A page table of level 1.
    PFINFO_L1TAB = "XEN_DOMCTL_PFINFO_L1TAB" = 1 << 28;
    /// A page table of level 2.
    PFINFO_L2TAB = "XEN_DOMCTL_PFINFO_L2TAB" = 2 << 28;
    /// A page table of level 3.
    PFINFO_L3TAB = "XEN_DOMCTL_PFINFO_L3TAB" = 3 << 28;
    /// A page table of level 4.
    PFINFO_L4TAB = "XEN_DOMCTL_PFINFO_L4TAB" = 4 << 28;
    /// Which of these bits give the level.
    PFINFO_LTABTYPE_MASK = "XEN_DOMCTL_PFINFO_LTABTYPE_MASK" = 7 << 28;
    /// The page table is pinned.
    PFINFO_LPINTAB = "XEN_DOMCTL_PFINFO_LPINTAB" = 1 << 31;
    /// A broken page.
    PFINFO_BROKEN = "XEN_DOMCTL_PFINFO_BROKEN" = 0xd << 28;
    /// A page that is there but has no content.
    PFINFO_XALLOC = "XEN_DOMCTL_PFINFO_XALLOC" = 0xe << 28;
    /// No page.
    PFINFO_XTAB = "XEN_DOMCTL_PFINFO_XTAB" = 0xf << 28;
    /// All bits that mean something.
    PFINFO_LTAB_MASK = "XEN_DOMCTL_PFINFO_LTAB_MASK" = 0xf << 28;
}

/// `struct xen_domctl_getpageframeinfo3`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_getpageframeinfo3")]
pub struct GetPageFrameInfo3Record {
    /// How many; at most 1024. Xen counts it down as it goes on.
    pub num: u64,
    /// Address of the list.
    pub array: u64,
}
layout!(GetPageFrameInfo3Record = "struct xen_domctl_getpageframeinfo3", 16, num @ 0, array @ 8);

/// Asks what kind pages are, of which there is a list; Xen writes `PFINFO_*` over it. x86 only.
#[derive(Debug)]
pub struct GetPageFrameInfo3<'a>(
    /// The list of frames, 8 bytes each.
    pub GuestMemory<'a>,
);

// SAFETY: Xen reads and writes the list, as many entries as the memory has room for.
unsafe impl Domctl for GetPageFrameInfo3<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_getpageframeinfo3" = 61);
    type Record = GetPageFrameInfo3Record;

    fn record(&self) -> GetPageFrameInfo3Record {
        GetPageFrameInfo3Record { num: (self.0.len() / size_of::<u64>()) as u64, array: self.0.address() }
    }
}

/// `struct xen_domctl_audit_p2m`: how far the books of a domain's memory disagree. Only in hypervisors for debugging, x86 only.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_audit_p2m")]
pub struct AuditP2m {
    /// Answer: pages that belong to the domain but are nowhere in its memory.
    pub orphans: u64,
    /// Answer: machine frames whose entry names another frame of the domain's.
    pub m2p_bad: u64,
    /// Answer: frames of the domain's whose machine frame does not name them.
    pub p2m_bad: u64,
}
layout!(AuditP2m = "struct xen_domctl_audit_p2m", 24, orphans @ 0, m2p_bad @ 8, p2m_bad @ 16);
domctl!(AuditP2m, "XEN_DOMCTL_audit_p2m" = 65);

/// `struct xen_domctl_set_broken_page_p2m`: marks a page whose memory is faulty. x86 only.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_set_broken_page_p2m")]
pub struct SetBrokenPage {
    /// Which of the domain's frames.
    pub pfn: u64,
}
layout!(SetBrokenPage = "struct xen_domctl_set_broken_page_p2m", 8, pfn @ 0);
domctl!(SetBrokenPage, "XEN_DOMCTL_set_broken_page_p2m" = 67);

/// `struct xen_domctl_cacheflush`: writes what caches hold of a domain's frames to memory. Arm only.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_cacheflush")]
pub struct CacheFlush {
    /// The first frame. Xen moves it on as it goes on.
    pub start_pfn: u64,
    /// How many.
    pub nr_pfns: u64,
}
layout!(CacheFlush = "struct xen_domctl_cacheflush", 16, start_pfn @ 0, nr_pfns @ 8);
domctl!(CacheFlush, "XEN_DOMCTL_cacheflush" = 71);
