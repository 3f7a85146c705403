//! The host's processors: where they are, what they are, how idle, which are on.

use std::time::Duration;

use xen_sys::xen_public::errno::EBUSY;
use xen_sys::xen_public::operation::GuestMemory;
use xen_sys::xen_public::platform::{self, MicrocodeRevision, Platform, PlatformCall, PlatformCpu};
use xen_sys::xen_public::sysctl::{self, CpuHotplug, CpuIdle, GetCpuInfo, INVALID_CORE_ID, INVALID_NODE_ID};

use super::{Host, size};
use crate::Error;
use crate::patience::patiently;

/// How often an operation is tried that fails because another one on CPUs is going on: a tenth of a second in all.
const TRIES: u32 = 10;

/// Where a CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_cputopo_t")]
pub struct CpuPlace {
    /// Its core, in the socket.
    pub core: u32,
    /// Its socket.
    pub socket: u32,
    /// Its NUMA node, if the host has any.
    pub node: Option<u32>,
}

/// Which processor a CPU is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuVersion {
    /// Who made it, in CPUID's spelling.
    pub vendor: String,
    /// Its family.
    pub family: u32,
    /// Its model.
    pub model: u32,
    /// Its stepping.
    pub stepping: u32,
}

/// The numbers of a CPU elsewhere, and whether it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CpuState {
    /// Whether it is on.
    pub online: bool,
    /// The number of its APIC.
    pub apic_id: u32,
    /// Its number in ACPI's tables.
    pub acpi_id: u32,
}

/// The microcode of a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Microcode {
    /// Its revision.
    pub revision: u32,
    /// The processor's signature: CPUID leaf 1, EAX.
    pub signature: u32,
    /// The processor's platform flags; 0 on those that are not Intel's.
    pub platform_flags: u32,
}

impl Host<'_> {
    /// How long each CPU has been idle since Xen was started, from CPU 0 on; zero for those that are off. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_getcpuinfo")]
    #[doc(alias = "XEN_SYSCTL_getcpuinfo")]
    pub fn cpu_idle_times(&self) -> Result<Vec<Duration>, Error> {
        let cpus = size(self.info()?.max_cpu).saturating_add(1);
        let mut times = self.xen.xencall().zeroed_buffer::<CpuIdle>(cpus)?;
        let answer = self.xen.sysctl(&GetCpuInfo { into: times.lend() })?;
        let times = times.iter().take(size(answer.nr_cpus));
        Ok(times.map(|time| Duration::from_nanos(time.idletime)).collect())
    }

    /// Where each CPU is, from CPU 0 on; `None` for numbers that no CPU has. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_cputopoinfo")]
    #[doc(alias = "XEN_SYSCTL_cputopoinfo")]
    pub fn cpu_topology(&self) -> Result<Vec<Option<CpuPlace>>, Error> {
        let cpus = self.xen.sysctl(&sysctl::CpuTopology { into: GuestMemory::NULL })?.num_cpus;
        let mut places = self.xen.xencall().zeroed_buffer::<sysctl::CpuPlace>(size(cpus))?;
        let answer = self.xen.sysctl(&sysctl::CpuTopology { into: places.lend() })?;
        let places = places.iter().take(size(answer.num_cpus));
        Ok(places.map(place).collect())
    }

    /// Switches a CPU on. If another operation on CPUs is going on, tries for a tenth of a second.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] where Xen cannot, as on Arm; [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if there is no such CPU,
    /// `EEXIST` if it is on, `EBUSY` if the other operation lasts, `EIO` if the CPU does not start.
    #[doc(alias = "xc_cpu_online")]
    #[doc(alias = "XEN_SYSCTL_cpu_hotplug")]
    pub fn online_cpu(&self, cpu: u32) -> Result<(), Error> {
        self.hotplug(cpu, sysctl::CPU_HOTPLUG_ONLINE)
    }

    /// Switches a CPU off; its vCPUs move to others. If another operation on CPUs is going on, tries for a tenth of a second.
    ///
    /// # Errors
    ///
    /// As [`online_cpu`](Self::online_cpu); `EINVAL` for CPU 0, which stays on; `EEXIST` if it is off; `EBUSY` also if a domain can run
    /// nowhere else.
    #[doc(alias = "xc_cpu_offline")]
    #[doc(alias = "XEN_SYSCTL_cpu_hotplug")]
    pub fn offline_cpu(&self, cpu: u32) -> Result<(), Error> {
        self.hotplug(cpu, sysctl::CPU_HOTPLUG_OFFLINE)
    }

    /// Switches the second threads of all cores on.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the processor has no such threads, or on Arm; [`Error::Denied`]; [`Error::Refused`] with `EBUSY` if Xen
    /// schedules by cores.
    #[doc(alias = "xc_smt_enable")]
    #[doc(alias = "XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE")]
    pub fn enable_smt(&self) -> Result<(), Error> {
        self.hotplug(0, sysctl::CPU_HOTPLUG_SMT_ENABLE)
    }

    /// Switches the second threads of all cores off.
    ///
    /// # Errors
    ///
    /// As [`enable_smt`](Self::enable_smt).
    #[doc(alias = "xc_smt_disable")]
    #[doc(alias = "XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE")]
    pub fn disable_smt(&self) -> Result<(), Error> {
        self.hotplug(0, sysctl::CPU_HOTPLUG_SMT_DISABLE)
    }

    fn hotplug(self, cpu: u32, op: u32) -> Result<(), Error> {
        patiently(TRIES, &[EBUSY], || self.xen.sysctl(&CpuHotplug { cpu, op }).map(drop))
    }

    /// Which processor a CPU is; `None` if it is off or there is none of this number. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on Arm; [`Error::Denied`]; [`Error::Refused`] with `EBUSY` if an operation on CPUs is going on.
    #[doc(alias = "xc_get_cpu_version")]
    #[doc(alias = "XENPF_get_cpu_version")]
    pub fn cpu_version(&self, cpu: u32) -> Result<Option<CpuVersion>, Error> {
        let version = self.platform(platform::CpuVersion { xen_cpuid: cpu, ..Default::default() })?;
        let known = version.vendor_id != [0; 12];
        Ok(known.then(|| CpuVersion {
            vendor: String::from_utf8_lossy(&version.vendor_id).trim_end_matches('\0').to_owned(),
            family: version.family,
            model: version.model,
            stepping: version.stepping,
        }))
    }

    /// Whether a CPU is on, and its other numbers; `None` if there is none of this number. One hypercall.
    ///
    /// # Errors
    ///
    /// As [`cpu_version`](Self::cpu_version).
    #[doc(alias = "XENPF_get_cpuinfo")]
    pub fn cpu_state(&self, cpu: u32) -> Result<Option<CpuState>, Error> {
        let state = self.platform(PlatformCpu { xen_cpuid: cpu, ..Default::default() })?;
        let present = state.flags & platform::PCPU_FLAGS_INVALID == 0;
        Ok(present.then_some(CpuState {
            online: state.flags & platform::PCPU_FLAGS_ONLINE != 0,
            apic_id: state.apic_id,
            acpi_id: state.acpi_id,
        }))
    }

    /// The microcode of a CPU. One hypercall. Xen 4.18+.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on Arm and before Xen 4.18; [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if the CPU is off or
    /// there is none of this number, `EBUSY` if an operation on CPUs is going on.
    #[doc(alias = "xc_get_ucode_revision")]
    #[doc(alias = "XENPF_get_ucode_revision")]
    pub fn microcode(&self, cpu: u32) -> Result<Microcode, Error> {
        self.xen.require("XENPF_get_ucode_revision", 18)?;
        let microcode = self.platform(MicrocodeRevision { cpu, ..Default::default() })?;
        Ok(Microcode {
            revision: microcode.revision,
            signature: microcode.signature,
            platform_flags: microcode.pf,
        })
    }

    fn platform<T: Platform>(self, operation: T) -> Result<T, Error> {
        let answer = self.xen.call(None, &PlatformCall(operation))?;
        Ok(PlatformCall::answer(&answer.record))
    }
}

fn place(place: &sysctl::CpuPlace) -> Option<CpuPlace> {
    (place.core != INVALID_CORE_ID).then(|| CpuPlace {
        core: place.core,
        socket: place.socket,
        node: (place.node != INVALID_NODE_ID).then_some(place.node),
    })
}
