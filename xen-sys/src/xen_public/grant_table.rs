//! `xen/include/public/grant_table.h`
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::{GuestMemory, HypercallNumber, Operation};
use super::{constants, layout};
use crate::DomId;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How one grant operation ended (`GNTST_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
#[doc(alias = "GNTST")]
pub struct GrantStatus(i16);
layout!(GrantStatus = "struct gnttab_copy.status", 2);

constants! { impl GrantStatus:
    /// Done.
    OKAY = "GNTST_okay" = 0;
    /// Something unnamed went wrong; among others, the grant is not in use, or is for another domain.
    GENERAL_ERROR = "GNTST_general_error" = -1;
    /// No such domain.
    BAD_DOMAIN = "GNTST_bad_domain" = -2;
    /// The reference is beyond the domain's grant table.
    BAD_GRANT_REF = "GNTST_bad_gntref" = -3;
    /// The mapping handle is wrong.
    BAD_HANDLE = "GNTST_bad_handle" = -4;
    /// The virtual address is wrong.
    BAD_VIRT_ADDR = "GNTST_bad_virt_addr" = -5;
    /// The device address is wrong.
    BAD_DEV_ADDR = "GNTST_bad_dev_addr" = -6;
    /// The IOMMU has no room.
    NO_DEVICE_SPACE = "GNTST_no_device_space" = -7;
    /// The grant does not allow this, for instance writing to a read-only one.
    PERMISSION_DENIED = "GNTST_permission_denied" = -8;
    /// The granted page is no memory, or the kernel gave up waiting for it to be paged in.
    BAD_PAGE = "GNTST_bad_page" = -9;
    /// The copy crosses a page border.
    BAD_COPY_ARG = "GNTST_bad_copy_arg" = -10;
    /// The address is beyond what the format can hold.
    ADDRESS_TOO_BIG = "GNTST_address_too_big" = -11;
    /// The page is paged out; try again.
    EAGAIN = "GNTST_eagain" = -12;
    /// Xen's own tables are full.
    NO_SPACE = "GNTST_no_space" = -13;
}

impl GrantStatus {
    /// Not Xen's: the operation's outcome is not known, because the whole call failed or was not made.
    pub const UNKNOWN: Self = Self(i16::MIN);

    /// The number as Xen gives it.
    #[must_use]
    pub const fn get(self) -> i16 {
        self.0
    }

    /// Whether the operation was done.
    #[must_use]
    pub const fn is_okay(self) -> bool {
        self.0 == Self::OKAY.0
    }
}

impl fmt::Display for GrantStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::OKAY => "done",
            Self::GENERAL_ERROR => "not granted to this domain, or an unspecified error",
            Self::BAD_DOMAIN => "no such domain",
            Self::BAD_GRANT_REF => "there is no such reference",
            Self::BAD_HANDLE => "wrong mapping handle",
            Self::BAD_VIRT_ADDR => "wrong virtual address",
            Self::BAD_DEV_ADDR => "wrong device address",
            Self::NO_DEVICE_SPACE => "no room in the IOMMU",
            Self::PERMISSION_DENIED => "the grant does not allow it",
            Self::BAD_PAGE => "the granted page is not usable",
            Self::BAD_COPY_ARG => "the copy crosses a page border",
            Self::ADDRESS_TOO_BIG => "address too big",
            Self::EAGAIN => "the page is paged out",
            Self::NO_SPACE => "out of space in Xen",
            Self::UNKNOWN => "outcome unknown",
            Self(other) => return write!(f, "unknown grant status {other}"),
        })
    }
}

/// An operation of `grant_table_op` on one record; the memory that the operation borrows is the invocation's to vouch for.
macro_rules! grant_table_op {
    ($operation:ty, $record:ident, $name:literal = $command:literal, $this:ident => $value:expr) => {
        // SAFETY: Xen reads and writes one such record, and memory that the operation borrows, as the invocation vouches for.
        unsafe impl Operation for $operation {
            const NUMBER: HypercallNumber = HypercallNumber::GRANT_TABLE_OP;
            const NAME: &'static str = $name;
            type Record = $record;

            fn record(&self) -> $record {
                let $this = self;
                $value
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 1, 0, 0]
            }
        }
    };
}

/// `struct gnttab_query_size`: asks how large a domain's grant table is.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "gnttab_query_size")]
pub struct QueryGrantTableSize {
    /// Whose.
    pub dom: u16,
    /// Zero.
    pub pad: u16,
    /// Answer: how many frames it has.
    pub nr_frames: u32,
    /// Answer: how many it can have.
    pub max_nr_frames: u32,
    /// Answer: how it went.
    pub status: GrantStatus,
    /// Zero.
    pub pad2: u16,
}
layout!(
    QueryGrantTableSize = "struct gnttab_query_size", 16,
    dom @ 0, nr_frames @ 4, max_nr_frames @ 8, status @ 12,
);
grant_table_op!(QueryGrantTableSize, QueryGrantTableSize, "GNTTABOP_query_size" = 6, this => *this);

/// `struct gnttab_get_version`: asks for the version of a domain's grant table. A refusal is the hypercall's result.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "gnttab_get_version")]
pub struct GetGrantTableVersion {
    /// Whose.
    pub dom: u16,
    /// Zero.
    pub pad: u16,
    /// Answer: 1 or 2.
    pub version: u32,
}
layout!(GetGrantTableVersion = "struct gnttab_get_version", 8, dom @ 0, version @ 4);
grant_table_op!(GetGrantTableVersion, GetGrantTableVersion, "GNTTABOP_get_version" = 10, this => *this);

/// `struct gnttab_setup_table`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "gnttab_setup_table")]
pub struct SetupGrantTableRecord {
    /// Whose.
    pub dom: u16,
    /// Zero.
    pub pad: u16,
    /// How many frames there are to be.
    pub nr_frames: u32,
    /// Answer: how it went.
    pub status: GrantStatus,
    /// Zero.
    pub pad2: [u16; 3],
    /// Address of the answer: the frames, 8 bytes each.
    pub frame_list: u64,
}
layout!(
    SetupGrantTableRecord = "struct gnttab_setup_table", 24,
    dom @ 0, nr_frames @ 4, status @ 8, frame_list @ 16,
);

/// Makes a domain's grant table at least as large as there is room for frames in `into`, and tells the frames.
#[derive(Debug)]
pub struct SetupGrantTable<'a> {
    /// Whose.
    pub domain: DomId,
    /// Where the frames are written, 8 bytes each.
    pub into: GuestMemory<'a>,
}
grant_table_op!(SetupGrantTable<'_>, SetupGrantTableRecord, "GNTTABOP_setup_table" = 2, this => SetupGrantTableRecord {
    dom: this.domain.get(),
    pad: 0,
    nr_frames: this.into.room::<u64>(), // which is what Xen writes
    status: GrantStatus::OKAY,
    pad2: [0; 3],
    frame_list: this.into.address(),
});
