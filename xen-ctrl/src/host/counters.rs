//! What a hypervisor counts that was built to be measured.

use std::time::Duration;

use xen_sys::xen_public::operation::GuestMemory;
use xen_sys::xen_public::sysctl::{self, LOCK_PERDOM, PerfCounterName, PerfCounters, ResetLockProfiles};

use super::{Host, size, text};
use crate::{DomId, Error};

/// A performance counter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PerfCounter {
    /// Its name.
    pub name: String,
    /// Its values: one for each CPU, or a table with a meaning of its own.
    pub values: Vec<u32>,
}

/// Statistics on the hypervisor's locks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockStatistics {
    /// How long it has been measured.
    pub measured: Duration,
    /// The locks.
    pub locks: Vec<LockProfile>,
}

/// How a lock was used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockProfile {
    /// The lock's name.
    pub name: String,
    /// The domain whose lock it is; `None` for those of the hypervisor.
    pub domain: Option<DomId>,
    /// How often it was taken.
    pub taken: u64,
    /// How often somebody had to wait for it.
    pub contended: u64,
    /// How long it was held.
    pub held: Duration,
    /// How long somebody waited.
    pub waited: Duration,
}

impl Host<'_> {
    /// The performance counters. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if Xen was built without `CONFIG_PERF_COUNTERS`, as is usual; [`Error::Denied`]; [`Error::Call`] if there
    /// are no 3 MiB of memory.
    #[doc(alias = "xc_perfc_query")]
    #[doc(alias = "xc_perfc_query_number")]
    #[doc(alias = "XEN_SYSCTL_perfc_op")]
    pub fn perf_counters(&self) -> Result<Vec<PerfCounter>, Error> {
        self.xen.sysctl(&PerfCounters::COUNT)?; // a hypervisor without counters says so before there is memory
        let mut names = self.xen.xencall().zeroed_buffer::<PerfCounterName>(PerfCounters::MAX_COUNTERS)?;
        let mut values = self.xen.xencall().zeroed_buffer::<u32>(PerfCounters::MAX_VALUES)?;
        let Some(operation) = PerfCounters::new(names.lend(), values.lend()) else {
            return Ok(Vec::new()); // the buffers are as large as that
        };
        let count = size(self.xen.sysctl(&operation)?.nr_counters);
        let mut values = values.iter().copied();
        let counter = |name: &PerfCounterName| PerfCounter {
            name: text(&name.name),
            values: values.by_ref().take(size(name.nr_vals)).collect(),
        };
        Ok(names.iter().take(count).map(counter).collect())
    }

    /// Sets all performance counters to zero. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`perf_counters`](Self::perf_counters).
    #[doc(alias = "xc_perfc_reset")]
    #[doc(alias = "XEN_SYSCTL_PERFCOP_reset")]
    pub fn reset_perf_counters(&self) -> Result<(), Error> {
        self.xen.sysctl(&PerfCounters::RESET).map(drop)
    }

    /// How the hypervisor's locks were used. Two hypercalls; locks that come up in between may be missing.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if Xen was built without `CONFIG_DEBUG_LOCK_PROFILE`, as is usual; [`Error::Denied`]; [`Error::Call`] if
    /// there is no memory.
    #[doc(alias = "xc_lockprof_query")]
    #[doc(alias = "xc_lockprof_query_number")]
    #[doc(alias = "XEN_SYSCTL_lockprof_op")]
    pub fn lock_statistics(&self) -> Result<LockStatistics, Error> {
        let count = self.xen.sysctl(&sysctl::LockProfiles { into: GuestMemory::NULL })?.nr_elem;
        let mut locks = self.xen.xencall().zeroed_buffer::<sysctl::LockProfile>(size(count))?;
        let answer = self.xen.sysctl(&sysctl::LockProfiles { into: locks.lend() })?;
        let told = locks.iter().take(size(answer.nr_elem));
        Ok(LockStatistics { measured: Duration::from_nanos(answer.time), locks: told.map(lock).collect() })
    }

    /// Sets the statistics on locks to zero. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`lock_statistics`](Self::lock_statistics).
    #[doc(alias = "xc_lockprof_reset")]
    #[doc(alias = "XEN_SYSCTL_LOCKPROF_reset")]
    pub fn reset_lock_statistics(&self) -> Result<(), Error> {
        self.xen.sysctl(&ResetLockProfiles).map(drop)
    }
}

fn lock(record: &sysctl::LockProfile) -> LockProfile {
    let domain = u16::try_from(record.idx).ok().and_then(DomId::new);
    LockProfile {
        name: text(&record.name),
        domain: domain.filter(|_| record.kind == LOCK_PERDOM),
        taken: record.lock_cnt,
        contended: record.block_cnt,
        held: Duration::from_nanos(record.lock_time),
        waited: Duration::from_nanos(record.block_time),
    }
}
