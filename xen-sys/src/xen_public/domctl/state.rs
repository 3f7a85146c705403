//! `XEN_DOMCTL_get_domain_state` (Xen 4.21+), which belongs to the part of the interface that has no version.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
use crate::xen_public::operation::{Command, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u16:
    /// It is there.
    GETDOMSTATE_STATE_EXIST = "XEN_DOMCTL_GETDOMSTATE_STATE_EXIST" = 1;
    /// It has shut down.
    GETDOMSTATE_STATE_SHUTDOWN = "XEN_DOMCTL_GETDOMSTATE_STATE_SHUTDOWN" = 2;
    /// Its resources are being freed.
    GETDOMSTATE_STATE_DYING = "XEN_DOMCTL_GETDOMSTATE_STATE_DYING" = 4;
    /// They are freed.
    GETDOMSTATE_STATE_DEAD = "XEN_DOMCTL_GETDOMSTATE_STATE_DEAD" = 8;
    /// It controls others.
    GETDOMSTATE_CAP_CONTROL = "XEN_DOMCTL_GETDOMSTATE_CAP_CONTROL" = 1;
    /// It has the hardware.
    GETDOMSTATE_CAP_HARDWARE = "XEN_DOMCTL_GETDOMSTATE_CAP_HARDWARE" = 2;
    /// It runs xenstore.
    GETDOMSTATE_CAP_XENSTORE = "XEN_DOMCTL_GETDOMSTATE_CAP_XENSTORE" = 4;
}

/// `struct xen_domctl_get_domain_state`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_get_domain_state")]
pub struct DomainStateRecord {
    /// Answer: `GETDOMSTATE_STATE_*`
    pub state: u16,
    /// Answer: `GETDOMSTATE_CAP_*`
    pub caps: u16,
    /// Zero.
    pub pad0: u32,
    /// Answer: a number that no other domain ever has until the host restarts.
    pub unique_id: u64,
}
layout!(
    DomainStateRecord = "struct xen_domctl_get_domain_state" (4.21..=4.22), 16,
    state @ 0, caps @ 2, unique_id @ 8,
);

/// Asks for the state of a domain, or with `DOMID_INVALID` for that of one that has changed, whose number is then in the answer.
#[derive(Clone, Copy, Debug)]
pub struct GetDomainState;

// SAFETY: integers only.
unsafe impl Domctl for GetDomainState {
    const COMMAND: Command = command!("XEN_DOMCTL_get_domain_state" = 90);
    const STABLE: bool = true;
    type Record = DomainStateRecord;

    fn record(&self) -> DomainStateRecord {
        DomainStateRecord::default()
    }
}
