//! What the processor can do, and what domains see of it.

use xen_sys::xen_public::operation::GuestMemory;
use xen_sys::xen_public::sysctl::{self, GetCpuFeatureset};

use super::{Host, size};
use crate::Error;

/// Whose processor features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FeatureSet {
    /// What the processor has.
    Raw,
    /// What Xen uses.
    Host,
    /// What PV domains get.
    Pv,
    /// What HVM and PVH domains get.
    Hvm,
    /// The most that PV domains can get.
    PvMax,
    /// The most that HVM and PVH domains can get.
    HvmMax,
}

impl FeatureSet {
    fn index(self) -> u32 {
        match self {
            Self::Raw => sysctl::CPU_FEATURESET_RAW,
            Self::Host => sysctl::CPU_FEATURESET_HOST,
            Self::Pv => sysctl::CPU_FEATURESET_PV,
            Self::Hvm => sysctl::CPU_FEATURESET_HVM,
            Self::PvMax => sysctl::CPU_FEATURESET_PV_MAX,
            Self::HvmMax => sysctl::CPU_FEATURESET_HVM_MAX,
        }
    }
}

impl Host<'_> {
    /// A set of processor features, as words of CPUID, in the order of Xen's `cpufeatureset.h`: leaf 1 EDX, leaf 1 ECX, leaf 0x80000001
    /// EDX, and so on; newer hypervisors have more of them. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on Arm, or if Xen was built without such domains; [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_get_cpu_featureset")]
    #[doc(alias = "XEN_SYSCTL_get_cpu_featureset")]
    pub fn cpu_features(&self, set: FeatureSet) -> Result<Vec<u32>, Error> {
        let index = set.index();
        let words = self.xen.sysctl(&GetCpuFeatureset { index, into: GuestMemory::NULL })?.nr_features;
        let mut features = self.xen.xencall().zeroed_buffer::<u32>(size(words))?;
        let answer = self.xen.sysctl(&GetCpuFeatureset { index, into: features.lend() })?;
        Ok(features.iter().copied().take(size(answer.nr_features)).collect())
    }
}
