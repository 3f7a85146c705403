//! What the hypervisor tells those who debug it.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_sysctl_debug_keys`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_debug_keys")]
pub struct DebugKeysRecord {
    /// Address of the keys, in ASCII.
    pub keys: u64,
    /// How many.
    pub nr_keys: u32,
    /// Zero.
    pub pad: u32,
}
layout!(DebugKeysRecord = "struct xen_sysctl_debug_keys", 16, keys @ 0, nr_keys @ 8);

/// Presses keys on the hypervisor's console.
#[derive(Debug)]
pub struct DebugKeys<'a> {
    /// The keys, in ASCII.
    pub keys: GuestMemory<'a>,
}

// SAFETY: Xen reads `nr_keys` bytes, which is what the memory has.
unsafe impl Sysctl for DebugKeys<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_debug_keys" = 7);
    type Record = DebugKeysRecord;

    fn record(&self) -> DebugKeysRecord {
        DebugKeysRecord { keys: self.keys.address(), nr_keys: self.keys.room::<u8>(), pad: 0 }
    }
}

constants! { u32:
    /// Set all performance counters to zero.
    PERFCOP_RESET = "XEN_SYSCTL_PERFCOP_reset" = 1;
    /// Read the performance counters.
    PERFCOP_QUERY = "XEN_SYSCTL_PERFCOP_query" = 2;
    /// Set the statistics on locks to zero.
    LOCKPROF_RESET = "XEN_SYSCTL_LOCKPROF_reset" = 1;
    /// Read the statistics on locks.
    LOCKPROF_QUERY = "XEN_SYSCTL_LOCKPROF_query" = 2;
}

/// `struct xen_sysctl_perfc_desc`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_perfc_desc")]
pub struct PerfCounterName {
    /// Its name, with a NUL.
    pub name: [u8; 80],
    /// How many values it has.
    pub nr_vals: u32,
}
layout!(PerfCounterName = "struct xen_sysctl_perfc_desc", 84, name @ 0, nr_vals @ 80);

/// `struct xen_sysctl_perfc_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_perfc_op")]
pub struct PerfCountersRecord {
    /// `PERFCOP_*`
    pub cmd: u32,
    /// Answer: how many counters there are.
    pub nr_counters: u32,
    /// Answer: how many values they have in all.
    pub nr_vals: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the names, or 0.
    pub desc: u64,
    /// Address of the values, or 0.
    pub val: u64,
}
layout!(
    PerfCountersRecord = "struct xen_sysctl_perfc_op", 32,
    cmd @ 0, nr_counters @ 4, nr_vals @ 8, desc @ 16, val @ 24,
);

/// Reads the performance counters, tells how many there are, or sets them to zero.
#[derive(Debug)]
pub struct PerfCounters<'a> {
    command: u32,
    names: GuestMemory<'a>,
    values: GuestMemory<'a>,
}

impl PerfCounters<'static> {
    /// How many counters and values there are.
    pub const COUNT: Self =
        Self { command: PERFCOP_QUERY, names: GuestMemory::NULL, values: GuestMemory::NULL };
    /// All to zero.
    pub const RESET: Self =
        Self { command: PERFCOP_RESET, names: GuestMemory::NULL, values: GuestMemory::NULL };
}

impl<'a> PerfCounters<'a> {
    /// More counters than any hypervisor has, ten times over. It is a few hundred.
    pub const MAX_COUNTERS: usize = 4096;
    /// More values than any hypervisor has: one of each CPU for each of the few hundred counters, and some tables.
    pub const MAX_VALUES: usize = 1 << 19;

    /// Reads the counters: a [`PerfCounterName`] each to `names`, and to `values` their values, `u32`. `None` unless there is room
    /// for [`Self::MAX_COUNTERS`] and [`Self::MAX_VALUES`]: Xen asks for no size.
    #[must_use]
    pub fn new(names: GuestMemory<'a>, values: GuestMemory<'a>) -> Option<Self> {
        let names_fit = names.len() >= Self::MAX_COUNTERS * size_of::<PerfCounterName>();
        let values_fit = values.len() >= Self::MAX_VALUES * size_of::<u32>();
        (names_fit && values_fit).then_some(Self { command: PERFCOP_QUERY, names, values })
    }
}

// SAFETY: with addresses of 0, Xen writes nothing. Otherwise it writes all its counters, whose number is fixed when it is built, and
// their values, one for each CPU or a fixed number. `new` insists on room for far more than there are in any build.
unsafe impl Sysctl for PerfCounters<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_perfc_op" = 5);
    type Record = PerfCountersRecord;

    fn record(&self) -> PerfCountersRecord {
        PerfCountersRecord {
            cmd: self.command,
            nr_counters: 0,
            nr_vals: 0,
            pad: 0,
            desc: self.names.address(),
            val: self.values.address(),
        }
    }
}

/// `struct xen_sysctl_lockprof_data`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_lockprof_data")]
pub struct LockProfile {
    /// The lock's name, with a NUL.
    pub name: [u8; 40],
    /// `LOCK_*`
    pub kind: i32,
    /// The domain's number.
    pub idx: i32,
    /// How often it was taken.
    pub lock_cnt: u64,
    /// How often somebody had to wait.
    pub block_cnt: u64,
    /// How long it was held, in ns.
    pub lock_time: u64,
    /// How long somebody waited, in ns.
    pub block_time: u64,
}
layout!(
    LockProfile = "struct xen_sysctl_lockprof_data", 80,
    name @ 0, kind("type") @ 40, idx @ 44, lock_cnt @ 48, block_cnt @ 56, lock_time @ 64, block_time @ 72,
);

constants! { i32:
    /// A lock of the hypervisor.
    LOCK_GLOBAL = "LOCKPROF_TYPE_GLOBAL" = 0;
    /// A lock of a domain.
    LOCK_PERDOM = "LOCKPROF_TYPE_PERDOM" = 1;
}

/// `struct xen_sysctl_lockprof_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_lockprof_op")]
pub struct LockProfilesRecord {
    /// `LOCKPROF_*`
    pub cmd: u32,
    /// How many locks at most.
    pub max_elem: u32,
    /// Answer: how many there are.
    pub nr_elem: u32,
    /// Zero.
    pub pad: u32,
    /// Answer: since when it has been measured, in ns before now.
    pub time: u64,
    /// Address of the answers, or 0.
    pub data: u64,
}
layout!(
    LockProfilesRecord = "struct xen_sysctl_lockprof_op", 32,
    cmd @ 0, max_elem @ 4, nr_elem @ 8, time @ 16, data @ 24,
);

/// Reads the statistics on locks.
#[derive(Debug)]
pub struct LockProfiles<'a> {
    /// Where the [`LockProfile`]s go. [`GuestMemory::NULL`]: only their number is told.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `max_elem` records, which is what the memory has room for.
unsafe impl Sysctl for LockProfiles<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_lockprof_op" = 15);
    type Record = LockProfilesRecord;

    fn record(&self) -> LockProfilesRecord {
        LockProfilesRecord {
            cmd: LOCKPROF_QUERY,
            max_elem: self.into.room::<LockProfile>(),
            nr_elem: 0,
            pad: 0,
            time: 0,
            data: self.into.address(),
        }
    }
}

/// Sets the statistics on locks to zero.
#[derive(Clone, Copy, Debug)]
pub struct ResetLockProfiles;

// SAFETY: no addresses.
unsafe impl Sysctl for ResetLockProfiles {
    const COMMAND: Command = command!("XEN_SYSCTL_lockprof_op" = 15);
    type Record = LockProfilesRecord;

    fn record(&self) -> LockProfilesRecord {
        LockProfilesRecord { cmd: LOCKPROF_RESET, max_elem: 0, nr_elem: 0, pad: 0, time: 0, data: 0 }
    }
}
