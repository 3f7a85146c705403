//! Identifiers that must not be mixed up.

use crate::xen_public::{constants, layout};
use core::fmt;
use core::num::ParseIntError;
use core::str::FromStr;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A domain's number (`domid_t`).
///
/// Real domains have the numbers 0 to 0x7fef; dom0 is [`DomId::ZERO`]. The special numbers that some calls take are
/// constants here. There is no way to make one from an integer outside these, because the kernel cuts longer numbers
/// to 16 bits without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
#[doc(alias = "domid_t")]
pub struct DomId(u16);
layout!(DomId = "domid_t", 2);

impl DomId {
    /// The initial domain.
    pub const ZERO: Self = Self(0);
    /// The caller's own domain (`DOMID_SELF`).
    #[doc(alias = "DOMID_SELF")]
    pub const SELF: Self = Self(0x7ff0);
    /// The owner of I/O memory (`DOMID_IO`).
    #[doc(alias = "DOMID_IO")]
    pub const IO: Self = Self(0x7ff1);
    /// The owner of the hypervisor's own memory (`DOMID_XEN`).
    #[doc(alias = "DOMID_XEN")]
    pub const XEN: Self = Self(0x7ff2);
    /// The owner of copy-on-write pages (`DOMID_COW`).
    #[doc(alias = "DOMID_COW")]
    pub const COW: Self = Self(0x7ff3);
    /// No domain (`DOMID_INVALID`); in some operations, any domain.
    #[doc(alias = "DOMID_INVALID")]
    pub const INVALID: Self = Self(0x7ff4);
    /// The idle domain (`DOMID_IDLE`).
    #[doc(alias = "DOMID_IDLE")]
    pub const IDLE: Self = Self(0x7fff);

    /// The first number that is no ordinary domain.
    #[doc(alias = "DOMID_FIRST_RESERVED")]
    const FIRST_RESERVED: u16 = 0x7ff0;

    /// The ordinary domain with this number, or `None` from 0x7ff0 on.
    #[must_use]
    pub const fn new(id: u16) -> Option<Self> {
        if id < Self::FIRST_RESERVED { Some(Self(id)) } else { None }
    }

    /// Brings back a number that came out of a `DomId`.
    #[cfg(feature = "std")]
    pub(crate) const fn from_raw(id: u16) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether this is an ordinary domain, not one of the special numbers.
    #[must_use]
    pub const fn is_ordinary(self) -> bool {
        self.0 < Self::FIRST_RESERVED
    }
}

/// The number of a domain whose memory is not this program's: it is not the caller's own.
///
/// Operations that take memory from a domain, or move it, want this: on the own domain, they could pull the ground from under this
/// very process. `Xencall::other_domain` of `xen-call` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OtherDomain(DomId);

impl OtherDomain {
    /// The domain with this number.
    ///
    /// # Safety
    ///
    /// It is not the domain that the caller runs in, neither by its number nor as [`DomId::SELF`].
    #[must_use]
    #[expect(unsafe_code, reason = "a promise that operations on memory rely upon")]
    pub const unsafe fn new_unchecked(id: DomId) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn id(self) -> DomId {
        self.0
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::SELF => f.write_str("DOMID_SELF"),
            Self::IO => f.write_str("DOMID_IO"),
            Self::XEN => f.write_str("DOMID_XEN"),
            Self::COW => f.write_str("DOMID_COW"),
            Self::INVALID => f.write_str("DOMID_INVALID"),
            Self::IDLE => f.write_str("DOMID_IDLE"),
            Self(id) => id.fmt(f),
        }
    }
}

/// The number or text is no ordinary domain: those have 0 to 0x7fef (32751).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidDomId;

impl fmt::Display for InvalidDomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a domain number (0 to 32751)")
    }
}

impl core::error::Error for InvalidDomId {}

impl TryFrom<u16> for DomId {
    type Error = InvalidDomId;

    fn try_from(id: u16) -> Result<Self, InvalidDomId> {
        Self::new(id).ok_or(InvalidDomId)
    }
}

impl TryFrom<u32> for DomId {
    type Error = InvalidDomId;

    fn try_from(id: u32) -> Result<Self, InvalidDomId> {
        u16::try_from(id).ok().and_then(Self::new).ok_or(InvalidDomId)
    }
}

impl FromStr for DomId {
    type Err = InvalidDomId;

    fn from_str(text: &str) -> Result<Self, InvalidDomId> {
        text.parse().ok().and_then(Self::new).ok_or(InvalidDomId)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($integer:ty), $format:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name($integer);

        impl $name {
            /// Wraps the number.
            #[must_use]
            pub const fn new(number: $integer) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn get(self) -> $integer {
                self.0
            }
        }

        impl From<$integer> for $name {
            fn from(number: $integer) -> Self {
                Self(number)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $format, self.0)
            }
        }
    };
}

number! {
    /// A local event channel port (`evtchn_port_t`).
    #[doc(alias = "evtchn_port_t")]
    Port(u32), "{}"
}
layout!(Port = "evtchn_port_t", 4);

number! {
    /// A grant reference (`grant_ref_t`): an index into the granting domain's grant table.
    #[doc(alias = "grant_ref_t")]
    GrantRef(u32), "{}"
}
layout!(GrantRef = "grant_ref_t", 4);

number! {
    /// A guest frame number: a frame in the guest's own numbering.
    #[doc(alias = "xen_pfn_t")]
    #[doc(alias = "gfn_t")]
    Gfn(u64), "{:#x}"
}
layout!(Gfn = "xen_pfn_t", 8);

number! {
    /// A machine frame number: a frame in the host's numbering. PV guests know their memory by these.
    #[doc(alias = "mfn_t")]
    Mfn(u64), "{:#x}"
}
layout!(Mfn = "xen_pfn_t", 8);

number! {
    /// A virtual CPU's number within its domain.
    VcpuId(u32), "{}"
}
layout!(VcpuId = "struct evtchn_bind_virq.vcpu", 4);

number! {
    /// A virtual interrupt that Xen itself raises (`VIRQ_*`).
    Virq(u32), "{}"
}
layout!(Virq = "struct evtchn_bind_virq.virq", 4);

constants! { impl Virq:
    /// Timer of one vCPU.
    TIMER = "VIRQ_TIMER" = 0;
    /// A debug key asks the guest to dump its state; per vCPU.
    DEBUG = "VIRQ_DEBUG" = 1;
    /// Console input for dom0.
    CONSOLE = "VIRQ_CONSOLE" = 2;
    /// A domain died or changed state; what a toolstack waits for.
    DOM_EXC = "VIRQ_DOM_EXC" = 3;
    /// Trace buffers have data.
    TBUF = "VIRQ_TBUF" = 4;
    /// A domain that is being debugged paused.
    DEBUGGER = "VIRQ_DEBUGGER" = 6;
    /// Profiling samples; per vCPU.
    XENOPROF = "VIRQ_XENOPROF" = 7;
    /// Xen's console ring has text.
    CON_RING = "VIRQ_CON_RING" = 8;
    /// A PCI device changed its power state.
    PCPU_STATE = "VIRQ_PCPU_STATE" = 9;
    /// A memory event.
    MEM_EVENT = "VIRQ_MEM_EVENT" = 10;
    /// Argo messages.
    ARGO = "VIRQ_ARGO" = 11;
    /// The host runs low on memory.
    ENOMEM = "VIRQ_ENOMEM" = 12;
    /// Performance counters overflowed; per vCPU.
    XENPMU = "VIRQ_XENPMU" = 13;
    /// The first of eight whose meaning the architecture gives (on x86, 16 is machine check).
    #[doc(alias = "VIRQ_MCA")]
    ARCH_0 = "VIRQ_ARCH_0" = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domain_numbers_end_where_the_special_ones_begin() {
        assert_eq!(DomId::new(0x7fef).map(DomId::get), Some(0x7fef));
        assert_eq!(DomId::new(0x7ff0), None);
        assert_eq!(DomId::try_from(0x1_0001_u32), Err(InvalidDomId));
        assert_eq!("17".parse::<DomId>().map(DomId::get), Ok(17));
        assert_eq!("-1".parse::<DomId>(), Err(InvalidDomId));
        assert!(DomId::ZERO.is_ordinary() && !DomId::SELF.is_ordinary());
    }
}
