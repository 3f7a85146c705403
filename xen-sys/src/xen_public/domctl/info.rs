//! `XEN_DOMCTL_getdomaininfo`, whose record is also that of the list of all domains.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

#[cfg(target_arch = "x86_64")]
use super::X86Config;
use super::domctl;
#[cfg(target_arch = "aarch64")]
use super::{ArmConfig, ArmConfig421};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Its resources are being freed.
    DOMINF_DYING = "XEN_DOMINF_dying" = 1 << 0;
    /// HVM or PVH.
    DOMINF_HVM_GUEST = "XEN_DOMINF_hvm_guest" = 1 << 1;
    /// It has shut down; the reason is in [`DOMINF_SHUTDOWN_MASK`].
    DOMINF_SHUTDOWN = "XEN_DOMINF_shutdown" = 1 << 2;
    /// A toolstack paused it.
    DOMINF_PAUSED = "XEN_DOMINF_paused" = 1 << 3;
    /// All of its vCPUs wait for events.
    DOMINF_BLOCKED = "XEN_DOMINF_blocked" = 1 << 4;
    /// One of its vCPUs runs.
    DOMINF_RUNNING = "XEN_DOMINF_running" = 1 << 5;
    /// A debugger holds it.
    DOMINF_DEBUGGED = "XEN_DOMINF_debugged" = 1 << 6;
    /// It runs xenstore.
    DOMINF_XS_DOMAIN = "XEN_DOMINF_xs_domain" = 1 << 7;
    /// It uses hardware-assisted paging.
    DOMINF_HAP = "XEN_DOMINF_hap" = 1 << 8;
    /// The reason of a shutdown, after shifting.
    DOMINF_SHUTDOWN_MASK = "XEN_DOMINF_shutdownmask" = 255;
    /// By how many bits.
    DOMINF_SHUTDOWN_SHIFT = "XEN_DOMINF_shutdownshift" = 16;
}

/// `struct xen_domctl_getdomaininfo` as far as it is the same in all versions.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_getdomaininfo")]
pub struct DomainInfoHead {
    /// Which domain; before Xen 4.18 the next one, if there is none of the number asked for.
    pub domain: u16,
    /// Zero.
    pub pad1: u16,
    /// `DOMINF_*`
    pub flags: u32,
    /// Pages of memory that it has.
    pub tot_pages: u64,
    /// How many it may have.
    pub max_pages: u64,
    /// How many it has claimed, but not got yet.
    pub outstanding_pages: u64,
    /// How many it shares.
    pub shr_pages: u64,
    /// How many are paged out.
    pub paged_pages: u64,
    /// The frame of its shared information.
    pub shared_info_frame: u64,
    /// Processor time of all its vCPUs, in nanoseconds.
    pub cpu_time: u64,
    /// How many vCPUs are on.
    pub nr_online_vcpus: u32,
    /// The highest number of a vCPU.
    pub max_vcpu_id: u32,
    /// The security label.
    pub ssidref: u32,
    /// The UUID.
    pub handle: [u8; 16],
    /// The cpupool.
    pub cpupool: u32,
}
layout!(
    DomainInfoHead = "struct xen_domctl_getdomaininfo" before "arch_config" (4.14..=4.15), 96,
    domain @ 0, flags @ 4, tot_pages @ 8, max_pages @ 16, outstanding_pages @ 24, shr_pages @ 32, paged_pages @ 40,
    shared_info_frame @ 48, cpu_time @ 56, nr_online_vcpus @ 64, max_vcpu_id @ 68, ssidref @ 72, handle @ 76, cpupool @ 92,
);
layout!(
    DomainInfoHead = "struct xen_domctl_getdomaininfo" before "gpaddr_bits" (4.16..=4.22), 96,
    domain @ 0, flags @ 4, tot_pages @ 8, max_pages @ 16, outstanding_pages @ 24, shr_pages @ 32, paged_pages @ 40,
    shared_info_frame @ 48, cpu_time @ 56, nr_online_vcpus @ 64, max_vcpu_id @ 68, ssidref @ 72, handle @ 76, cpupool @ 92,
);

/// `struct xen_domctl_getdomaininfo` of Xen 4.14 and 4.15.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_getdomaininfo")]
pub struct DomainInfo414 {
    /// What all versions have.
    pub head: DomainInfoHead,
    /// What the hypervisor emulates: 0 for a PV domain.
    #[cfg(target_arch = "x86_64")]
    pub emulation_flags: u32,
    /// `misc_flags` of Xen 4.15, or on Arm part of the configuration.
    #[cfg(target_arch = "x86_64")]
    pub pad: u32,
    /// What the domain was created with.
    #[cfg(target_arch = "aarch64")]
    pub arch_config: ArmConfig,
    /// Nothing.
    #[cfg(target_arch = "aarch64")]
    pub pad: u32,
}
#[cfg(target_arch = "x86_64")]
layout!(
    DomainInfo414 = "struct xen_domctl_getdomaininfo" (4.14..=4.15), 104,
    emulation_flags("arch_config.emulation_flags") @ 96,
);
#[cfg(target_arch = "aarch64")]
layout!(DomainInfo414 = "struct xen_domctl_getdomaininfo" (4.14..=4.15), 112, arch_config @ 96);
domctl!(DomainInfo414, "XEN_DOMCTL_getdomaininfo" = 5);

/// `struct xen_domctl_getdomaininfo` of Xen 4.16 and later.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_getdomaininfo")]
pub struct DomainInfo416 {
    /// What all versions have.
    pub head: DomainInfoHead,
    /// How long the domain's physical addresses can be.
    pub gpaddr_bits: u8,
    /// Zero.
    pub pad2: [u8; 7],
    /// What the domain was created with.
    #[cfg(target_arch = "x86_64")]
    pub arch_config: X86Config,
    /// What the domain was created with; before Xen 4.21 without the last four bytes.
    #[cfg(target_arch = "aarch64")]
    pub arch_config: ArmConfig421,
}
#[cfg(target_arch = "x86_64")]
layout!(
    DomainInfo416 = "struct xen_domctl_getdomaininfo" (4.16..=4.22), 112, gpaddr_bits @ 96, arch_config @ 104,
);
#[cfg(target_arch = "aarch64")]
layout!(
    DomainInfo416 = "struct xen_domctl_getdomaininfo" (4.21..=4.22), 120, gpaddr_bits @ 96, arch_config @ 104,
);
domctl!(DomainInfo416, "XEN_DOMCTL_getdomaininfo" = 5);

/// What both forms of the answer have, so that one piece of code reads either.
pub trait DomainInfoRecord: super::Domctl<Record = Self> + FromBytes + IntoBytes + Copy {
    /// The part that is the same in all versions.
    fn head(&self) -> &DomainInfoHead;
    /// How long the domain's physical addresses can be, if this version tells.
    fn gpaddr_bits(&self) -> Option<u8>;
}

impl DomainInfoRecord for DomainInfo414 {
    fn head(&self) -> &DomainInfoHead {
        &self.head
    }

    fn gpaddr_bits(&self) -> Option<u8> {
        None
    }
}

impl DomainInfoRecord for DomainInfo416 {
    fn head(&self) -> &DomainInfoHead {
        &self.head
    }

    fn gpaddr_bits(&self) -> Option<u8> {
        Some(self.gpaddr_bits)
    }
}
