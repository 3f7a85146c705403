//! What CPUID and MSRs show to a domain. Only x86 has that.

use xen_call::Attempt;
use xen_sys::xen_public::sysctl::{DomainCpuPolicyRecord, GetDomainCpuPolicy, SetDomainCpuPolicy};

use super::Domain;
use crate::Error;
use crate::host::{CpuPolicy, PolicyMemory};

/// In place of a leaf, sub-leaf or MSR that Xen does not name.
const UNNAMED: u32 = u32::MAX;

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
    /// domain; [`Error::CpuPolicy`], which names leaf or MSR, with `EINVAL` for what this host or Xen cannot provide, `ERANGE` for a leaf
    /// or MSR that no policy has, `EOVERFLOW` for a value that is too large; where Xen does not name it, [`Error::Refused`] with the same
    /// numbers; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpu_policy_set_domain")]
    #[doc(alias = "XEN_DOMCTL_set_cpu_policy")]
    pub fn set_cpu_policy(&self, policy: &CpuPolicy) -> Result<(), Error> {
        let mut memory = PolicyMemory::holding(self.xen, policy)?;
        let operation = SetDomainCpuPolicy { leaves: memory.leaves.lend(), msrs: memory.msrs.lend() };
        let Attempt { result, record } = self.xen.attempt_domctl(self.id, &operation)?;
        result.map(drop).map_err(|error| self.name_objection(error, &record))
    }

    /// Says what of the policy Xen objects to, if it tells.
    fn name_objection(&self, error: Error, record: &DomainCpuPolicyRecord) -> Error {
        let named = |number: u32| (number != UNNAMED).then_some(number);
        let (leaf, msr) = (named(record.err_leaf), named(record.err_msr));
        match error {
            Error::Refused { operation, source, .. } if leaf.or(msr).is_some() => {
                let subleaf = leaf.and_then(|_| named(record.err_subleaf));
                Error::CpuPolicy { operation, domain: self.id, leaf, subleaf, msr, source }
            }
            error => error,
        }
    }
}
