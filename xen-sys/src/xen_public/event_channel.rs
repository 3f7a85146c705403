//! `xen/include/public/event_channel.h`: what can be done with the event channels of another domain.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::plain_operation;
use super::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct evtchn_alloc_unbound`: makes a port that another domain can connect to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "evtchn_alloc_unbound")]
pub struct AllocUnbound {
    /// Whose port it is.
    pub dom: u16,
    /// Who can connect.
    pub remote_dom: u16,
    /// Answer: the port.
    pub port: u32,
}
layout!(AllocUnbound = "struct evtchn_alloc_unbound", 8, dom @ 0, remote_dom @ 2, port @ 4);
plain_operation!(EVENT_CHANNEL_OP, AllocUnbound, "EVTCHNOP_alloc_unbound" = 6);

constants! { u32:
    /// It is not in use.
    EVTCHNSTAT_CLOSED = "EVTCHNSTAT_closed" = 0;
    /// It waits for a domain to connect.
    EVTCHNSTAT_UNBOUND = "EVTCHNSTAT_unbound" = 1;
    /// It is connected to another domain.
    EVTCHNSTAT_INTERDOMAIN = "EVTCHNSTAT_interdomain" = 2;
    /// It is bound to a physical interrupt.
    EVTCHNSTAT_PIRQ = "EVTCHNSTAT_pirq" = 3;
    /// It is bound to a virtual interrupt.
    EVTCHNSTAT_VIRQ = "EVTCHNSTAT_virq" = 4;
    /// It is bound to another vCPU of the same domain.
    EVTCHNSTAT_IPI = "EVTCHNSTAT_ipi" = 5;
}

/// `struct evtchn_status`: asks what a port is bound to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "evtchn_status")]
pub struct PortStatus {
    /// Whose port.
    pub dom: u16,
    /// Zero.
    pub pad: u16,
    /// Which one.
    pub port: u32,
    /// Answer: `EVTCHNSTAT_*`
    pub status: u32,
    /// Answer: the vCPU that gets the events.
    pub vcpu: u32,
    /// Answer: the other domain; of interrupts, the lower half of the number.
    pub remote_dom: u16,
    /// Answer: of interrupts, the upper half of the number.
    pub pad2: u16,
    /// Answer: the other domain's port, if connected.
    pub remote_port: u32,
}
layout!(
    PortStatus = "struct evtchn_status", 24,
    dom @ 0, port @ 4, status @ 8, vcpu @ 12, remote_dom("u.interdomain.dom") @ 16, remote_port("u.interdomain.port") @ 20,
);
plain_operation!(EVENT_CHANNEL_OP, PortStatus, "EVTCHNOP_status" = 5);

impl PortStatus {
    /// The interrupt that the port is bound to, if it is.
    #[must_use]
    pub fn interrupt(&self) -> u32 {
        u32::from(self.pad2) << 16 | u32::from(self.remote_dom)
    }
}

/// `struct evtchn_close`: closes a port of the caller's own domain. It is no operation: the kernel has ports that others must not close.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "evtchn_close")]
pub struct ClosePort {
    /// Which port.
    pub port: u32,
}
layout!(ClosePort = "struct evtchn_close", 4, port @ 0);

constants! { u64:
    /// What `event_channel_op` is told to do with a [`ClosePort`].
    CLOSE_PORT = "EVTCHNOP_close" = 3;
}

/// `struct evtchn_reset`: closes all ports of a domain.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "evtchn_reset")]
pub struct ResetPorts {
    /// Whose ports.
    pub dom: u16,
}
layout!(ResetPorts = "struct evtchn_reset", 2, dom @ 0);
plain_operation!(EVENT_CHANNEL_OP, ResetPorts, "EVTCHNOP_reset" = 10);
