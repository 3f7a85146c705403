//! CPU policies: what CPUID and MSRs show, to a kind of domain or to one. Only x86 has them.

use xen_call::HypercallBuffer;
use xen_sys::xen_public::operation::GuestMemory;
use xen_sys::xen_public::sysctl::{self, CPUID_NO_SUBLEAF, GetCpuPolicy};

use super::{Host, size};
use crate::{Error, Xenctrl};

/// Whose policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SystemPolicy {
    /// What the processor has.
    Raw,
    /// What Xen uses.
    Host,
    /// The most that PV domains can get.
    PvMax,
    /// The most that HVM and PVH domains can get.
    HvmMax,
    /// What PV domains get.
    PvDefault,
    /// What HVM and PVH domains get.
    HvmDefault,
}

impl SystemPolicy {
    fn index(self) -> u32 {
        match self {
            Self::Raw => sysctl::CPU_POLICY_RAW,
            Self::Host => sysctl::CPU_POLICY_HOST,
            Self::PvMax => sysctl::CPU_POLICY_PV_MAX,
            Self::HvmMax => sysctl::CPU_POLICY_HVM_MAX,
            Self::PvDefault => sysctl::CPU_POLICY_PV_DEFAULT,
            Self::HvmDefault => sysctl::CPU_POLICY_HVM_DEFAULT,
        }
    }
}

/// What CPUID answers to a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuidLeaf {
    /// The leaf.
    pub leaf: u32,
    /// The sub-leaf, if the leaf has some.
    pub subleaf: Option<u32>,
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// What a model specific register shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsrValue {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: u64,
}

/// What CPUID and MSRs show, as Xen serialises it. Leaves that are all zero are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuPolicy {
    /// CPUID.
    pub leaves: Vec<CpuidLeaf>,
    /// MSRs.
    pub msrs: Vec<MsrValue>,
}

impl CpuPolicy {
    /// What CPUID answers to a leaf; `None` if the policy does not have it.
    #[must_use]
    pub fn leaf(&self, leaf: u32, subleaf: Option<u32>) -> Option<&CpuidLeaf> {
        self.leaves.iter().find(|entry| (entry.leaf, entry.subleaf) == (leaf, subleaf))
    }

    /// What an MSR shows; `None` if the policy does not have it.
    #[must_use]
    pub fn msr(&self, number: u32) -> Option<u64> {
        self.msrs.iter().find(|entry| entry.number == number).map(|entry| entry.value)
    }
}

/// A policy in memory that Xen can reach.
pub(crate) struct PolicyMemory {
    pub(crate) leaves: HypercallBuffer<[sysctl::CpuidLeaf]>,
    pub(crate) msrs: HypercallBuffer<[sysctl::MsrEntry]>,
}

impl PolicyMemory {
    /// Room for any policy. One hypercall.
    pub(crate) fn for_any(xen: &Xenctrl) -> Result<Self, Error> {
        let index = sysctl::CPU_POLICY_HOST;
        let sizes =
            xen.sysctl(&GetCpuPolicy { index, leaves: GuestMemory::NULL, msrs: GuestMemory::NULL })?;
        Ok(Self {
            leaves: xen.xencall().zeroed_buffer(size(sizes.nr_leaves))?,
            msrs: xen.xencall().zeroed_buffer(size(sizes.nr_msrs))?,
        })
    }

    /// A policy that is to be set.
    pub(crate) fn holding(xen: &Xenctrl, policy: &CpuPolicy) -> Result<Self, Error> {
        let leaves: Vec<_> = policy.leaves.iter().map(leaf_record).collect();
        let msrs: Vec<_> = policy.msrs.iter().map(msr_record).collect();
        Ok(Self { leaves: xen.xencall().buffer_from(&leaves)?, msrs: xen.xencall().buffer_from(&msrs)? })
    }

    /// The policy that Xen has written there, of so many leaves and MSRs.
    pub(crate) fn policy(&self, leaves: u32, msrs: u32) -> CpuPolicy {
        CpuPolicy {
            leaves: self.leaves.iter().take(size(leaves)).map(leaf).collect(),
            msrs: self.msrs.iter().take(size(msrs)).map(msr).collect(),
        }
    }
}

impl Host<'_> {
    /// What CPUID and MSRs show to a kind of domain. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if Xen was built without such domains; [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cpu_policy_get_system")]
    #[doc(alias = "XEN_SYSCTL_get_cpu_policy")]
    pub fn cpu_policy(&self, policy: SystemPolicy) -> Result<CpuPolicy, Error> {
        let mut memory = PolicyMemory::for_any(self.xen)?;
        let answer = self.xen.sysctl(&GetCpuPolicy {
            index: policy.index(),
            leaves: memory.leaves.lend(),
            msrs: memory.msrs.lend(),
        })?;
        Ok(memory.policy(answer.nr_leaves, answer.nr_msrs))
    }
}

fn leaf(record: &sysctl::CpuidLeaf) -> CpuidLeaf {
    CpuidLeaf {
        leaf: record.leaf,
        subleaf: (record.subleaf != CPUID_NO_SUBLEAF).then_some(record.subleaf),
        eax: record.a,
        ebx: record.b,
        ecx: record.c,
        edx: record.d,
    }
}

fn leaf_record(leaf: &CpuidLeaf) -> sysctl::CpuidLeaf {
    sysctl::CpuidLeaf {
        leaf: leaf.leaf,
        subleaf: leaf.subleaf.unwrap_or(CPUID_NO_SUBLEAF),
        a: leaf.eax,
        b: leaf.ebx,
        c: leaf.ecx,
        d: leaf.edx,
    }
}

fn msr(record: &sysctl::MsrEntry) -> MsrValue {
    MsrValue { number: record.idx, value: record.val }
}

fn msr_record(msr: &MsrValue) -> sysctl::MsrEntry {
    sysctl::MsrEntry { idx: msr.number, flags: 0, val: msr.value }
}
