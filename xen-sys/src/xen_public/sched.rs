//! `xen/include/public/sched.h`
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::plain_operation;
use super::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// The domain powered off.
    SHUTDOWN_POWEROFF = "SHUTDOWN_poweroff" = 0;
    /// It wants to be started again.
    SHUTDOWN_REBOOT = "SHUTDOWN_reboot" = 1;
    /// It wants to be saved.
    SHUTDOWN_SUSPEND = "SHUTDOWN_suspend" = 2;
    /// It crashed.
    SHUTDOWN_CRASH = "SHUTDOWN_crash" = 3;
    /// Its watchdog was not fed.
    SHUTDOWN_WATCHDOG = "SHUTDOWN_watchdog" = 4;
    /// It wants to be started again without being created anew.
    SHUTDOWN_SOFT_RESET = "SHUTDOWN_soft_reset" = 5;
}

/// `struct sched_remote_shutdown`: shuts another domain down.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "sched_remote_shutdown")]
pub struct RemoteShutdown {
    /// Which domain.
    pub domain_id: u16,
    /// Zero.
    pub pad: u16,
    /// `SHUTDOWN_*`
    pub reason: u32,
}
layout!(RemoteShutdown = "struct sched_remote_shutdown", 8, domain_id @ 0, reason @ 4);
plain_operation!(SCHED_OP, RemoteShutdown, "SCHEDOP_remote_shutdown" = 4);

/// `struct sched_watchdog`: sets a timer that shuts the caller's domain down. The result is the number of a new one.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "sched_watchdog")]
pub struct SetWatchdog {
    /// Which timer; 0 for a new one.
    pub id: u32,
    /// In how many seconds; 0 ends it.
    pub timeout: u32,
}
layout!(SetWatchdog = "struct sched_watchdog", 8, id @ 0, timeout @ 4);
plain_operation!(SCHED_OP, SetWatchdog, "SCHEDOP_watchdog" = 6);
