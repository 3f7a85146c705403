//! What a domain can be created with.

use bitflags::bitflags;
use xen_sys::DomId;
use xen_sys::xen_public::domctl;

use super::OPERATION;
use crate::domain::{GrantVersion, Uuid};
use crate::{Error, Xenctrl};

/// How a domain sees the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DomainKind {
    /// Its kernel knows that it runs on Xen, and asks it to change page tables. On x86 only.
    Pv,
    /// HVM, PVH, and all domains on Arm: with the processor's help, also for paging (HAP).
    #[default]
    Hvm,
    /// As above, but Xen does the paging (shadow page tables). On x86, if the hypervisor was built with it.
    HvmShadow,
}

bitflags! {
    /// What a domain can have besides.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CreateFlags: u32 {
        /// Its memory is checked for changes when the host wakes up (needs a measured launch).
        const S3_INTEGRITY = domctl::CDF_S3_INTEGRITY;
        /// Shadow page tables are never out of sync.
        const OOS_OFF = domctl::CDF_OOS_OFF;
        /// It runs xenstore.
        const XENSTORE = domctl::CDF_XS_DOMAIN;
        /// Devices can be passed through to it.
        const IOMMU = domctl::CDF_IOMMU;
        /// It can run a hypervisor (Xen 4.15+).
        const NESTED_VIRT = domctl::CDF_NESTED_VIRT;
        /// It has virtual performance counters (Xen 4.16+).
        const VPMU = domctl::CDF_VPMU;
        /// Its accesses to memory that is not mapped are trapped (Xen 4.21+).
        const TRAP_UNMAPPED_ACCESSES = domctl::CDF_TRAP_UNMAPPED_ACCESSES;
    }
}

bitflags! {
    /// What Xen emulates for a domain on x86. It takes the combinations that are constants here, and not many others.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct X86Emulation: u32 {
        /// Local interrupt controllers.
        const LAPIC = domctl::X86_EMU_LAPIC;
        /// High precision timers.
        const HPET = domctl::X86_EMU_HPET;
        /// Power management.
        const PM = domctl::X86_EMU_PM;
        /// The clock.
        const RTC = domctl::X86_EMU_RTC;
        /// The interrupt controller of buses.
        const IOAPIC = domctl::X86_EMU_IOAPIC;
        /// The old interrupt controller.
        const PIC = domctl::X86_EMU_PIC;
        /// The memory of the screen.
        const VGA = domctl::X86_EMU_VGA;
        /// An IOMMU.
        const IOMMU = domctl::X86_EMU_IOMMU;
        /// The old timer.
        const PIT = domctl::X86_EMU_PIT;
        /// Interrupts of devices as event channels.
        const USE_PIRQ = domctl::X86_EMU_USE_PIRQ;
        /// The configuration space of PCI.
        const VPCI = domctl::X86_EMU_VPCI;
    }
}

impl X86Emulation {
    /// Nothing: what PV domains have.
    pub const PV: Self = Self::empty();
    /// What PVH domains have.
    pub const PVH: Self = Self::LAPIC;
    /// What HVM domains with a device model have.
    pub const HVM: Self = Self::all().difference(Self::VPCI);
}

/// What is special to x86.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct X86Options {
    /// What is emulated; `None` for [`X86Emulation::PV`] or [`X86Emulation::PVH`], as the domain's kind is.
    pub emulation: Option<X86Emulation>,
    /// Model-specific registers that Xen does not know can be read (Xen 4.15+).
    pub relaxed_msrs: bool,
}

/// The interrupt controller of a domain on Arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Gic {
    /// Like the host's.
    #[default]
    Native,
    /// Version 2.
    V2,
    /// Version 3.
    V3,
}

/// The trusted execution environment that a domain on Arm can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tee {
    /// None.
    #[default]
    None,
    /// OP-TEE.
    Optee,
    /// Arm's Firmware Framework (Xen 4.18+).
    Ffa,
}

/// What is special to Arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmOptions {
    /// The interrupt controller.
    pub gic: Gic,
    /// The trusted execution environment.
    pub tee: Tee,
    /// How many shared peripheral interrupts there are.
    pub shared_interrupts: u32,
    /// Length of scalable vectors (SVE), in units of 128 bits; 0 for none (Xen 4.18+).
    pub vector_length: u8,
}

/// Who switches between alternate views of a domain's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Altp2mMode {
    /// The guest itself and other domains.
    Mixed,
    /// Other domains.
    External,
    /// The guest, as far as it needs no permission for it.
    Limited,
}

/// Alternate views of a domain's memory (Xen 4.19+; earlier it is a parameter that is set later).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Altp2m {
    /// Who switches.
    pub mode: Altp2mMode,
    /// How many views there can be (Xen 4.21+); `None` for Xen's default.
    pub views: Option<u16>,
}

/// What a domain is to be created with: for [`Xenctrl::create_domain`]. The defaults work on every supported hypervisor.
///
/// ```no_run
/// # fn main() -> Result<(), xen_ctrl::Error> {
/// # let xen = xen_ctrl::Xenctrl::open()?;
/// use xen_ctrl::domain::{CreateDomain, DomainKind};
///
/// let domain = xen.create_domain(&CreateDomain::new(DomainKind::Hvm).max_vcpus(2))?;
/// domain.set_max_vcpus(2)?;
/// domain.set_max_memory(128 << 10)?;
/// // memory, processor state, ...
/// domain.unpause()?;
/// println!("domain {} runs", domain.keep().id());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "xen_domctl_createdomain")]
pub struct CreateDomain {
    pub(super) kind: DomainKind,
    pub(super) id: DomId,
    pub(super) uuid: Uuid,
    pub(super) ssidref: u32,
    pub(super) flags: CreateFlags,
    pub(super) own_iommu_tables: bool,
    pub(super) max_vcpus: u32,
    pub(super) max_port: u32,
    pub(super) max_grant_frames: Option<u32>,
    pub(super) max_maptrack_frames: Option<u32>,
    pub(super) grant_version: Option<GrantVersion>,
    pub(super) altp2m: Option<Altp2m>,
    pub(super) vmtrace_bytes: u32,
    pub(super) cpupool: Option<u32>,
    pub(super) x86: X86Options,
    pub(super) arm: ArmOptions,
}

impl Default for CreateDomain {
    /// Of the default kind.
    fn default() -> Self {
        Self::new(DomainKind::default())
    }
}

impl CreateDomain {
    /// A domain of this kind with one vCPU, 1023 event channels, Xen's defaults for grants, and any free number.
    #[must_use]
    pub fn new(kind: DomainKind) -> Self {
        Self {
            kind,
            id: DomId::ZERO,
            uuid: Uuid::default(),
            ssidref: 0,
            flags: CreateFlags::empty(),
            own_iommu_tables: false,
            max_vcpus: 1,
            max_port: 1023,
            max_grant_frames: None,
            max_maptrack_frames: None,
            grant_version: None,
            altp2m: None,
            vmtrace_bytes: 0,
            cpupool: None,
            x86: X86Options::default(),
            arm: ArmOptions::default(),
        }
    }

    /// It gets this number. [`DomId::ZERO`] and the special numbers stand for any that is free.
    #[must_use]
    pub fn id(self, id: DomId) -> Self {
        Self { id, ..self }
    }

    /// It gets this UUID, instead of zeros.
    #[must_use]
    pub fn uuid(self, uuid: Uuid) -> Self {
        Self { uuid, ..self }
    }

    /// Its security label, which a hypervisor with FLASK checks.
    #[must_use]
    pub fn ssidref(self, ssidref: u32) -> Self {
        Self { ssidref, ..self }
    }

    /// What it has besides.
    #[must_use]
    pub fn flags(self, flags: CreateFlags) -> Self {
        Self { flags, ..self }
    }

    /// With [`CreateFlags::IOMMU`]: the IOMMU gets page tables of its own, instead of the processor's.
    #[must_use]
    pub fn own_iommu_tables(self) -> Self {
        Self { own_iommu_tables: true, ..self }
    }

    /// How many vCPUs it can have. [`set_max_vcpus`](crate::Domain::set_max_vcpus) then makes them.
    #[must_use]
    pub fn max_vcpus(self, max_vcpus: u32) -> Self {
        Self { max_vcpus, ..self }
    }

    /// The highest event channel port that it can have.
    #[must_use]
    pub fn max_port(self, max_port: u32) -> Self {
        Self { max_port, ..self }
    }

    /// How many frames its grant table can have, instead of Xen's default.
    #[must_use]
    pub fn max_grant_frames(self, frames: u32) -> Self {
        Self { max_grant_frames: Some(frames), ..self }
    }

    /// How many frames its table of mapped grants can have, instead of Xen's default.
    #[must_use]
    pub fn max_maptrack_frames(self, frames: u32) -> Self {
        Self { max_maptrack_frames: Some(frames), ..self }
    }

    /// The highest version of the grant table that it can use (Xen 4.16+), instead of the highest that the hypervisor allows.
    #[must_use]
    pub fn grant_version(self, version: GrantVersion) -> Self {
        Self { grant_version: Some(version), ..self }
    }

    /// It has alternate views of its memory (Xen 4.19+).
    #[must_use]
    pub fn altp2m(self, altp2m: Altp2m) -> Self {
        Self { altp2m: Some(altp2m), ..self }
    }

    /// Each vCPU has a trace buffer of so many bytes, a power of two (Xen 4.15+, on processors that can).
    #[must_use]
    pub fn vmtrace(self, bytes: u32) -> Self {
        Self { vmtrace_bytes: bytes, ..self }
    }

    /// The cpupool that it begins in (Xen 4.17+), instead of the first. On older ones it is moved there afterwards.
    #[must_use]
    pub fn cpupool(self, pool: u32) -> Self {
        Self { cpupool: Some(pool), ..self }
    }

    /// What is special to x86.
    #[must_use]
    pub fn x86(self, x86: X86Options) -> Self {
        Self { x86, ..self }
    }

    /// What is special to Arm.
    #[must_use]
    pub fn arm(self, arm: ArmOptions) -> Self {
        Self { arm, ..self }
    }

    /// Fails if something was asked for that this hypervisor's record has no place for.
    pub(super) fn check(&self, xen: &Xenctrl) -> Result<(), Error> {
        let views = self.altp2m.is_some_and(|altp2m| altp2m.views.is_some());
        let newer = [
            (
                self.flags.contains(CreateFlags::NESTED_VIRT),
                15,
                "XEN_DOMCTL_createdomain (nested virtualization)",
            ),
            (self.vmtrace_bytes != 0, 15, "XEN_DOMCTL_createdomain (vmtrace)"),
            (self.x86.relaxed_msrs, 15, "XEN_DOMCTL_createdomain (relaxed MSRs)"),
            (self.flags.contains(CreateFlags::VPMU), 16, "XEN_DOMCTL_createdomain (vPMU)"),
            (self.grant_version.is_some(), 16, "XEN_DOMCTL_createdomain (grant table version)"),
            (self.cpupool.is_some(), 17, "XEN_DOMCTL_createdomain (cpupool)"),
            (self.arm.vector_length != 0, 18, "XEN_DOMCTL_createdomain (SVE)"),
            (self.arm.tee == Tee::Ffa, 18, "XEN_DOMCTL_createdomain (FF-A)"),
            (self.altp2m.is_some(), 19, "XEN_DOMCTL_createdomain (altp2m)"),
            (views, 21, "XEN_DOMCTL_createdomain (number of altp2m views)"),
            (
                self.flags.contains(CreateFlags::TRAP_UNMAPPED_ACCESSES),
                21,
                "XEN_DOMCTL_createdomain (trap unmapped accesses)",
            ),
        ];
        for (asked, minor, operation) in newer {
            if asked {
                xen.require(operation, minor)?;
            }
        }
        let foreign = if cfg!(target_arch = "x86_64") {
            self.arm != ArmOptions::default()
        } else {
            self.kind != DomainKind::Hvm || self.x86 != X86Options::default()
        };
        if foreign {
            return Err(Error::Unsupported { operation: OPERATION, needs: None, running: xen.version() });
        }
        Ok(())
    }
}
