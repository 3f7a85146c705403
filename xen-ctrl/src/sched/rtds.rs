//! The rtds scheduler: real time.

use std::time::Duration;

use xen_sys::xen_public::domctl::{DomainRtds, SCHEDRT_EXTRA, VcpuParameters, VcpuRtds};
use xen_sys::xen_public::errno::EINVAL;

use super::{from_microseconds, microseconds};
use crate::{Domain, Error, VcpuId};

/// The time that a vCPU can count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "xen_domctl_sched_rtds")]
pub struct Reservation {
    /// In each of these periods, in whole microseconds,
    pub period: Duration,
    /// it runs so long, not more than the period, in whole microseconds;
    pub budget: Duration,
    /// and then goes on if there is time left.
    pub extra_time: bool,
}

impl Default for Reservation {
    /// What Xen gives to a new vCPU: 4 ms of every 10 ms, and what is left.
    fn default() -> Self {
        Self { period: Duration::from_millis(10), budget: Duration::from_millis(4), extra_time: true }
    }
}

impl From<DomainRtds> for Reservation {
    fn from(record: DomainRtds) -> Self {
        Self {
            period: from_microseconds(record.period),
            budget: from_microseconds(record.budget),
            extra_time: record.flags & SCHEDRT_EXTRA != 0,
        }
    }
}

impl From<Reservation> for DomainRtds {
    fn from(reservation: Reservation) -> Self {
        Self {
            period: microseconds(reservation.period),
            budget: microseconds(reservation.budget),
            flags: if reservation.extra_time { SCHEDRT_EXTRA } else { 0 },
        }
    }
}

impl Domain<'_> {
    /// What the rtds scheduler gives to a new vCPU. Of extra time, Xen says nothing: new vCPUs have it. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if the domain's cpupool has another scheduler.
    #[doc(alias = "xc_sched_rtds_domain_get")]
    pub fn rtds_default(&self) -> Result<Reservation, Error> {
        let record = self.scheduler_parameters::<DomainRtds>()?;
        Ok(Reservation { extra_time: true, ..record.into() })
    }

    /// Sets period and budget of all vCPUs of the domain. Who has extra time keeps it: that is set for each vCPU
    /// ([`set_rtds_vcpus`](Self::set_rtds_vcpus)). One hypercall.
    ///
    /// # Errors
    ///
    /// As [`rtds_default`](Self::rtds_default); also [`Error::Refused`] with `EINVAL` if budget or period are zero or too long, or the
    /// budget is longer than the period.
    #[doc(alias = "xc_sched_rtds_domain_set")]
    pub fn set_rtds(&self, period: Duration, budget: Duration) -> Result<(), Error> {
        // Xen does not look, here
        if budget > period {
            return Err(Error::refused("XEN_DOMCTL_scheduler_op", Some(self.id), EINVAL));
        }
        self.set_scheduler_parameters(DomainRtds::from(Reservation { period, budget, extra_time: false }))
    }

    /// The reservations of these vCPUs, in their order. One hypercall, or a few if there are more than 64.
    ///
    /// # Errors
    ///
    /// As [`rtds_default`](Self::rtds_default); also [`Error::Refused`] with `EINVAL` if there is no such vCPU.
    #[doc(alias = "xc_sched_rtds_vcpu_get")]
    pub fn rtds(&self, vcpus: &[VcpuId]) -> Result<Vec<Reservation>, Error> {
        let asked = vcpus.iter().map(|vcpu| VcpuRtds { vcpuid: vcpu.get(), ..VcpuRtds::default() });
        let answers = self.vcpu_reservations(false, asked.collect())?;
        Ok(answers.iter().map(|vcpu| vcpu.rtds.into()).collect())
    }

    /// Gives each of these vCPUs a reservation. One hypercall, or a few if there are more than 64.
    ///
    /// # Errors
    ///
    /// As [`set_rtds`](Self::set_rtds); with `EINVAL` also if there is no such vCPU. Those in front of it have got theirs then.
    #[doc(alias = "xc_sched_rtds_vcpu_set")]
    pub fn set_rtds_vcpus(&self, vcpus: &[(VcpuId, Reservation)]) -> Result<(), Error> {
        let given = vcpus
            .iter()
            .map(|(vcpu, reservation)| VcpuRtds { rtds: (*reservation).into(), vcpuid: vcpu.get() });
        self.vcpu_reservations(true, given.collect()).map(drop)
    }

    /// Goes through a list of vCPUs. Xen looks at 64 at least, and then returns if somebody else waits for the CPU.
    fn vcpu_reservations(&self, set: bool, mut list: Vec<VcpuRtds>) -> Result<Vec<VcpuRtds>, Error> {
        let mut done = 0;
        while done < list.len() {
            let mut rest = self.xen.xencall().buffer_from(&list[done..])?;
            let answer = self.xen.domctl(self.id, &VcpuParameters { set, vcpus: rest.lend() })?;
            let count = usize::try_from(answer.vcpus_done()).unwrap_or(usize::MAX).clamp(1, rest.len());
            list[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
        }
        Ok(list)
    }
}
