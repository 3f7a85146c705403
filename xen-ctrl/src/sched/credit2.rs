//! The credit2 scheduler.

use std::time::Duration;

use xen_sys::xen_public::domctl::DomainCredit2;
use xen_sys::xen_public::sysctl::Credit2Schedule;

use super::{Share, from_microseconds, microseconds};
use crate::{CpuPool, Domain, Error};

impl CpuPool<'_> {
    /// How long a vCPU runs at least before another one takes its place, with the credit2 scheduler; zero for no limit. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if its scheduler is another one, with `ESRCH` if there is no such cpupool.
    #[doc(alias = "xc_sched_credit2_params_get")]
    pub fn credit2_ratelimit(&self) -> Result<Duration, Error> {
        let parameters: Credit2Schedule = self.scheduler_parameters()?;
        Ok(from_microseconds(parameters.ratelimit_us))
    }

    /// Sets that limit: 100 µs to 500 ms, in whole microseconds, or zero. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`credit2_ratelimit`](Self::credit2_ratelimit); also [`Error::Refused`] with `EINVAL` for other values.
    #[doc(alias = "xc_sched_credit2_params_set")]
    pub fn set_credit2_ratelimit(&self, ratelimit: Duration) -> Result<(), Error> {
        self.set_scheduler_parameters(Credit2Schedule { ratelimit_us: microseconds(ratelimit) })
    }
}

impl Domain<'_> {
    /// What the credit2 scheduler knows of the domain. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if its cpupool has another scheduler.
    #[doc(alias = "xc_sched_credit2_domain_get")]
    pub fn credit2(&self) -> Result<Share, Error> {
        let DomainCredit2 { weight, cap } = self.scheduler_parameters()?;
        Ok(Share { weight, cap: (cap != 0).then_some(cap) })
    }

    /// Tells the credit2 scheduler about the domain. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`credit2`](Self::credit2).
    #[doc(alias = "xc_sched_credit2_domain_set")]
    pub fn set_credit2(&self, share: Share) -> Result<(), Error> {
        let parameters = DomainCredit2 { weight: share.weight, cap: super::cap(share.cap) };
        self.set_scheduler_parameters(parameters)
    }
}
