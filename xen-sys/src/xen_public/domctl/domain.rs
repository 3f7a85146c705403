//! Operations on a domain as a whole.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::domctl;
use crate::xen_public::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

domctl! {
    /// Frees the domain's resources and ends it, in as many pieces of work as that takes.
    DestroyDomain(), "XEN_DOMCTL_destroydomain" = 2
}
domctl! {
    /// Stops the domain until it is unpaused as often as it was paused.
    PauseDomain(), "XEN_DOMCTL_pausedomain" = 3
}
domctl! {
    /// Takes one pause back.
    UnpauseDomain(), "XEN_DOMCTL_unpausedomain" = 4
}
domctl! {
    /// Continues a domain that has shut down, to suspend for instance.
    ResumeDomain(), "XEN_DOMCTL_resumedomain" = 27
}
domctl! {
    /// Takes from a domain that has shut down what a kernel does not expect at its start: event channels, grants, and more.
    SoftReset(), "XEN_DOMCTL_soft_reset" = 79
}

/// `struct xen_domctl_max_mem`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_max_mem")]
pub struct MaxMem {
    /// How much memory the domain may have, in KiB.
    pub max_memkb: u64,
}
layout!(MaxMem = "struct xen_domctl_max_mem", 8, max_memkb @ 0);
domctl!(MaxMem, "XEN_DOMCTL_max_mem" = 11);

/// `struct xen_domctl_max_vcpus`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_max_vcpus")]
pub struct MaxVcpus {
    /// How many vCPUs are made; the number that the domain was created with.
    pub max: u32,
}
layout!(MaxVcpus = "struct xen_domctl_max_vcpus", 4, max @ 0);
domctl!(MaxVcpus, "XEN_DOMCTL_max_vcpus" = 15);

/// `struct xen_domctl_setdomainhandle`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_setdomainhandle")]
pub struct SetDomainHandle {
    /// The UUID.
    pub handle: [u8; 16],
}
layout!(SetDomainHandle = "struct xen_domctl_setdomainhandle", 16, handle @ 0);
domctl!(SetDomainHandle, "XEN_DOMCTL_setdomainhandle" = 17);
