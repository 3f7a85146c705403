//! The calls into Xen.

use core::arch::asm;
use core::sync::atomic::{Ordering, fence};

use crate::memory::address;

pub(crate) const UPDATE_VA_MAPPING: u64 = 14;
pub(crate) const GRANT_TABLE_OP: u64 = 20;
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

/// # Safety
///
/// The arguments are those of this hypercall, and memory that they point to is what it expects there.
pub(crate) unsafe fn hypercall(number: u64, [first, second, third]: [u64; 3]) -> i64 {
    let status;
    // SAFETY: the 64-bit PV convention; the caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") first => _,
            inlateout("rsi") second => _,
            inlateout("rdx") third => _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    status
}
