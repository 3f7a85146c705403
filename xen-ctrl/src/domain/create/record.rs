//! The six forms of the record.

use std::io;

use xen_sys::DomId;
use xen_sys::xen_public::domctl::{
    self, ArmConfig, ArmConfig421, CreateDomain414, CreateDomain415, CreateDomain416, CreateDomain417,
    CreateDomain419, CreateDomain421, CreateDomainHead, Domctl, DomctlCall, X86Config,
};

use super::options::{Altp2m, Altp2mMode, CreateDomain, DomainKind, Gic, Tee, X86Emulation};
use super::{CreateFlags, OPERATION};
use crate::{Error, Xenctrl};

/// What Xen puts into the record. On x86, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) gic: Option<Gic>,
    pub(super) clock_frequency: Option<u32>,
}

/// Creates the domain: chooses the form, sends it, reads the answer.
pub(super) fn create(xen: &Xenctrl, options: &CreateDomain, grants: u32) -> Result<(DomId, Filled), Error> {
    let head = head(options);
    let arch = ArchConfig::of(options);
    let vmtrace_size = options.vmtrace_bytes;
    let cpupool_id = options.cpupool.unwrap_or(0);
    let grant_opts = grants & domctl::GRANT_VERSION_MASK;
    let altp2m_opts = options.altp2m.map_or(0, altp2m_mode);
    match xen.version().minor {
        ..=14 => send(xen, options.id, &form_414(head, arch)),
        15 => send(xen, options.id, &CreateDomain415 { head, vmtrace_size, arch: arch.into() }),
        16 => send(xen, options.id, &CreateDomain416 { head, grant_opts, vmtrace_size, arch: arch.into() }),
        17..=18 => {
            let arch = arch.into();
            send(xen, options.id, &CreateDomain417 { head, grant_opts, vmtrace_size, cpupool_id, arch })
        }
        19..=20 => {
            let (altp2m_opts, arch) = (altp2m_opts.into(), arch.into());
            let record = CreateDomain419 { head, grant_opts, altp2m_opts, vmtrace_size, cpupool_id, arch };
            send(xen, options.id, &record)
        }
        _ => {
            let altp2m_nr = options.altp2m.and_then(|altp2m| altp2m.views).unwrap_or(0);
            let arch = arch.into();
            let record =
                CreateDomain421 { head, grant_opts, altp2m_opts, altp2m_nr, vmtrace_size, cpupool_id, arch };
            send(xen, options.id, &record)
        }
    }
}

fn head(options: &CreateDomain) -> CreateDomainHead {
    let kind = match options.kind {
        DomainKind::Pv => 0,
        DomainKind::Hvm => domctl::CDF_HVM | domctl::CDF_HAP,
        DomainKind::HvmShadow => domctl::CDF_HVM,
    };
    let limit = |frames: Option<u32>| frames.map_or(-1, |frames| i32::try_from(frames).unwrap_or(i32::MAX));
    CreateDomainHead {
        ssidref: options.ssidref,
        handle: options.uuid.0,
        flags: kind | (options.flags & CreateFlags::all()).bits(),
        iommu_opts: if options.own_iommu_tables { domctl::IOMMU_NO_SHAREPT } else { 0 },
        max_vcpus: options.max_vcpus,
        max_evtchn_port: options.max_port,
        max_grant_frames: limit(options.max_grant_frames),
        max_maptrack_frames: limit(options.max_maptrack_frames),
    }
}

fn altp2m_mode(altp2m: Altp2m) -> u16 {
    match altp2m.mode {
        Altp2mMode::Mixed => domctl::ALTP2M_MIXED,
        Altp2mMode::External => domctl::ALTP2M_EXTERNAL,
        Altp2mMode::Limited => domctl::ALTP2M_LIMITED,
    }
}

/// Sends one form. The domain's number is in the envelope of the answer.
fn send<F: Form>(xen: &Xenctrl, wanted: DomId, form: &F) -> Result<(DomId, Filled), Error> {
    let version = xen.domctl_version()?;
    let answer = xen.call(None, &DomctlCall { version, domain: wanted, operation: form })?;
    let filled = DomctlCall::<F>::answer(&answer.record).filled();
    let id = DomId::new(answer.record.domain).ok_or_else(|| Error::Refused {
        operation: OPERATION,
        domain: None,
        source: io::Error::from(io::ErrorKind::InvalidData),
    })?;
    Ok((id, filled))
}

/// A form, as an answer.
trait Form: Domctl<Record = Self> {
    fn filled(&self) -> Filled;
}

/// What is special to the architecture: of whichever one, in the longest form.
#[derive(Clone, Copy)]
struct ArchConfig {
    x86: X86Config,
    arm: ArmConfig421,
}

impl ArchConfig {
    fn of(options: &CreateDomain) -> Self {
        let usual = if options.kind == DomainKind::Pv { X86Emulation::PV } else { X86Emulation::PVH };
        let x86 = X86Config {
            emulation_flags: options.x86.emulation.unwrap_or(usual).bits(),
            misc_flags: if options.x86.relaxed_msrs { domctl::X86_MSR_RELAXED } else { 0 },
        };
        let arm = ArmConfig421 {
            gic_version: match options.arm.gic {
                Gic::Native => domctl::CONFIG_GIC_NATIVE,
                Gic::V2 => domctl::CONFIG_GIC_V2,
                Gic::V3 => domctl::CONFIG_GIC_V3,
            },
            tee_type: match options.arm.tee {
                Tee::None => domctl::CONFIG_TEE_NONE,
                Tee::Optee => domctl::CONFIG_TEE_OPTEE,
                Tee::Ffa => domctl::CONFIG_TEE_FFA,
            },
            sve_vl: options.arm.vector_length,
            nr_spis: options.arm.shared_interrupts,
            ..ArmConfig421::default()
        };
        Self { x86, arm }
    }
}

impl From<ArchConfig> for X86Config {
    fn from(arch: ArchConfig) -> Self {
        arch.x86
    }
}

impl From<ArchConfig> for ArmConfig421 {
    fn from(arch: ArchConfig) -> Self {
        arch.arm
    }
}

impl From<ArchConfig> for ArmConfig {
    fn from(arch: ArchConfig) -> Self {
        arch.arm.into()
    }
}

#[cfg(target_arch = "x86_64")]
fn form_414(head: CreateDomainHead, arch: ArchConfig) -> CreateDomain414 {
    CreateDomain414 { head, emulation_flags: arch.x86.emulation_flags }
}

#[cfg(target_arch = "aarch64")]
fn form_414(head: CreateDomainHead, arch: ArchConfig) -> CreateDomain414 {
    CreateDomain414 { head, arch: arch.into() }
}

macro_rules! forms {
    ($($record:ident)*) => { $(
        impl Form for $record {
            #[cfg(target_arch = "x86_64")]
            fn filled(&self) -> Filled {
                Filled::default()
            }

            #[cfg(target_arch = "aarch64")]
            fn filled(&self) -> Filled {
                let gic = match self.arch.gic_version {
                    domctl::CONFIG_GIC_V2 => Some(Gic::V2),
                    domctl::CONFIG_GIC_V3 => Some(Gic::V3),
                    _ => None,
                };
                let clock = self.arch.clock_frequency;
                Filled { gic, clock_frequency: (clock != 0).then_some(clock) }
            }
        }
    )* };
}
forms! { CreateDomain414 CreateDomain415 CreateDomain416 CreateDomain417 CreateDomain419 CreateDomain421 }
