//! Event channels, by polling: the guest takes no upcalls.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::hypercall::{DOM0, DOMID_SELF, EVENT_CHANNEL_OP, SCHED_OP, hypercall};
use crate::machine::VCPU_INFO;
use crate::memory::{Page, address};

pub(crate) type Port = u32;

const CLOSE: u64 = 3;
const SEND: u64 = 4;
const ALLOC_UNBOUND: u64 = 6;

/// `struct evtchn_alloc_unbound`.
#[repr(C)]
struct AllocUnbound {
    domain: u16,
    remote: u16,
    port: Port,
}

/// A new port which dom0 may bind to; None when there are no more.
pub(crate) fn offer_port() -> Option<Port> {
    let mut request = AllocUnbound { domain: DOMID_SELF, remote: DOM0, port: 0 };
    // SAFETY: the argument is the record that this operation fills in.
    let status = unsafe { hypercall(EVENT_CHANNEL_OP, [ALLOC_UNBOUND, (&raw mut request) as u64, 0]) };
    (status == 0).then_some(request.port)
}

/// Does nothing if the port is not bound: dom0 may unbind at any moment.
pub(crate) fn notify(port: Port) {
    // SAFETY: the record that this operation reads is nothing but the port.
    unsafe { hypercall(EVENT_CHANNEL_OP, [SEND, address(&port), 0]) };
}

pub(crate) fn close(port: Port) {
    // SAFETY: the record that this operation reads is nothing but the port.
    unsafe { hypercall(EVENT_CHANNEL_OP, [CLOSE, address(&port), 0]) };
}

/// `struct sched_poll`.
#[repr(C)]
struct Poll {
    ports: *const Port,
    count: u32,
    timeout: u64,
}

/// Sleeps until one of the ports is pending.
pub(crate) fn wait(ports: &[Port]) {
    const POLL: u64 = 3;
    let poll = Poll { ports: ports.as_ptr(), count: u32::try_from(ports.len()).unwrap_or(0), timeout: 0 };
    // SAFETY: the record that this operation reads, with as many ports behind it as it says.
    unsafe { hypercall(SCHED_OP, [POLL, address(&poll), 0]) };
}

/// Calls `handle` once for each pending port, after clearing it.
pub(crate) fn take_pending(mut handle: impl FnMut(Port)) {
    for (word, first) in SHARED_INFO.0.pending.iter().zip((0..).step_by(64)) {
        let mut bits = word.swap(0, Ordering::AcqRel);
        while bits != 0 {
            handle(first + bits.trailing_zeros());
            bits &= bits - 1;
        }
    }
}

/// `struct shared_info`; only the pending bits of the event channels matter here.
#[repr(C)]
pub(crate) struct SharedInfo {
    vcpu_info: [AtomicU64; VCPU_INFO],
    pending: [AtomicU64; 64],
}

/// What Xen shares with us is mapped over it.
pub(crate) static SHARED_INFO: Page<SharedInfo> = Page(SharedInfo {
    vcpu_info: [const { AtomicU64::new(0) }; VCPU_INFO],
    pending: [const { AtomicU64::new(0) }; 64],
});
