//! `xen/include/public/grant_table.h`

use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How one grant operation ended (`GNTST_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
#[doc(alias = "GNTST")]
pub struct GrantStatus(i16);

impl GrantStatus {
    /// Done.
    #[doc(alias = "GNTST_okay")]
    pub const OKAY: Self = Self(0);
    /// Something unnamed went wrong; among others, the grant is not in use, or is for another domain.
    #[doc(alias = "GNTST_general_error")]
    pub const GENERAL_ERROR: Self = Self(-1);
    /// No such domain.
    #[doc(alias = "GNTST_bad_domain")]
    pub const BAD_DOMAIN: Self = Self(-2);
    /// The reference is beyond the domain's grant table.
    #[doc(alias = "GNTST_bad_gntref")]
    pub const BAD_GRANT_REF: Self = Self(-3);
    /// The mapping handle is wrong.
    #[doc(alias = "GNTST_bad_handle")]
    pub const BAD_HANDLE: Self = Self(-4);
    /// The virtual address is wrong.
    #[doc(alias = "GNTST_bad_virt_addr")]
    pub const BAD_VIRT_ADDR: Self = Self(-5);
    /// The device address is wrong.
    #[doc(alias = "GNTST_bad_dev_addr")]
    pub const BAD_DEV_ADDR: Self = Self(-6);
    /// The IOMMU has no room.
    #[doc(alias = "GNTST_no_device_space")]
    pub const NO_DEVICE_SPACE: Self = Self(-7);
    /// The grant does not allow this, for instance writing to a read-only one.
    #[doc(alias = "GNTST_permission_denied")]
    pub const PERMISSION_DENIED: Self = Self(-8);
    /// The granted page is no memory, or the kernel gave up waiting for it to be paged in.
    #[doc(alias = "GNTST_bad_page")]
    pub const BAD_PAGE: Self = Self(-9);
    /// The copy crosses a page border.
    #[doc(alias = "GNTST_bad_copy_arg")]
    pub const BAD_COPY_ARG: Self = Self(-10);
    /// The address is beyond what the format can hold.
    #[doc(alias = "GNTST_address_too_big")]
    pub const ADDRESS_TOO_BIG: Self = Self(-11);
    /// The page is paged out; try again.
    #[doc(alias = "GNTST_eagain")]
    pub const EAGAIN: Self = Self(-12);
    /// Xen's own tables are full.
    #[doc(alias = "GNTST_no_space")]
    pub const NO_SPACE: Self = Self(-13);
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
