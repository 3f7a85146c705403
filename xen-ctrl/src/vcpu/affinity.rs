//! Where a vCPU runs.

use xen_sys::xen_public::domctl::{GetVcpuAffinity, SetVcpuAffinity};

use super::Vcpu;
use crate::{CpuMap, Error};

/// Where a vCPU runs, as it was set: its cpupool may have fewer CPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Affinity {
    /// It runs only there.
    pub hard: CpuMap,
    /// It runs there rather than elsewhere.
    pub soft: CpuMap,
}

/// Which of the two affinities is set.
enum Kind {
    Hard { force: bool },
    Soft,
}

impl Vcpu<'_> {
    /// Where the vCPU runs. Without a limit, all CPUs that the host has room for are in the maps. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_vcpu_getaffinity")]
    #[doc(alias = "XEN_DOMCTL_getvcpuaffinity")]
    pub fn affinity(&self) -> Result<Affinity, Error> {
        let bytes = CpuMap::bytes_of_host(self.xen)?;
        let mut hard = self.xen.xencall().zeroed_buffer::<u8>(bytes)?;
        let mut soft = self.xen.xencall().zeroed_buffer::<u8>(bytes)?;
        self.domctl(&GetVcpuAffinity { vcpu: self.id.get(), hard: hard.lend(), soft: soft.lend() })?;
        Ok(Affinity { hard: CpuMap::from_bytes(&hard), soft: CpuMap::from_bytes(&soft) })
    }

    /// Lets the vCPU run on these CPUs only. The answer is where it now can run: what of them is in its cpupool.
    ///
    /// CPUs that the host has not are ignored. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`]; also [`Error::Refused`] with `EINVAL` if none of the CPUs is in its cpupool, with `EBUSY`
    /// while the hardware domain holds it on one CPU: then [`force_hard_affinity`](Self::force_hard_affinity).
    #[doc(alias = "xc_vcpu_setaffinity")]
    #[doc(alias = "XEN_DOMCTL_setvcpuaffinity")]
    pub fn set_hard_affinity(&self, cpus: &CpuMap) -> Result<CpuMap, Error> {
        self.set_affinity(cpus, &Kind::Hard { force: false })
    }

    /// As [`set_hard_affinity`](Self::set_hard_affinity), and ends what the hardware domain may have chosen for the time being
    /// (`SCHEDOP_pin_override`).
    ///
    /// # Errors
    ///
    /// As [`set_hard_affinity`](Self::set_hard_affinity), without `EBUSY`.
    #[doc(alias = "XEN_VCPUAFFINITY_FORCE")]
    pub fn force_hard_affinity(&self, cpus: &CpuMap) -> Result<CpuMap, Error> {
        self.set_affinity(cpus, &Kind::Hard { force: true })
    }

    /// Lets the vCPU run on these CPUs rather than elsewhere. The answer is what that comes to: what of them is in its cpupool
    /// and in its hard affinity.
    ///
    /// CPUs that the host has not are ignored. Two hypercalls.
    ///
    /// # Errors
    ///
    /// As all operations: see [`Vcpu`].
    #[doc(alias = "xc_vcpu_setaffinity")]
    pub fn set_soft_affinity(&self, cpus: &CpuMap) -> Result<CpuMap, Error> {
        self.set_affinity(cpus, &Kind::Soft)
    }

    fn set_affinity(&self, cpus: &CpuMap, kind: &Kind) -> Result<CpuMap, Error> {
        let mut bytes = cpus.to_bytes();
        bytes.resize(CpuMap::bytes_of_host(self.xen)?, 0);
        let mut map = self.xen.xencall().buffer_from(&bytes)?;
        let vcpu = self.id.get();
        self.domctl(&match *kind {
            Kind::Hard { force } => SetVcpuAffinity { vcpu, hard: Some(map.lend()), soft: None, force },
            Kind::Soft => SetVcpuAffinity { vcpu, hard: None, soft: Some(map.lend()), force: false },
        })?;
        Ok(CpuMap::from_bytes(&map))
    }
}
