//! Live patches.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// List the patches.
    LIVEPATCH_LIST = "XEN_SYSCTL_LIVEPATCH_LIST" = 2;
    /// Of a patch: loaded, and not applied.
    PATCH_CHECKED = "LIVEPATCH_STATE_CHECKED" = 1;
    /// Of a patch: applied.
    PATCH_APPLIED = "LIVEPATCH_STATE_APPLIED" = 2;
}

constants! { usize:
    /// The longest name of a patch, with its NUL.
    LIVEPATCH_NAME_SIZE = "XEN_LIVEPATCH_NAME_SIZE" = 128;
}

/// `struct xen_livepatch_status`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_livepatch_status")]
pub struct LivepatchStatus {
    /// `PATCH_*`
    pub state: u32,
    /// 0, or what the last operation on it gave: an error number, negative; `EAGAIN` while it goes on.
    pub rc: i32,
}
layout!(LivepatchStatus = "struct xen_livepatch_status", 8, state @ 0, rc @ 4);

/// `struct xen_sysctl_livepatch_list`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_livepatch_list")]
pub struct LivepatchListRecord {
    /// Answer: a number that changes when patches come and go.
    pub version: u32,
    /// The first patch that is asked for.
    pub idx: u32,
    /// How many; answer: how many come after those.
    pub nr: u32,
    /// Zero.
    pub pad: u32,
    /// The size of the memory for names (Xen 4.21+); answer: how much of it has been used.
    pub name_total_size: u32,
    /// The same for metadata.
    pub metadata_total_size: u32,
    /// Address of the states.
    pub status: u64,
    /// Address of the names.
    pub name: u64,
    /// Address of the names' lengths.
    pub len: u64,
    /// Address of the metadata.
    pub metadata: u64,
    /// Address of the metadata's lengths.
    pub metadata_len: u64,
}
layout!(
    LivepatchListRecord = "struct xen_sysctl_livepatch_list", 64,
    version @ 0, idx @ 4, nr @ 8, name_total_size @ 16, metadata_total_size @ 20, status @ 24, name @ 32, len @ 40,
    metadata @ 48, metadata_len @ 56,
);

/// `struct xen_sysctl_livepatch_op`, for the list.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_livepatch_op")]
pub struct LivepatchRecord {
    /// [`LIVEPATCH_LIST`]
    pub cmd: u32,
    /// Zero.
    pub pad: u32,
    /// What the list takes.
    pub list: LivepatchListRecord,
}
layout!(LivepatchRecord = "struct xen_sysctl_livepatch_op", 72, cmd @ 0, list("u.list") @ 8);

impl LivepatchRecord {
    fn list(list: LivepatchListRecord) -> Self {
        Self { cmd: LIVEPATCH_LIST, pad: 0, list }
    }
}

/// Tells how many patches there are.
#[derive(Clone, Copy, Debug)]
pub struct CountLivepatches;

// SAFETY: Xen writes nothing but the record for a list of no patches.
unsafe impl Sysctl for CountLivepatches {
    const COMMAND: Command = command!("XEN_SYSCTL_livepatch_op" = 27);
    type Record = LivepatchRecord;

    fn record(&self) -> LivepatchRecord {
        LivepatchRecord::list(LivepatchListRecord {
            version: 0,
            idx: 0,
            nr: 0,
            pad: 0,
            name_total_size: 0,
            metadata_total_size: 0,
            status: 0,
            name: 0,
            len: 0,
            metadata: 0,
            metadata_len: 0,
        })
    }
}

/// What is told of one patch.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LivepatchEntry {
    /// Its state.
    pub status: LivepatchStatus,
    /// How long its name is, with the NUL.
    pub name_length: u32,
    /// How long its metadata is.
    pub metadata_length: u32,
    /// Its name.
    pub name: [u8; LIVEPATCH_NAME_SIZE],
    /// Its metadata: strings, each with a NUL.
    pub metadata: [u8; LivepatchEntry::METADATA_SIZE],
}

impl LivepatchEntry {
    /// More than the metadata of any patch: Xen takes no patch of more than 2 MiB.
    pub const METADATA_SIZE: usize = 2 << 20;
}

impl core::fmt::Debug for LivepatchEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LivepatchEntry").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Tells of one patch.
///
/// One at a time, because hypervisors before Xen 4.21 are not told how much memory there is for names and metadata: they write
/// whatever there is then.
#[derive(Debug)]
pub struct GetLivepatch<'a> {
    index: u32,
    into: GuestMemory<'a>,
}

impl<'a> GetLivepatch<'a> {
    /// Patch number `index`, told to `into`, which is a [`LivepatchEntry`]. `None` if there is not enough room for one.
    #[must_use]
    pub fn new(index: u32, into: GuestMemory<'a>) -> Option<Self> {
        (into.len() >= size_of::<LivepatchEntry>()).then_some(Self { index, into })
    }
}

/// The address of a field of the entry.
macro_rules! address {
    ($into:expr, $field:ident) => {
        $into.address() + core::mem::offset_of!(LivepatchEntry, $field) as u64
    };
}

// SAFETY: for one patch, Xen writes a status, two lengths, a name of at most `LIVEPATCH_NAME_SIZE` bytes and metadata, which is a
// part of a patch, so at most 2 MiB; the memory has room for all that.
unsafe impl Sysctl for GetLivepatch<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_livepatch_op" = 27);
    type Record = LivepatchRecord;

    fn record(&self) -> LivepatchRecord {
        const { assert!(LivepatchEntry::METADATA_SIZE <= u32::MAX as usize) };
        LivepatchRecord::list(LivepatchListRecord {
            version: 0,
            idx: self.index,
            nr: 1,
            pad: 0,
            name_total_size: 128,
            metadata_total_size: 2 << 20,
            status: address!(self.into, status),
            name: address!(self.into, name),
            len: address!(self.into, name_length),
            metadata: address!(self.into, metadata),
            metadata_len: address!(self.into, metadata_length),
        })
    }
}
