//! What CPUID and MSRs show to domains.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

#[cfg(target_arch = "x86_64")]
pub use x86::*;

constants! { u32:
    /// Features: what the processor has.
    CPU_FEATURESET_RAW = "XEN_SYSCTL_cpu_featureset_raw" = 0;
    /// Features: what Xen uses.
    CPU_FEATURESET_HOST = "XEN_SYSCTL_cpu_featureset_host" = 1;
    /// Features: what PV domains get.
    CPU_FEATURESET_PV = "XEN_SYSCTL_cpu_featureset_pv" = 2;
    /// Features: what HVM domains get.
    CPU_FEATURESET_HVM = "XEN_SYSCTL_cpu_featureset_hvm" = 3;
    /// Features: what PV domains can get.
    CPU_FEATURESET_PV_MAX = "XEN_SYSCTL_cpu_featureset_pv_max" = 4;
    /// Features: what HVM domains can get.
    CPU_FEATURESET_HVM_MAX = "XEN_SYSCTL_cpu_featureset_hvm_max" = 5;
}

/// `struct xen_sysctl_cpu_featureset`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cpu_featureset")]
pub struct CpuFeaturesetRecord {
    /// `CPU_FEATURESET_*`
    pub index: u32,
    /// How many words at most; answer: how many are in the answer, or, if there is no memory for it, how many there are.
    pub nr_features: u32,
    /// Address of the words, or 0.
    pub features: u64,
}
layout!(CpuFeaturesetRecord = "struct xen_sysctl_cpu_featureset", 16, index @ 0, nr_features @ 4, features @ 8);

/// Reads a set of processor features.
#[derive(Debug)]
pub struct GetCpuFeatureset<'a> {
    /// `CPU_FEATURESET_*`
    pub index: u32,
    /// Where the words go, `u32`. [`GuestMemory::NULL`]: only their number is told.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `nr_features` words, which is what the memory has room for.
unsafe impl Sysctl for GetCpuFeatureset<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_get_cpu_featureset" = 26);
    type Record = CpuFeaturesetRecord;

    fn record(&self) -> CpuFeaturesetRecord {
        CpuFeaturesetRecord {
            index: self.index,
            nr_features: self.into.room::<u32>(),
            features: self.into.address(),
        }
    }
}

/// What only x86 has.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{
        Command, FromBytes, GuestMemory, Immutable, IntoBytes, KnownLayout, Sysctl, command, constants,
        layout,
    };
    use crate::xen_public::domctl::Domctl;

    constants! { u32:
        /// Policy: what the processor has.
        CPU_POLICY_RAW = "XEN_SYSCTL_cpu_policy_raw" = 0;
        /// Policy: what Xen uses.
        CPU_POLICY_HOST = "XEN_SYSCTL_cpu_policy_host" = 1;
        /// Policy: what PV domains can get.
        CPU_POLICY_PV_MAX = "XEN_SYSCTL_cpu_policy_pv_max" = 2;
        /// Policy: what HVM domains can get.
        CPU_POLICY_HVM_MAX = "XEN_SYSCTL_cpu_policy_hvm_max" = 3;
        /// Policy: what PV domains get.
        CPU_POLICY_PV_DEFAULT = "XEN_SYSCTL_cpu_policy_pv_default" = 4;
        /// Policy: what HVM domains get.
        CPU_POLICY_HVM_DEFAULT = "XEN_SYSCTL_cpu_policy_hvm_default" = 5;
        /// A leaf that has no sub-leaves.
        CPUID_NO_SUBLEAF = "XEN_CPUID_NO_SUBLEAF" = 0xffff_ffff;
    }

    /// `xen_cpuid_leaf_t`: what CPUID answers.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[doc(alias = "xen_cpuid_leaf")]
    pub struct CpuidLeaf {
        /// Leaf.
        pub leaf: u32,
        /// Sub-leaf, or [`CPUID_NO_SUBLEAF`].
        pub subleaf: u32,
        /// EAX.
        pub a: u32,
        /// EBX.
        pub b: u32,
        /// ECX.
        pub c: u32,
        /// EDX.
        pub d: u32,
    }
    layout!(CpuidLeaf = "struct xen_cpuid_leaf", 24, leaf @ 0, subleaf @ 4, a @ 8, b @ 12, c @ 16, d @ 20);

    /// `xen_msr_entry_t`: what an MSR holds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[doc(alias = "xen_msr_entry")]
    pub struct MsrEntry {
        /// Its number.
        pub idx: u32,
        /// Zero.
        pub flags: u32,
        /// Its value.
        pub val: u64,
    }
    layout!(MsrEntry = "struct xen_msr_entry", 16, idx @ 0, flags @ 4, val @ 8);

    /// `struct xen_sysctl_cpu_policy`
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[doc(alias = "xen_sysctl_cpu_policy")]
    pub struct CpuPolicyRecord {
        /// `CPU_POLICY_*`
        pub index: u32,
        /// How many leaves at most; answer: how many are in the answer, or, if there is no memory, how many there can be.
        pub nr_leaves: u32,
        /// The same for MSRs.
        pub nr_msrs: u32,
        /// Zero.
        pub pad: u32,
        /// Address of the leaves, or 0.
        pub leaves: u64,
        /// Address of the MSRs, or 0.
        pub msrs: u64,
    }
    layout!(
        CpuPolicyRecord = "struct xen_sysctl_cpu_policy", 32,
        index @ 0, nr_leaves @ 4, nr_msrs @ 8, leaves @ 16, msrs @ 24,
    );

    /// Reads what CPUID and MSRs show to a kind of domain.
    #[derive(Debug)]
    pub struct GetCpuPolicy<'a> {
        /// `CPU_POLICY_*`
        pub index: u32,
        /// Where the [`CpuidLeaf`]s go. [`GuestMemory::NULL`]: only their number is told.
        pub leaves: GuestMemory<'a>,
        /// Where the [`MsrEntry`]s go. [`GuestMemory::NULL`]: only their number is told.
        pub msrs: GuestMemory<'a>,
    }

    // SAFETY: Xen writes at most `nr_leaves` leaves and `nr_msrs` MSRs, for which there is room.
    unsafe impl Sysctl for GetCpuPolicy<'_> {
        const COMMAND: Command = command!("XEN_SYSCTL_get_cpu_policy" = 29);
        type Record = CpuPolicyRecord;

        fn record(&self) -> CpuPolicyRecord {
            CpuPolicyRecord {
                index: self.index,
                nr_leaves: self.leaves.room::<CpuidLeaf>(),
                nr_msrs: self.msrs.room::<MsrEntry>(),
                pad: 0,
                leaves: self.leaves.address(),
                msrs: self.msrs.address(),
            }
        }
    }

    /// `struct xen_domctl_cpu_policy`
    #[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    #[doc(alias = "xen_domctl_cpu_policy")]
    pub struct DomainCpuPolicyRecord {
        /// How many leaves; answer to reading: how many are in the answer.
        pub nr_leaves: u32,
        /// The same for MSRs.
        pub nr_msrs: u32,
        /// Address of the leaves.
        pub leaves: u64,
        /// Address of the MSRs.
        pub msrs: u64,
        /// All ones; answer to some failed writing: the leaf that Xen objects to.
        pub err_leaf: u32,
        /// All ones; answer: its sub-leaf.
        pub err_subleaf: u32,
        /// All ones; answer to some failed writing: the MSR that Xen objects to.
        pub err_msr: u32,
        /// Zero.
        pub pad: u32,
    }
    layout!(
        DomainCpuPolicyRecord = "struct xen_domctl_cpu_policy", 40,
        nr_leaves @ 0, nr_msrs @ 4, leaves @ 8, msrs @ 16, err_leaf @ 24, err_subleaf @ 28, err_msr @ 32,
    );

    impl DomainCpuPolicyRecord {
        fn new(leaves: &GuestMemory<'_>, msrs: &GuestMemory<'_>) -> Self {
            Self {
                nr_leaves: leaves.room::<CpuidLeaf>(),
                nr_msrs: msrs.room::<MsrEntry>(),
                leaves: leaves.address(),
                msrs: msrs.address(),
                err_leaf: u32::MAX,
                err_subleaf: u32::MAX,
                err_msr: u32::MAX,
                pad: 0,
            }
        }
    }

    /// Reads what CPUID and MSRs show to a domain.
    #[derive(Debug)]
    pub struct GetDomainCpuPolicy<'a> {
        /// Where the [`CpuidLeaf`]s go.
        pub leaves: GuestMemory<'a>,
        /// Where the [`MsrEntry`]s go.
        pub msrs: GuestMemory<'a>,
    }

    // SAFETY: Xen writes at most `nr_leaves` leaves and `nr_msrs` MSRs, for which there is room.
    unsafe impl Domctl for GetDomainCpuPolicy<'_> {
        const COMMAND: Command = command!("XEN_DOMCTL_get_cpu_policy" = 82);
        type Record = DomainCpuPolicyRecord;

        fn record(&self) -> DomainCpuPolicyRecord {
            DomainCpuPolicyRecord::new(&self.leaves, &self.msrs)
        }
    }

    /// Sets what CPUID and MSRs show to a domain; what is not named stays.
    #[derive(Debug)]
    pub struct SetDomainCpuPolicy<'a> {
        /// [`CpuidLeaf`]s.
        pub leaves: GuestMemory<'a>,
        /// [`MsrEntry`]s.
        pub msrs: GuestMemory<'a>,
    }

    // SAFETY: Xen reads `nr_leaves` leaves and `nr_msrs` MSRs, which is what the memory has.
    unsafe impl Domctl for SetDomainCpuPolicy<'_> {
        const COMMAND: Command = command!("XEN_DOMCTL_set_cpu_policy" = 83);
        type Record = DomainCpuPolicyRecord;

        fn record(&self) -> DomainCpuPolicyRecord {
            DomainCpuPolicyRecord::new(&self.leaves, &self.msrs)
        }
    }
}
