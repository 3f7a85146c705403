//! What the host is and does.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::{Sysctl, sysctl};
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_sysctl_sched_id`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_sched_id")]
pub struct SchedId {
    /// Answer: the scheduler of the first cpupool, `SCHEDULER_*`.
    pub sched_id: u32,
}
layout!(SchedId = "struct xen_sysctl_sched_id", 4, sched_id @ 0);
sysctl!(SchedId, "XEN_SYSCTL_sched_id" = 4);

constants! { u32:
    /// Machines with a virtual BIOS can run.
    PHYSCAP_HVM = "XEN_SYSCTL_PHYSCAP_hvm" = 1 << 0;
    /// PV domains can run.
    PHYSCAP_PV = "XEN_SYSCTL_PHYSCAP_pv" = 1 << 1;
    /// Devices can be passed through.
    PHYSCAP_DIRECTIO = "XEN_SYSCTL_PHYSCAP_directio" = 1 << 2;
    /// There is hardware-assisted paging.
    PHYSCAP_HAP = "XEN_SYSCTL_PHYSCAP_hap" = 1 << 3;
    /// There is shadow paging.
    PHYSCAP_SHADOW = "XEN_SYSCTL_PHYSCAP_shadow" = 1 << 4;
    /// The IOMMU can use the page tables of hardware-assisted paging.
    PHYSCAP_IOMMU_HAP_PT_SHARE = "XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share" = 1 << 5;
    /// vCPUs can be traced (Xen 4.15+).
    PHYSCAP_VMTRACE = "XEN_SYSCTL_PHYSCAP_vmtrace" = 1 << 6;
    /// There are virtual PMUs (Xen 4.16+).
    PHYSCAP_VPMU = "XEN_SYSCTL_PHYSCAP_vpmu" = 1 << 7;
    /// Version 1 of grant tables is allowed (Xen 4.16+).
    PHYSCAP_GNTTAB_V1 = "XEN_SYSCTL_PHYSCAP_gnttab_v1" = 1 << 8;
    /// Version 2 of grant tables is allowed (Xen 4.16+).
    PHYSCAP_GNTTAB_V2 = "XEN_SYSCTL_PHYSCAP_gnttab_v2" = 1 << 9;
}

/// The part of `struct xen_sysctl_physinfo` that is first in all versions.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_physinfo")]
pub struct PhysInfoHead {
    /// Threads of each core.
    pub threads_per_core: u32,
    /// Cores of each socket.
    pub cores_per_socket: u32,
    /// How many CPUs are on.
    pub nr_cpus: u32,
    /// The highest number of a CPU.
    pub max_cpu_id: u32,
    /// How many NUMA nodes are on.
    pub nr_nodes: u32,
    /// The highest number of a NUMA node.
    pub max_node_id: u32,
    /// Clock frequency, in kHz.
    pub cpu_khz: u32,
    /// `PHYSCAP_*`
    pub capabilities: u32,
}
layout!(
    PhysInfoHead = "struct xen_sysctl_physinfo" before "total_pages" (4.14..=4.16), 32,
    threads_per_core @ 0, cores_per_socket @ 4, nr_cpus @ 8, max_cpu_id @ 12, nr_nodes @ 16, max_node_id @ 20,
    cpu_khz @ 24, capabilities @ 28,
);
layout!(
    PhysInfoHead = "struct xen_sysctl_physinfo" before "arch_capabilities" (4.17..=4.22), 32,
    threads_per_core @ 0, cores_per_socket @ 4, nr_cpus @ 8, max_cpu_id @ 12, nr_nodes @ 16, max_node_id @ 20,
    cpu_khz @ 24, capabilities @ 28,
);

/// `struct xen_sysctl_physinfo` of Xen 4.14 to 4.16.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_physinfo")]
pub struct PhysInfo414 {
    /// What all versions have.
    pub head: PhysInfoHead,
    /// Pages of memory.
    pub total_pages: u64,
    /// How many are free.
    pub free_pages: u64,
    /// How many are free, but must be wiped first.
    pub scrub_pages: u64,
    /// How many domains have claimed, but not got yet.
    pub outstanding_pages: u64,
    /// The highest frame of memory.
    pub max_mfn: u64,
    /// Words of CPUID.
    pub hw_cap: [u32; 8],
}
layout!(
    PhysInfo414 = "struct xen_sysctl_physinfo" (4.14..=4.16), 104,
    total_pages @ 32, free_pages @ 40, scrub_pages @ 48, outstanding_pages @ 56, max_mfn @ 64, hw_cap @ 72,
);
sysctl!(PhysInfo414, "XEN_SYSCTL_physinfo" = 3);

/// `struct xen_sysctl_physinfo` of Xen 4.17 and later.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_physinfo")]
pub struct PhysInfo417 {
    /// What all versions have.
    pub head: PhysInfoHead,
    /// What this architecture can do: on x86 assisted APICs (Xen 4.17+), on Arm the length of scalable vectors (4.18+).
    pub arch_capabilities: u32,
    /// Zero.
    pub pad: u32,
    /// Pages of memory.
    pub total_pages: u64,
    /// How many are free.
    pub free_pages: u64,
    /// How many are free, but must be wiped first.
    pub scrub_pages: u64,
    /// How many domains have claimed, but not got yet.
    pub outstanding_pages: u64,
    /// The highest frame of memory.
    pub max_mfn: u64,
    /// Words of CPUID.
    pub hw_cap: [u32; 8],
}
layout!(
    PhysInfo417 = "struct xen_sysctl_physinfo" (4.17..=4.22), 112,
    arch_capabilities @ 32, total_pages @ 40, free_pages @ 48, scrub_pages @ 56, outstanding_pages @ 64, max_mfn @ 72,
    hw_cap @ 80,
);
sysctl!(PhysInfo417, "XEN_SYSCTL_physinfo" = 3);

/// `struct xen_sysctl_readconsole`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_readconsole")]
pub struct ReadConsoleRecord {
    /// Whether what was read is to be forgotten.
    pub clear: u8,
    /// Whether reading begins at `index` instead of the oldest byte.
    pub incremental: u8,
    /// Zero.
    pub pad: u16,
    /// Where to begin; answer: where the next reading is to begin.
    pub index: u32,
    /// Address of the text.
    pub buffer: u64,
    /// How many bytes at most; answer: how many there are.
    pub count: u32,
    /// Zero.
    pub pad2: u32,
}
layout!(
    ReadConsoleRecord = "struct xen_sysctl_readconsole", 24,
    clear @ 0, incremental @ 1, index @ 4, buffer @ 8, count @ 16,
);

/// Reads the hypervisor's console ring.
#[derive(Debug)]
pub struct ReadConsole<'a> {
    /// Whether the text is to be forgotten.
    pub clear: bool,
    /// Where to begin; `None` for the oldest byte.
    pub from: Option<u32>,
    /// Where to.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `count` bytes, which is what the memory has room for.
unsafe impl Sysctl for ReadConsole<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_readconsole" = 1);
    type Record = ReadConsoleRecord;

    fn record(&self) -> ReadConsoleRecord {
        ReadConsoleRecord {
            clear: self.clear.into(),
            incremental: self.from.is_some().into(),
            pad: 0,
            index: self.from.unwrap_or(0),
            buffer: self.into.address(),
            count: self.into.room::<u8>(),
            pad2: 0,
        }
    }
}
