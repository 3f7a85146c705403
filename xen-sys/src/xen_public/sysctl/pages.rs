//! Taking pages of the host's memory out of use.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Take out of use.
    PAGE_OFFLINE = "sysctl_page_offline" = 1;
    /// Take back into use.
    PAGE_ONLINE = "sysctl_page_online" = 2;
    /// Ask.
    QUERY_PAGE_OFFLINE = "sysctl_query_page_offline" = 3;

    /// Of an outcome: Xen has not dealt with the page.
    PAGE_INVALID = "PG_OFFLINE_INVALID" = 1 << 0;
    /// Of an outcome: out of use; after `PAGE_ONLINE`, in use.
    PAGE_DONE = "PG_OFFLINE_OFFLINED" = 1 << 1;
    /// Of an outcome: it will be out of use once its owner frees it.
    PAGE_PENDING = "PG_OFFLINE_PENDING" = 1 << 2;
    /// Of an outcome: it did not work.
    PAGE_FAILED = "PG_OFFLINE_FAILED" = 1 << 3;
    /// Of an outcome: to be tried again.
    PAGE_AGAIN = "PG_OFFLINE_AGAIN" = 1 << 4;
    /// Of an outcome: a page of Xen itself.
    PAGE_XENPAGE = "PG_OFFLINE_XENPAGE" = 1 << 8;
    /// Of an outcome: a page of dom0.
    PAGE_DOM0PAGE = "PG_OFFLINE_DOM0PAGE" = 1 << 9;
    /// Of an outcome: a page that nobody owns.
    PAGE_ANONYMOUS = "PG_OFFLINE_ANONYMOUS" = 1 << 10;
    /// Of an outcome: no ordinary memory.
    PAGE_NOT_CONV_RAM = "PG_OFFLINE_NOT_CONV_RAM" = 1 << 11;
    /// Of an outcome: the upper half is the number of the domain that owns it.
    PAGE_OWNED = "PG_OFFLINE_OWNED" = 1 << 12;
    /// Of an outcome: the page is broken.
    PAGE_BROKEN = "PG_OFFLINE_BROKEN" = 1 << 13;
    /// Where the owner begins in an outcome.
    PAGE_OWNER_SHIFT = "PG_OFFLINE_OWNER_SHIFT" = 16;

    /// Of a state: out of use.
    PAGE_STATUS_OFFLINED = "PG_OFFLINE_STATUS_OFFLINED" = 1 << 1;
    /// Of a state: in use.
    PAGE_STATUS_ONLINE = "PG_OFFLINE_STATUS_ONLINE" = 1 << 2;
    /// Of a state: it will be out of use once its owner frees it.
    PAGE_STATUS_PENDING = "PG_OFFLINE_STATUS_OFFLINE_PENDING" = 1 << 3;
    /// Of a state: broken.
    PAGE_STATUS_BROKEN = "PG_OFFLINE_STATUS_BROKEN" = 1 << 4;
}

/// `struct xen_sysctl_page_offline_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_page_offline_op")]
pub struct PageOfflineRecord {
    /// [`PAGE_OFFLINE`], [`PAGE_ONLINE`] or [`QUERY_PAGE_OFFLINE`].
    pub cmd: u32,
    /// The first frame.
    pub start: u32,
    /// The last frame.
    pub end: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the outcomes, a `u32` for each page.
    pub status: u64,
}
layout!(PageOfflineRecord = "struct xen_sysctl_page_offline_op", 24, cmd @ 0, start @ 4, end @ 8, status @ 16);

/// Takes pages out of use, or back, or asks for their state.
#[derive(Debug)]
pub struct PageOffline<'a> {
    command: u32,
    start: u32,
    end: u32,
    into: GuestMemory<'a>,
}

impl<'a> PageOffline<'a> {
    /// Deals with the frames from `start` on, as many as `into` has room for outcomes, a `u32` each. `None` if there is room for
    /// none, or the frames' numbers would exceed 32 bits.
    #[must_use]
    pub fn new(command: u32, start: u32, into: GuestMemory<'a>) -> Option<Self> {
        let end = start.checked_add(into.room::<u32>().checked_sub(1)?)?;
        Some(Self { command, start, end, into })
    }
}

// SAFETY: Xen writes an outcome for each of the frames, as many as the memory has room for.
unsafe impl Sysctl for PageOffline<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_page_offline_op" = 14);
    type Record = PageOfflineRecord;

    fn record(&self) -> PageOfflineRecord {
        PageOfflineRecord {
            cmd: self.command,
            start: self.start,
            end: self.end,
            pad: 0,
            status: self.into.address(),
        }
    }
}
