//! `/dev/xen/evtchn`: `include/uapi/xen/evtchn.h`
//!
//! Besides these requests, the device is read (pending ports, as `u32`s) and written (ports to unmask).
#![expect(unsafe_code, reason = "facts about the records: see `Request`")]

use super::device::Driver;
use super::request::{Request, opcode, record};
use crate::xen_public::layout;
use crate::{DomId, Port, Virq};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The driver behind `/dev/xen/evtchn`.
#[derive(Debug)]
pub enum Evtchn {}

impl Driver for Evtchn {
    const PATH: &'static str = "/dev/xen/evtchn";
    const MODULE: &'static str = "xen-evtchn";
}

/// `struct ioctl_evtchn_bind_virq`; the call's value is the new local port.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindVirq {
    /// The virtual interrupt; it arrives for the vCPU that runs Linux CPU 0.
    pub virq: Virq,
}
layout!(BindVirq = "struct ioctl_evtchn_bind_virq", 4, virq @ 0);
record!(BindVirq, Evtchn, "IOCTL_EVTCHN_BIND_VIRQ" = 0x0004_4500, opcode(b'E', 0, size_of::<BindVirq>()));
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for BindVirq {}

/// `struct ioctl_evtchn_bind_interdomain`; the call's value is the new local port.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindInterdomain {
    /// The far end's domain. The driver cuts it to 16 bits: make it from a [`DomId`].
    pub remote_domain: u32,
    /// The far end's port.
    pub remote_port: Port,
}
layout!(BindInterdomain = "struct ioctl_evtchn_bind_interdomain", 8, remote_domain @ 0, remote_port @ 4);
record!(
    BindInterdomain,
    Evtchn,
    "IOCTL_EVTCHN_BIND_INTERDOMAIN" = 0x0008_4501,
    opcode(b'E', 1, size_of::<BindInterdomain>())
);
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for BindInterdomain {}

/// `struct ioctl_evtchn_bind_unbound_port`; the call's value is the new local port.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindUnboundPort {
    /// The domain that may bind to the port. The driver cuts it to 16 bits: make it from a [`DomId`].
    pub remote_domain: u32,
}
layout!(BindUnboundPort = "struct ioctl_evtchn_bind_unbound_port", 4, remote_domain @ 0);
record!(
    BindUnboundPort,
    Evtchn,
    "IOCTL_EVTCHN_BIND_UNBOUND_PORT" = 0x0004_4502,
    opcode(b'E', 2, size_of::<BindUnboundPort>())
);
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for BindUnboundPort {}

/// `struct ioctl_evtchn_unbind`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Unbind {
    /// The local port.
    pub port: Port,
}
layout!(Unbind = "struct ioctl_evtchn_unbind", 4, port @ 0);
record!(Unbind, Evtchn, "IOCTL_EVTCHN_UNBIND" = 0x0004_4503, opcode(b'E', 3, size_of::<Unbind>()));
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for Unbind {}

/// `struct ioctl_evtchn_notify`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Notify {
    /// The local port whose far end is to get an event.
    pub port: Port,
}
layout!(Notify = "struct ioctl_evtchn_notify", 4, port @ 0);
record!(Notify, Evtchn, "IOCTL_EVTCHN_NOTIFY" = 0x0004_4504, opcode(b'E', 4, size_of::<Notify>()));
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for Notify {}

/// `IOCTL_EVTCHN_RESET`: empties the ring of pending ports and clears its overflow. Re-enables no port.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Reset;
record!(Reset, Evtchn, "IOCTL_EVTCHN_RESET" = 0x0000_4505, opcode(b'E', 5, 0));
// SAFETY: the driver ignores the operand.
unsafe impl Request for Reset {}

/// `struct ioctl_evtchn_restrict_domid`
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RestrictDomid {
    /// The only domain that the file may bind to from now on.
    pub domid: u16,
}
layout!(RestrictDomid = "struct ioctl_evtchn_restrict_domid", 2, domid @ 0);
record!(
    RestrictDomid,
    Evtchn,
    "IOCTL_EVTCHN_RESTRICT_DOMID" = 0x0002_4506,
    opcode(b'E', 6, size_of::<RestrictDomid>())
);
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for RestrictDomid {}

/// `struct ioctl_evtchn_bind` of `IOCTL_EVTCHN_BIND_STATIC`, since Linux 6.6.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct BindStatic {
    /// A port that was set up when the domain was built. The kernel never closes it.
    pub port: Port,
}
layout!(BindStatic = "struct ioctl_evtchn_bind", 4, port @ 0);
record!(
    BindStatic,
    Evtchn,
    "IOCTL_EVTCHN_BIND_STATIC" = 0x0004_4507,
    opcode(b'E', 7, size_of::<BindStatic>())
);
// SAFETY: the driver reads the record and writes nothing.
unsafe impl Request for BindStatic {}

impl BindInterdomain {
    /// Binds to `port` of `domain`.
    #[must_use]
    pub fn new(domain: DomId, port: Port) -> Self {
        Self { remote_domain: domain.get().into(), remote_port: port }
    }
}

impl BindUnboundPort {
    /// A port that `domain` may bind to.
    #[must_use]
    pub fn new(domain: DomId) -> Self {
        Self { remote_domain: domain.get().into() }
    }
}
