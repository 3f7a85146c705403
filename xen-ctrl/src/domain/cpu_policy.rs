//! What CPUID and MSRs show to a domain. Only x86 has that.

use xen_sys::xen_public::sysctl::{GetDomainCpuPolicy, SetDomainCpuPolicy};

use super::Domain;
use crate::Error;
use crate::host::{CpuPolicy, PolicyMemory};

impl Domain<'_> {
    /// What CPUID and MSRs show to the domain. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpu_policy_get_domain")]
    #[doc(alias = "XEN_DOMCTL_get_cpu_policy")]
    pub fn cpu_policy(&self) -> Result<CpuPolicy, Error> {
        let mut memory = PolicyMemory::for_any(self.xen)?;
        let operation = GetDomainCpuPolicy { leaves: memory.leaves.lend(), msrs: memory.msrs.lend() };
        let answer = self.xen.domctl(self.id, &operation)?;
        Ok(memory.policy(answer.nr_leaves, answer.nr_msrs))
    }

    /// Sets what CPUID and MSRs show to a domain that has never run. Leaves and MSRs that `policy` does not name keep their values. One
    /// hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EEXIST` if the domain has run, `EINVAL` for the caller's own
    /// domain or for a policy that this host or Xen cannot provide, `ERANGE` for a leaf or MSR that no policy has; [`Error::Call`] if
    /// there is no memory.
    #[doc(alias = "xc_cpu_policy_set_domain")]
    #[doc(alias = "XEN_DOMCTL_set_cpu_policy")]
    pub fn set_cpu_policy(&self, policy: &CpuPolicy) -> Result<(), Error> {
        let mut memory = PolicyMemory::holding(self.xen, policy)?;
        let operation = SetDomainCpuPolicy { leaves: memory.leaves.lend(), msrs: memory.msrs.lend() };
        self.xen.domctl(self.id, &operation).map(drop)
    }
}
