//! Taking pages of the host's memory out of use, because they are broken or about to be.

use std::io;
use std::ops::Range;

use bitflags::bitflags;
use xen_call::HypercallBuffer;
use xen_sys::xen_public::operation::Command;
use xen_sys::xen_public::sysctl::{self, PageOffline, Sysctl};

use super::Host;
use crate::{DomId, Error, Mfn};

/// How many pages one hypercall deals with: Xen allocates memory for the outcomes.
const BATCH: u64 = 1024;

/// What came of taking a page out of use, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PageResult {
    /// It is done.
    Done,
    /// It will be done once the page's owner frees it.
    Pending,
    /// It cannot be done.
    Failed,
    /// Somebody else was using the page right now: try again.
    Again,
    /// Xen has not dealt with the page.
    Untouched,
}

bitflags! {
    /// What kind of page it is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PageKind: u32 {
        /// It belongs to Xen itself.
        const XEN = sysctl::PAGE_XENPAGE;
        /// It belongs to dom0.
        const DOM0 = sysctl::PAGE_DOM0PAGE;
        /// It belongs to nobody.
        const ANONYMOUS = sysctl::PAGE_ANONYMOUS;
        /// It is no ordinary memory.
        const NOT_MEMORY = sysctl::PAGE_NOT_CONV_RAM;
        /// It belongs to a domain.
        const OWNED = sysctl::PAGE_OWNED;
        /// It is broken.
        const BROKEN = sysctl::PAGE_BROKEN;
    }
}

bitflags! {
    /// Whether a page is out of use; empty for an ordinary one.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct PageState: u32 {
        /// It is out of use.
        const OFFLINE = sysctl::PAGE_STATUS_OFFLINED;
        /// It will be out of use once its owner frees it.
        const PENDING = sysctl::PAGE_STATUS_PENDING;
        /// It is broken.
        const BROKEN = sysctl::PAGE_STATUS_BROKEN;
    }
}

/// What came of taking a page out of use, or back, and what page it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PageOutcome {
    /// What came of it.
    pub result: PageResult,
    /// What kind of page it is, as far as that matters for the result.
    pub kind: PageKind,
    /// The domain that it belongs to, if it is [`PageKind::OWNED`] by an ordinary one.
    pub owner: Option<DomId>,
}

impl PageOutcome {
    fn from_status(status: u32) -> Self {
        let result = match status {
            _ if status & sysctl::PAGE_INVALID != 0 => PageResult::Untouched,
            _ if status & sysctl::PAGE_FAILED != 0 => PageResult::Failed,
            _ if status & sysctl::PAGE_AGAIN != 0 => PageResult::Again,
            _ if status & sysctl::PAGE_PENDING != 0 => PageResult::Pending,
            _ => PageResult::Done,
        };
        let kind = PageKind::from_bits_truncate(status);
        let owner = u16::try_from(status >> sysctl::PAGE_OWNER_SHIFT).ok().and_then(DomId::new);
        Self { result, kind, owner: owner.filter(|_| kind.contains(PageKind::OWNED)) }
    }
}

impl Host<'_> {
    /// Takes pages out of use. A page that somebody uses stays until he frees it. One hypercall for every 1024 pages.
    ///
    /// **Hypervisors do not survive this with all pages.** With those of a PV domain, and so of most dom0s on x86, Xen 4.17 and 4.20 keep
    /// a lock for ever, and the host hangs at the next operation. With free pages out of a large free piece, Xen 4.14 and 4.17
    /// panic when they free memory next to them; 4.20 does not.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], also for pages where Xen's own image lies; [`Error::Refused`] with `EINVAL` for frames that are not there;
    /// pages in front of such have been dealt with.
    #[doc(alias = "xc_mark_page_offline")]
    #[doc(alias = "XEN_SYSCTL_page_offline_op")]
    pub fn offline_pages(&self, frames: Range<Mfn>) -> Result<Vec<PageOutcome>, Error> {
        self.page_operation(sysctl::PAGE_OFFLINE, &frames, PageOutcome::from_status)
    }

    /// Takes pages back into use. One hypercall for every 1024 pages.
    ///
    /// # Errors
    ///
    /// As [`offline_pages`](Self::offline_pages).
    #[doc(alias = "xc_mark_page_online")]
    #[doc(alias = "XEN_SYSCTL_page_offline_op")]
    pub fn online_pages(&self, frames: Range<Mfn>) -> Result<Vec<PageOutcome>, Error> {
        self.page_operation(sysctl::PAGE_ONLINE, &frames, PageOutcome::from_status)
    }

    /// Which pages are out of use. One hypercall for every 1024 pages.
    ///
    /// # Errors
    ///
    /// As [`offline_pages`](Self::offline_pages).
    #[doc(alias = "xc_query_page_offline_status")]
    #[doc(alias = "XEN_SYSCTL_page_offline_op")]
    pub fn page_states(&self, frames: Range<Mfn>) -> Result<Vec<PageState>, Error> {
        self.page_operation(sysctl::QUERY_PAGE_OFFLINE, &frames, PageState::from_bits_truncate)
    }

    fn page_operation<T>(
        self,
        command: u32,
        frames: &Range<Mfn>,
        decode: impl Fn(u32) -> T,
    ) -> Result<Vec<T>, Error> {
        let (mut start, end) = (frames.start.get(), frames.end.get());
        let mut outcomes = Vec::new();
        while start < end {
            let count = BATCH.min(end - start);
            outcomes.extend(self.page_batch(command, start, count)?.iter().copied().map(&decode));
            start += count;
        }
        Ok(outcomes)
    }

    fn page_batch(self, command: u32, start: u64, count: u64) -> Result<HypercallBuffer<[u32]>, Error> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut outcomes = self.xen.xencall().zeroed_buffer(count)?;
        outcomes.fill(sysctl::PAGE_INVALID);
        let operation =
            u32::try_from(start).ok().and_then(|start| PageOffline::new(command, start, outcomes.lend()));
        self.xen.sysctl(&operation.ok_or_else(too_high)?)?;
        Ok(outcomes)
    }
}

/// Xen's interface has 32 bits for the number of a frame.
fn too_high() -> Error {
    let Command { name, .. } = PageOffline::COMMAND;
    let source =
        io::Error::new(io::ErrorKind::InvalidInput, "frames from 2^32 on cannot be named in this operation");
    Error::Refused { operation: name, domain: None, source }
}
