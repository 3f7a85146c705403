//! How deep idle CPUs sleep, and how the scheduler spreads load.

use xen_sys::xen_public::sysctl::{CX_UNLIMITED, PowerManagement};

use super::Host;
use crate::Error;

impl Host<'_> {
    /// The deepest C-state that idle CPUs may enter; `None` for any. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on Arm; [`Error::Denied`].
    #[doc(alias = "xc_get_cpuidle_max_cstate")]
    #[doc(alias = "XEN_SYSCTL_pm_op_get_max_cstate")]
    pub fn max_cstate(&self) -> Result<Option<u32>, Error> {
        self.power(&PowerManagement::max_cstate(false)).map(limit)
    }

    /// Limits the C-states that idle CPUs may enter; `None` for no limit. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`max_cstate`](Self::max_cstate).
    #[doc(alias = "xc_set_cpuidle_max_cstate")]
    #[doc(alias = "XEN_SYSCTL_pm_op_set_max_cstate")]
    pub fn set_max_cstate(&self, limit: Option<u32>) -> Result<(), Error> {
        self.power(&PowerManagement::set_max_cstate(false, limit.unwrap_or(CX_UNLIMITED))).map(drop)
    }

    /// The deepest sub-state of [`max_cstate`](Self::max_cstate) that idle CPUs may enter; `None` for any. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`max_cstate`](Self::max_cstate).
    #[doc(alias = "xc_get_cpuidle_max_csubstate")]
    pub fn max_cstate_substate(&self) -> Result<Option<u32>, Error> {
        self.power(&PowerManagement::max_cstate(true)).map(limit)
    }

    /// Limits the sub-states of [`max_cstate`](Self::max_cstate); `None` for no limit. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`max_cstate`](Self::max_cstate).
    #[doc(alias = "xc_set_cpuidle_max_csubstate")]
    pub fn set_max_cstate_substate(&self, limit: Option<u32>) -> Result<(), Error> {
        self.power(&PowerManagement::set_max_cstate(true, limit.unwrap_or(CX_UNLIMITED))).map(drop)
    }

    /// Sets whether the scheduler fills a core's threads before it takes other cores, so that those can sleep. Gives what was set
    /// before. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`max_cstate`](Self::max_cstate).
    #[doc(alias = "xc_set_sched_opt_smt")]
    #[doc(alias = "XEN_SYSCTL_pm_op_set_sched_opt_smt")]
    pub fn set_smt_power_savings(&self, wanted: bool) -> Result<bool, Error> {
        self.power(&PowerManagement::set_smt_power_savings(wanted)).map(|before| before != 0)
    }

    fn power(self, operation: &PowerManagement) -> Result<u32, Error> {
        Ok(self.xen.sysctl(operation)?.value())
    }
}

fn limit(value: u32) -> Option<u32> {
    (value != CX_UNLIMITED).then_some(value)
}
