//! `XEN_DOMCTL_createdomain`, whose record changed in every second release: a type for each form.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::domctl;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// An HVM or PVH domain.
    CDF_HVM = "XEN_DOMCTL_CDF_hvm" = 1 << 0;
    /// With hardware-assisted paging.
    CDF_HAP = "XEN_DOMCTL_CDF_hap" = 1 << 1;
    /// Memory integrity is checked when the host wakes up (S3).
    CDF_S3_INTEGRITY = "XEN_DOMCTL_CDF_s3_integrity" = 1 << 2;
    /// Shadow paging without out-of-sync pages.
    CDF_OOS_OFF = "XEN_DOMCTL_CDF_oos_off" = 1 << 3;
    /// The domain that runs xenstore.
    CDF_XS_DOMAIN = "XEN_DOMCTL_CDF_xs_domain" = 1 << 4;
    /// Devices may be passed through.
    CDF_IOMMU = "XEN_DOMCTL_CDF_iommu" = 1 << 5;
    /// Nested virtualization (Xen 4.15+).
    CDF_NESTED_VIRT = "XEN_DOMCTL_CDF_nested_virt" = 1 << 6;
    /// A virtual PMU (Xen 4.16+).
    CDF_VPMU = "XEN_DOMCTL_CDF_vpmu" = 1 << 7;
    /// Accesses to memory that is not mapped are emulated (Xen 4.21+).
    CDF_TRAP_UNMAPPED_ACCESSES = "XEN_DOMCTL_CDF_trap_unmapped_accesses" = 1 << 8;
    /// The IOMMU gets page tables of its own.
    IOMMU_NO_SHAREPT = "XEN_DOMCTL_IOMMU_no_sharept" = 1 << 0;
    /// The bits of `grant_opts` that hold the highest version of the grant table (Xen 4.16+).
    GRANT_VERSION_MASK = "XEN_DOMCTL_GRANT_version_mask" = 0xf;
    /// Model-specific registers that Xen does not know can be read (Xen 4.15+).
    X86_MSR_RELAXED = "XEN_X86_MSR_RELAXED" = 1;
    /// Local interrupt controllers.
    X86_EMU_LAPIC = "XEN_X86_EMU_LAPIC" = 1 << 0;
    /// High precision timers.
    X86_EMU_HPET = "XEN_X86_EMU_HPET" = 1 << 1;
    /// Power management.
    X86_EMU_PM = "XEN_X86_EMU_PM" = 1 << 2;
    /// The clock.
    X86_EMU_RTC = "XEN_X86_EMU_RTC" = 1 << 3;
    /// The interrupt controller of buses.
    X86_EMU_IOAPIC = "XEN_X86_EMU_IOAPIC" = 1 << 4;
    /// The old interrupt controller.
    X86_EMU_PIC = "XEN_X86_EMU_PIC" = 1 << 5;
    /// Memory of the screen.
    X86_EMU_VGA = "XEN_X86_EMU_VGA" = 1 << 6;
    /// An IOMMU.
    X86_EMU_IOMMU = "XEN_X86_EMU_IOMMU" = 1 << 7;
    /// The old timer.
    X86_EMU_PIT = "XEN_X86_EMU_PIT" = 1 << 8;
    /// Interrupts as event channels.
    X86_EMU_USE_PIRQ = "XEN_X86_EMU_USE_PIRQ" = 1 << 9;
    /// The configuration space of PCI.
    X86_EMU_VPCI = "XEN_X86_EMU_VPCI" = 1 << 10;
}

constants! { u8:
    /// An interrupt controller like the host's.
    CONFIG_GIC_NATIVE = "XEN_DOMCTL_CONFIG_GIC_NATIVE" = 0;
    /// Version 2.
    CONFIG_GIC_V2 = "XEN_DOMCTL_CONFIG_GIC_V2" = 1;
    /// Version 3.
    CONFIG_GIC_V3 = "XEN_DOMCTL_CONFIG_GIC_V3" = 2;
}

constants! { u16:
    /// The guest switches views of memory itself, and others do too (Xen 4.19+).
    ALTP2M_MIXED = "XEN_DOMCTL_ALTP2M_mixed" = 1;
    /// Others do (Xen 4.19+).
    ALTP2M_EXTERNAL = "XEN_DOMCTL_ALTP2M_external" = 2;
    /// The guest does, but cannot make any (Xen 4.19+).
    ALTP2M_LIMITED = "XEN_DOMCTL_ALTP2M_limited" = 3;
    /// No trusted execution environment.
    CONFIG_TEE_NONE = "XEN_DOMCTL_CONFIG_TEE_NONE" = 0;
    /// OP-TEE.
    CONFIG_TEE_OPTEE = "XEN_DOMCTL_CONFIG_TEE_OPTEE" = 1;
    /// Arm's Firmware Framework (Xen 4.18+).
    CONFIG_TEE_FFA = "XEN_DOMCTL_CONFIG_TEE_FFA" = 2;
}

/// `struct xen_arch_domainconfig` of x86, of Xen 4.15 and later: what the hypervisor emulates for the domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_arch_domainconfig")]
pub struct X86Config {
    /// `XEN_X86_EMU_*`: 0 for a PV domain.
    pub emulation_flags: u32,
    /// `XEN_X86_*`: bit 0 lets the domain access model-specific registers that Xen does not know.
    pub misc_flags: u32,
}
#[cfg(target_arch = "x86_64")]
layout!(X86Config = "struct xen_arch_domainconfig" (4.15..=4.22), 8, emulation_flags @ 0, misc_flags @ 4);

/// `struct xen_arch_domainconfig` of Arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_arch_domainconfig")]
pub struct ArmConfig {
    /// `XEN_DOMCTL_CONFIG_GIC_*`; Xen puts in which one it chose.
    pub gic_version: u8,
    /// Length of scalable vectors, in units of 128 bits; 0 for none (Xen 4.18+).
    pub sve_vl: u8,
    /// `XEN_DOMCTL_CONFIG_TEE_*`
    pub tee_type: u16,
    /// How many shared interrupts there are.
    pub nr_spis: u32,
    /// Answer: the clock's frequency, if it is not in the clock's own register.
    pub clock_frequency: u32,
}
#[cfg(target_arch = "aarch64")]
layout!(
    ArmConfig = "struct xen_arch_domainconfig" (4.18..=4.20), 12,
    gic_version @ 0, sve_vl @ 1, tee_type @ 2, nr_spis @ 4, clock_frequency @ 8,
);

/// `struct xen_arch_domainconfig` of Arm, of Xen 4.21 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_arch_domainconfig")]
pub struct ArmConfig421 {
    /// `XEN_DOMCTL_CONFIG_GIC_*`; Xen puts in which one it chose.
    pub gic_version: u8,
    /// Length of scalable vectors, in units of 128 bits; 0 for none.
    pub sve_vl: u8,
    /// `XEN_DOMCTL_CONFIG_TEE_*`
    pub tee_type: u16,
    /// How many shared interrupts there are.
    pub nr_spis: u32,
    /// Answer: the clock's frequency, if it is not in the clock's own register.
    pub clock_frequency: u32,
    /// `XEN_DOMCTL_CONFIG_ARM_SCI_*`
    pub arm_sci_type: u8,
    /// Xen 4.22+
    pub v8r_el1_msa: u8,
    /// Zero.
    pub pad: u16,
}
#[cfg(target_arch = "aarch64")]
layout!(
    ArmConfig421 = "struct xen_arch_domainconfig" (4.22), 16,
    gic_version @ 0, sve_vl @ 1, tee_type @ 2, nr_spis @ 4, clock_frequency @ 8, arm_sci_type @ 12, v8r_el1_msa @ 13,
);

impl From<ArmConfig421> for ArmConfig {
    /// Leaves out what older versions do not have.
    fn from(config: ArmConfig421) -> Self {
        Self {
            gic_version: config.gic_version,
            sve_vl: config.sve_vl,
            tee_type: config.tee_type,
            nr_spis: config.nr_spis,
            clock_frequency: config.clock_frequency,
        }
    }
}

/// `struct xen_domctl_createdomain` as far as it is the same in all versions.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomainHead {
    /// The security label.
    pub ssidref: u32,
    /// The UUID.
    pub handle: [u8; 16],
    /// `CDF_*`. A bit that this hypervisor does not know is refused.
    pub flags: u32,
    /// `IOMMU_*`
    pub iommu_opts: u32,
    /// How many vCPUs there can be.
    pub max_vcpus: u32,
    /// The highest event channel port.
    pub max_evtchn_port: u32,
    /// How many frames the grant table can have; negative for Xen's default.
    pub max_grant_frames: i32,
    /// How many frames the table of mapped grants can have; negative for Xen's default.
    pub max_maptrack_frames: i32,
}
layout!(
    CreateDomainHead = "struct xen_domctl_createdomain" before "arch" (4.14), 44,
    ssidref @ 0, handle @ 4, flags @ 20, iommu_opts @ 24, max_vcpus @ 28, max_evtchn_port @ 32, max_grant_frames @ 36,
    max_maptrack_frames @ 40,
);
layout!(
    CreateDomainHead = "struct xen_domctl_createdomain" before "vmtrace_size" (4.15), 44,
    ssidref @ 0, handle @ 4, flags @ 20, iommu_opts @ 24, max_vcpus @ 28, max_evtchn_port @ 32, max_grant_frames @ 36,
    max_maptrack_frames @ 40,
);
layout!(
    CreateDomainHead = "struct xen_domctl_createdomain" before "grant_opts" (4.16..=4.22), 44,
    ssidref @ 0, handle @ 4, flags @ 20, iommu_opts @ 24, max_vcpus @ 28, max_evtchn_port @ 32, max_grant_frames @ 36,
    max_maptrack_frames @ 40,
);

/// `struct xen_domctl_createdomain` of Xen 4.14.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain414 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// What the hypervisor emulates: 0 for a PV domain.
    #[cfg(target_arch = "x86_64")]
    pub emulation_flags: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain414 = "struct xen_domctl_createdomain" (4.14), 48,
    emulation_flags("arch.emulation_flags") @ 44,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain414 = "struct xen_domctl_createdomain" (4.14), 56,
    arch @ 44,
);
domctl!(CreateDomain414, "XEN_DOMCTL_createdomain" = 1);

/// `struct xen_domctl_createdomain` of Xen 4.15.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain415 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// Bytes of trace buffer of each vCPU; 0 for none.
    pub vmtrace_size: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "x86_64")]
    pub arch: X86Config,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain415 = "struct xen_domctl_createdomain" (4.15), 56,
    vmtrace_size @ 44, arch @ 48,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain415 = "struct xen_domctl_createdomain" (4.15), 60,
    vmtrace_size @ 44, arch @ 48,
);
domctl!(CreateDomain415, "XEN_DOMCTL_createdomain" = 1);

/// `struct xen_domctl_createdomain` of Xen 4.16.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain416 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// The highest version of the grant table, 1 or 2, in [`GRANT_VERSION_MASK`]; 0 is refused.
    pub grant_opts: u32,
    /// Bytes of trace buffer of each vCPU; 0 for none.
    pub vmtrace_size: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "x86_64")]
    pub arch: X86Config,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain416 = "struct xen_domctl_createdomain" (4.16), 60,
    grant_opts @ 44, vmtrace_size @ 48, arch @ 52,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain416 = "struct xen_domctl_createdomain" (4.16), 64,
    grant_opts @ 44, vmtrace_size @ 48, arch @ 52,
);
domctl!(CreateDomain416, "XEN_DOMCTL_createdomain" = 1);

/// `struct xen_domctl_createdomain` of Xen 4.17 to 4.18.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain417 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// The highest version of the grant table, 1 or 2, in [`GRANT_VERSION_MASK`]; 0 is refused.
    pub grant_opts: u32,
    /// Bytes of trace buffer of each vCPU; 0 for none.
    pub vmtrace_size: u32,
    /// The cpupool.
    pub cpupool_id: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "x86_64")]
    pub arch: X86Config,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain417 = "struct xen_domctl_createdomain" (4.17..=4.18), 64,
    grant_opts @ 44, vmtrace_size @ 48, cpupool_id @ 52, arch @ 56,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain417 = "struct xen_domctl_createdomain" (4.17..=4.18), 68,
    grant_opts @ 44, vmtrace_size @ 48, cpupool_id @ 52, arch @ 56,
);
domctl!(CreateDomain417, "XEN_DOMCTL_createdomain" = 1);

/// `struct xen_domctl_createdomain` of Xen 4.19 to 4.20.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain419 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// The highest version of the grant table, 1 or 2, in [`GRANT_VERSION_MASK`]; 0 is refused.
    pub grant_opts: u32,
    /// The mode of alternate views of memory.
    pub altp2m_opts: u32,
    /// Bytes of trace buffer of each vCPU; 0 for none.
    pub vmtrace_size: u32,
    /// The cpupool.
    pub cpupool_id: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "x86_64")]
    pub arch: X86Config,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain419 = "struct xen_domctl_createdomain" (4.19..=4.20), 68,
    grant_opts @ 44, altp2m_opts @ 48, vmtrace_size @ 52, cpupool_id @ 56, arch @ 60,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain419 = "struct xen_domctl_createdomain" (4.19..=4.20), 72,
    grant_opts @ 44, altp2m_opts @ 48, vmtrace_size @ 52, cpupool_id @ 56, arch @ 60,
);
domctl!(CreateDomain419, "XEN_DOMCTL_createdomain" = 1);

/// `struct xen_domctl_createdomain` of Xen 4.21 to 4.22.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain421 {
    /// What all versions have.
    pub head: CreateDomainHead,
    /// The highest version of the grant table, 1 or 2, in [`GRANT_VERSION_MASK`]; 0 is refused.
    pub grant_opts: u32,
    /// The mode of alternate views of memory.
    pub altp2m_opts: u16,
    /// How many such views there can be; 0 for Xen's default.
    pub altp2m_nr: u16,
    /// Bytes of trace buffer of each vCPU; 0 for none.
    pub vmtrace_size: u32,
    /// The cpupool.
    pub cpupool_id: u32,
    /// What the architecture adds.
    #[cfg(target_arch = "x86_64")]
    pub arch: X86Config,
    /// What the architecture adds.
    #[cfg(target_arch = "aarch64")]
    pub arch: ArmConfig421,
}
#[cfg(target_arch = "x86_64")]
layout!(
    CreateDomain421 = "struct xen_domctl_createdomain" (4.21..=4.22), 68,
    grant_opts @ 44, altp2m_opts("altp2m.opts") @ 48, altp2m_nr("altp2m.nr") @ 50, vmtrace_size @ 52, cpupool_id @ 56, arch @ 60,
);
#[cfg(target_arch = "aarch64")]
layout!(
    CreateDomain421 = "struct xen_domctl_createdomain" (4.21..=4.22), 76,
    grant_opts @ 44, altp2m_opts("altp2m.opts") @ 48, altp2m_nr("altp2m.nr") @ 50, vmtrace_size @ 52, cpupool_id @ 56, arch @ 60,
);
domctl!(CreateDomain421, "XEN_DOMCTL_createdomain" = 1);
