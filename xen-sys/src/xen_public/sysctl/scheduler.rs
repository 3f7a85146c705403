//! What the scheduler of a cpupool can be told.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use core::marker::PhantomData;

use super::Sysctl;
use crate::xen_public::domctl::{SCHEDULER_ARINC653, SCHEDULER_CREDIT, SCHEDULER_CREDIT2};
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Sets the parameters.
    SCHEDOP_PUTINFO = "XEN_SYSCTL_SCHEDOP_putinfo" = 0;
    /// Reads the parameters.
    SCHEDOP_GETINFO = "XEN_SYSCTL_SCHEDOP_getinfo" = 1;
    /// The longest time slice of the credit scheduler, in milliseconds.
    CREDIT_TIMESLICE_MAX_MS = "XEN_SYSCTL_CSCHED_TSLICE_MAX" = 1000;
    /// The shortest one.
    CREDIT_TIMESLICE_MIN_MS = "XEN_SYSCTL_CSCHED_TSLICE_MIN" = 1;
    /// The longest limit between context switches, in microseconds.
    RATELIMIT_MAX_US = "XEN_SYSCTL_SCHED_RATELIMIT_MAX" = 500_000;
    /// The shortest one, but for 0.
    RATELIMIT_MIN_US = "XEN_SYSCTL_SCHED_RATELIMIT_MIN" = 100;
    /// The longest migration delay of the credit scheduler, in microseconds.
    CREDIT_MIGRATION_DELAY_MAX_US = "XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US" = 100_000;
}

/// `struct xen_sysctl_scheduler_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_scheduler_op")]
pub struct SchedulerRecord {
    /// Which cpupool.
    pub cpupool_id: u32,
    /// `SCHEDULER_*`: the one that the caller takes the cpupool to have.
    pub sched_id: u32,
    /// `SCHEDOP_*`
    pub cmd: u32,
    /// Zero.
    pub pad: u32,
    /// The scheduler's parameters.
    pub u: [u8; 16],
}
layout!(
    SchedulerRecord = "struct xen_sysctl_scheduler_op", 32,
    cpupool_id @ 0, sched_id @ 4, cmd @ 8, u @ 16,
);

/// `struct xen_sysctl_credit_schedule`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_credit_schedule")]
pub struct CreditSchedule {
    /// The time slice, in milliseconds.
    pub tslice_ms: u32,
    /// How long a vCPU runs at least, in microseconds; 0 for any time.
    pub ratelimit_us: u32,
    /// How long the cache of a CPU is taken to know a vCPU, in microseconds.
    pub vcpu_migr_delay_us: u32,
}
layout!(
    CreditSchedule = "struct xen_sysctl_credit_schedule", 12,
    tslice_ms @ 0, ratelimit_us @ 4, vcpu_migr_delay_us @ 8,
);

/// `struct xen_sysctl_credit2_schedule`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_credit2_schedule")]
pub struct Credit2Schedule {
    /// How long a vCPU runs at least, in microseconds; 0 for any time.
    pub ratelimit_us: u32,
}
layout!(Credit2Schedule = "struct xen_sysctl_credit2_schedule", 4, ratelimit_us @ 0);

/// What a scheduler can be told.
///
/// # Safety
///
/// In the union of [`SchedulerRecord`], the scheduler has exactly these parameters, and none of them is an address.
pub unsafe trait PoolParameters: Copy + FromBytes + IntoBytes + Immutable {
    /// `SCHEDULER_*`
    const SCHEDULER: u32;
}

// SAFETY: integers, as the header says.
unsafe impl PoolParameters for CreditSchedule {
    const SCHEDULER: u32 = SCHEDULER_CREDIT;
}

// SAFETY: integers, as the header says.
unsafe impl PoolParameters for Credit2Schedule {
    const SCHEDULER: u32 = SCHEDULER_CREDIT2;
}

impl SchedulerRecord {
    /// The scheduler's parameters.
    #[must_use]
    pub fn parameters<P: PoolParameters>(&self) -> P {
        const { assert!(size_of::<P>() <= 16) };
        P::read_from_prefix(&self.u).map_or_else(|_| P::new_zeroed(), |(parameters, _)| parameters)
    }

    fn new<P: PoolParameters>(cpupool_id: u32, cmd: u32, parameters: &P) -> Self {
        const { assert!(size_of::<P>() <= 16) };
        let mut u = [0; 16];
        u[..size_of::<P>()].copy_from_slice(parameters.as_bytes());
        Self { cpupool_id, sched_id: P::SCHEDULER, cmd, pad: 0, u }
    }
}

/// Reads the parameters of a cpupool's scheduler.
#[derive(Clone, Copy, Debug)]
pub struct GetPoolParameters<P> {
    cpupool: u32,
    _parameters: PhantomData<P>,
}

impl<P: PoolParameters> GetPoolParameters<P> {
    /// Of the cpupool with this number.
    #[must_use]
    pub fn new(cpupool: u32) -> Self {
        Self { cpupool, _parameters: PhantomData }
    }
}

// SAFETY: Xen follows no address, as `P` vouches for.
unsafe impl<P: PoolParameters> Sysctl for GetPoolParameters<P> {
    const COMMAND: Command = command!("XEN_SYSCTL_scheduler_op" = 19);
    type Record = SchedulerRecord;

    fn record(&self) -> SchedulerRecord {
        SchedulerRecord::new(self.cpupool, SCHEDOP_GETINFO, &P::new_zeroed())
    }
}

/// Sets the parameters of a cpupool's scheduler.
#[derive(Clone, Copy, Debug)]
pub struct SetPoolParameters<P> {
    /// Which cpupool.
    pub cpupool: u32,
    /// What the scheduler is told.
    pub parameters: P,
}

// SAFETY: Xen follows no address, as `P` vouches for.
unsafe impl<P: PoolParameters> Sysctl for SetPoolParameters<P> {
    const COMMAND: Command = command!("XEN_SYSCTL_scheduler_op" = 19);
    type Record = SchedulerRecord;

    fn record(&self) -> SchedulerRecord {
        SchedulerRecord::new(self.cpupool, SCHEDOP_PUTINFO, &self.parameters)
    }
}

/// How many slots a schedule after ARINC 653 has room for.
#[doc(alias = "ARINC653_MAX_DOMAINS_PER_SCHEDULE")]
pub const ARINC653_SLOTS: usize = 64;

/// A slot of [`Arinc653Schedule`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Arinc653Slot {
    /// The domain's UUID.
    pub dom_handle: [u8; 16],
    /// Which of its vCPUs.
    pub vcpu_id: u32,
    /// Zero.
    pub pad: u32,
    /// How long it runs, in nanoseconds.
    pub runtime: u64,
}
layout!(
    Arinc653Slot = "struct xen_sysctl_arinc653_schedule.sched_entries[0]", 32,
    dom_handle @ 0, vcpu_id @ 16, runtime @ 24,
);

/// `struct xen_sysctl_arinc653_schedule`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_arinc653_schedule")]
pub struct Arinc653Schedule {
    /// How long the schedule is until it begins again, in nanoseconds.
    pub major_frame: u64,
    /// How many slots are used.
    pub num_sched_entries: u8,
    /// Zero.
    pub pad: [u8; 7],
    /// The slots.
    pub sched_entries: [Arinc653Slot; ARINC653_SLOTS],
}
layout!(
    Arinc653Schedule = "struct xen_sysctl_arinc653_schedule", 2064,
    major_frame @ 0, num_sched_entries @ 8, sched_entries @ 16,
);

/// Sets or reads the schedule of a cpupool after ARINC 653.
#[derive(Debug)]
pub struct Arinc653<'a> {
    cpupool: u32,
    set: bool,
    schedule: GuestMemory<'a>,
}

impl<'a> Arinc653<'a> {
    /// In this memory.
    ///
    /// # Panics
    ///
    /// If the memory has no room for an [`Arinc653Schedule`]: Xen is not told its length.
    #[must_use]
    pub fn new(cpupool: u32, set: bool, schedule: GuestMemory<'a>) -> Self {
        assert!(schedule.len() >= size_of::<Arinc653Schedule>(), "no room for the schedule");
        Self { cpupool, set, schedule }
    }
}

// SAFETY: Xen reads or writes one schedule, for which the memory has room, as `new` has seen.
unsafe impl Sysctl for Arinc653<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_scheduler_op" = 19);
    type Record = SchedulerRecord;

    fn record(&self) -> SchedulerRecord {
        SchedulerRecord {
            cpupool_id: self.cpupool,
            sched_id: SCHEDULER_ARINC653,
            cmd: if self.set { SCHEDOP_PUTINFO } else { SCHEDOP_GETINFO },
            pad: 0,
            u: zerocopy::transmute!([self.schedule.address(), 0]),
        }
    }
}
