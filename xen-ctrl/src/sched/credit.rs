//! The credit scheduler.

use std::time::Duration;

use xen_sys::xen_public::domctl::DomainCredit;
use xen_sys::xen_public::sysctl::CreditSchedule;

use super::{Share, from_microseconds, microseconds};
use crate::{CpuPool, Domain, Error};

/// What the credit scheduler of a cpupool is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "xen_sysctl_credit_schedule")]
pub struct Credit {
    /// The time slice: 1 ms to 1 s, in whole milliseconds.
    pub timeslice: Duration,
    /// How long a vCPU runs at least before another one takes its place: 100 µs to 500 ms and not more than the time slice, in whole
    /// microseconds; zero for no limit.
    pub ratelimit: Duration,
    /// How long the cache of a CPU is taken to know a vCPU that ran there: up to 100 ms, in whole microseconds.
    pub migration_delay: Duration,
}

impl Default for Credit {
    /// What Xen begins with: 30 ms, 1 ms, none.
    fn default() -> Self {
        Self {
            timeslice: Duration::from_millis(30),
            ratelimit: Duration::from_millis(1),
            migration_delay: Duration::ZERO,
        }
    }
}

impl CpuPool<'_> {
    /// What the credit scheduler of this cpupool was told. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if its scheduler is another one, with `ESRCH` if there is no such cpupool.
    #[doc(alias = "xc_sched_credit_params_get")]
    #[doc(alias = "XEN_SYSCTL_scheduler_op")]
    pub fn credit(&self) -> Result<Credit, Error> {
        let parameters: CreditSchedule = self.scheduler_parameters()?;
        Ok(Credit {
            timeslice: Duration::from_millis(parameters.tslice_ms.into()),
            ratelimit: from_microseconds(parameters.ratelimit_us),
            migration_delay: from_microseconds(parameters.vcpu_migr_delay_us),
        })
    }

    /// Tells the credit scheduler of this cpupool. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`credit`](Self::credit); also [`Error::Refused`] with `EINVAL` for values outside their limits.
    #[doc(alias = "xc_sched_credit_params_set")]
    pub fn set_credit(&self, credit: &Credit) -> Result<(), Error> {
        self.set_scheduler_parameters(CreditSchedule {
            tslice_ms: u32::try_from(credit.timeslice.as_millis()).unwrap_or(u32::MAX),
            ratelimit_us: microseconds(credit.ratelimit),
            vcpu_migr_delay_us: microseconds(credit.migration_delay),
        })
    }
}

impl Domain<'_> {
    /// What the credit scheduler knows of the domain. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if its cpupool has another scheduler.
    #[doc(alias = "xc_sched_credit_domain_get")]
    #[doc(alias = "XEN_DOMCTL_scheduler_op")]
    pub fn credit(&self) -> Result<Share, Error> {
        let DomainCredit { weight, cap } = self.scheduler_parameters()?;
        Ok(Share { weight, cap: (cap != 0).then_some(cap) })
    }

    /// Tells the credit scheduler about the domain. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`credit`](Self::credit).
    #[doc(alias = "xc_sched_credit_domain_set")]
    pub fn set_credit(&self, share: Share) -> Result<(), Error> {
        let parameters = DomainCredit { weight: share.weight, cap: super::cap(share.cap) };
        self.set_scheduler_parameters(parameters)
    }
}
