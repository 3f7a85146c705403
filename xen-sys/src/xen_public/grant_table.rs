//! `xen/include/public/grant_table.h`

use super::{constants, layout};
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
