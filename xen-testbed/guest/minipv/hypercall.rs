//! The calls into Xen.

use core::sync::atomic::{Ordering, fence};

pub(crate) use crate::machine::hypercall;
use crate::memory::address;

pub(crate) const SCHED_OP: u64 = 29;
pub(crate) const EVENT_CHANNEL_OP: u64 = 32;

pub(crate) const DOM0: u16 = 0;
pub(crate) const DOMID_SELF: u16 = 0x7ff0;

pub(crate) fn power_off() -> ! {
    shutdown(0)
}

pub(crate) fn crash() -> ! {
    shutdown(3)
}

fn shutdown(reason: u32) -> ! {
    const SHUTDOWN: u64 = 2;
    fence(Ordering::SeqCst);
    // SAFETY: the record that this operation reads is nothing but the reason.
    unsafe { hypercall(SCHED_OP, [SHUTDOWN, address(&reason), 0]) };
    loop {
        core::hint::spin_loop();
    }
}
