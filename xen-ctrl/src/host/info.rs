//! Processors and memory, in numbers.

use bitflags::bitflags;
use xen_sys::xen_public::sysctl::{self, PhysInfo414, PhysInfo417, SchedId};

use super::Host;
use crate::sched::Scheduler;
use crate::{Error, Mfn};

bitflags! {
    /// What this host can do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct HostCapabilities: u32 {
        /// HVM and PVH domains can run.
        const HVM = sysctl::PHYSCAP_HVM;
        /// PV domains can run.
        const PV = sysctl::PHYSCAP_PV;
        /// Devices can be passed through.
        const DIRECTIO = sysctl::PHYSCAP_DIRECTIO;
        /// There is hardware-assisted paging.
        const HAP = sysctl::PHYSCAP_HAP;
        /// There is shadow paging.
        const SHADOW = sysctl::PHYSCAP_SHADOW;
        /// The IOMMU can use the page tables of hardware-assisted paging.
        const IOMMU_HAP_PT_SHARE = sysctl::PHYSCAP_IOMMU_HAP_PT_SHARE;
        /// vCPUs can be traced (told by Xen 4.15+).
        const VMTRACE = sysctl::PHYSCAP_VMTRACE;
        /// There are virtual performance monitors (told by Xen 4.16+).
        const VPMU = sysctl::PHYSCAP_VPMU;
        /// Grant tables of version 1 are allowed (told by Xen 4.16+).
        const GNTTAB_V1 = sysctl::PHYSCAP_GNTTAB_V1;
        /// Grant tables of version 2 are allowed (told by Xen 4.16+).
        const GNTTAB_V2 = sysctl::PHYSCAP_GNTTAB_V2;
    }
}

/// The host in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_physinfo_t")]
pub struct HostInfo {
    /// Threads of each core.
    pub threads_per_core: u32,
    /// Cores of each socket.
    pub cores_per_socket: u32,
    /// How many CPUs are on.
    #[doc(alias = "xc_get_online_cpus")]
    pub cpus: u32,
    /// The highest number of a CPU. (C programs know one more: how many numbers there are.)
    #[doc(alias = "xc_get_max_cpus")]
    pub max_cpu: u32,
    /// How many NUMA nodes are on.
    pub nodes: u32,
    /// The highest number of a NUMA node. (In C: one more.)
    #[doc(alias = "xc_get_max_nodes")]
    pub max_node: u32,
    /// Clock frequency, in kHz.
    pub cpu_khz: u32,
    /// What the host can do.
    pub capabilities: HostCapabilities,
    /// The same for what is special to the architecture (Xen 4.17+).
    pub arch_capabilities: Option<u32>,
    /// Memory, in pages of 4 KiB.
    pub pages: u64,
    /// How many pages are free, those included that must be wiped first.
    pub free_pages: u64,
    /// How many free pages must be wiped first.
    pub scrub_pages: u64,
    /// How many pages are claimed for domains, and not given to them yet.
    pub outstanding_pages: u64,
    /// The highest frame of memory.
    pub max_frame: Mfn,
    /// Words of CPUID, on x86.
    pub hardware_capabilities: [u32; 8],
}

macro_rules! neutral {
    ($record:ident, $arch_capabilities:expr) => {
        HostInfo {
            threads_per_core: $record.head.threads_per_core,
            cores_per_socket: $record.head.cores_per_socket,
            cpus: $record.head.nr_cpus,
            max_cpu: $record.head.max_cpu_id,
            nodes: $record.head.nr_nodes,
            max_node: $record.head.max_node_id,
            cpu_khz: $record.head.cpu_khz,
            capabilities: HostCapabilities::from_bits_truncate($record.head.capabilities),
            arch_capabilities: $arch_capabilities,
            pages: $record.total_pages,
            free_pages: $record.free_pages,
            scrub_pages: $record.scrub_pages,
            outstanding_pages: $record.outstanding_pages,
            max_frame: Mfn::new($record.max_mfn),
            hardware_capabilities: $record.hw_cap,
        }
    };
}

impl Host<'_> {
    /// Processors and memory of the host. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`].
    #[doc(alias = "xc_physinfo")]
    #[doc(alias = "XEN_SYSCTL_physinfo")]
    pub fn info(&self) -> Result<HostInfo, Error> {
        if self.xen.is_at_least(17) {
            let record = self.xen.sysctl(&PhysInfo417::default())?;
            Ok(neutral!(record, Some(record.arch_capabilities)))
        } else {
            let record = self.xen.sysctl(&PhysInfo414::default())?;
            Ok(neutral!(record, None))
        }
    }
    /// The scheduler of the first cpupool. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`].
    #[doc(alias = "xc_sched_id")]
    #[doc(alias = "XEN_SYSCTL_sched_id")]
    pub fn scheduler(&self) -> Result<Scheduler, Error> {
        let answer = self.xen.sysctl(&SchedId::default())?;
        Ok(Scheduler::from_number(answer.sched_id))
    }
}
