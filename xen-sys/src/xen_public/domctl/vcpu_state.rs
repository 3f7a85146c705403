//! The state of a vCPU of x86 beside its context: extended registers, model-specific registers.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
#[cfg(target_arch = "x86_64")]
use crate::xen_public::layout;
use crate::xen_public::operation::{Command, GuestMemory, command};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_domctl_vcpuextstate`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vcpuextstate")]
pub struct VcpuExtStateRecord {
    /// Which vCPU.
    pub vcpu: u32,
    /// Zero.
    pub pad: u32,
    /// The features that the host supports; when reading, 0 asks for it.
    pub xfeature_mask: u64,
    /// How many bytes there are; when reading, 0 asks for it.
    pub size: u64,
    /// Address of the bytes.
    pub buffer: u64,
}
#[cfg(target_arch = "x86_64")]
layout!(
    VcpuExtStateRecord = "struct xen_domctl_vcpuextstate", 32,
    vcpu @ 0, xfeature_mask @ 8, size @ 16, buffer @ 24,
);

/// Reads the extended registers (XSAVE) of a vCPU.
#[derive(Debug)]
pub struct GetVcpuExtState<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// The features that the host supports.
    pub features: u64,
    /// Where to: XCR0, all of XCR0 that was ever set, the registers as XSAVE lays them out. [`GuestMemory::NULL`] asks for the length
    /// and for the features.
    pub into: GuestMemory<'a>,
}

/// Sets the extended registers of a vCPU.
#[derive(Debug)]
pub struct SetVcpuExtState<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// The features that the host supports.
    pub features: u64,
    /// What was read.
    pub from: GuestMemory<'a>,
}

fn ext_state(vcpu: u32, xfeature_mask: u64, memory: &GuestMemory<'_>) -> VcpuExtStateRecord {
    let size = u64::try_from(memory.len()).unwrap_or(u64::MAX);
    VcpuExtStateRecord { vcpu, pad: 0, xfeature_mask, size, buffer: memory.address() }
}

// SAFETY: Xen writes at most `size` bytes, which is what the memory has room for.
unsafe impl Domctl for GetVcpuExtState<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_getvcpuextstate" = 63);
    type Record = VcpuExtStateRecord;

    fn record(&self) -> VcpuExtStateRecord {
        ext_state(self.vcpu, self.features, &self.into)
    }
}

// SAFETY: Xen reads `size` bytes, which is how long the memory is.
unsafe impl Domctl for SetVcpuExtState<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_setvcpuextstate" = 62);
    type Record = VcpuExtStateRecord;

    fn record(&self) -> VcpuExtStateRecord {
        ext_state(self.vcpu, self.features, &self.from)
    }
}

/// `struct xen_domctl_vcpu_msr`: a model-specific register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vcpu_msr")]
pub struct VcpuMsr {
    /// Which register.
    pub index: u32,
    /// Zero.
    pub reserved: u32,
    /// What is in it.
    pub value: u64,
}
#[cfg(target_arch = "x86_64")]
layout!(VcpuMsr = "struct xen_domctl_vcpu_msr", 16, index @ 0, reserved @ 4, value @ 8);

/// `struct xen_domctl_vcpu_msrs`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vcpu_msrs")]
pub struct VcpuMsrsRecord {
    /// Which vCPU.
    pub vcpu: u32,
    /// How many registers; answer: how many there are, or how many there can be.
    pub msr_count: u32,
    /// Address of the registers.
    pub msrs: u64,
}
#[cfg(target_arch = "x86_64")]
layout!(VcpuMsrsRecord = "struct xen_domctl_vcpu_msrs", 16, vcpu @ 0, msr_count @ 4, msrs @ 8);

/// Reads the model-specific registers of a vCPU that a migration takes along.
#[derive(Debug)]
pub struct GetVcpuMsrs<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// Where to; [`GuestMemory::NULL`] asks for the number.
    pub into: GuestMemory<'a>,
}

/// Sets such registers.
#[derive(Debug)]
pub struct SetVcpuMsrs<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// A list of [`VcpuMsr`].
    pub from: GuestMemory<'a>,
}

fn msrs(vcpu: u32, memory: &GuestMemory<'_>) -> VcpuMsrsRecord {
    VcpuMsrsRecord { vcpu, msr_count: memory.room::<VcpuMsr>(), msrs: memory.address() }
}

// SAFETY: Xen writes at most `msr_count` registers, which is what the memory has room for.
unsafe impl Domctl for GetVcpuMsrs<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_get_vcpu_msrs" = 72);
    type Record = VcpuMsrsRecord;

    fn record(&self) -> VcpuMsrsRecord {
        msrs(self.vcpu, &self.into)
    }
}

// SAFETY: Xen reads `msr_count` registers, which is how many there are in the memory.
unsafe impl Domctl for SetVcpuMsrs<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_set_vcpu_msrs" = 73);
    type Record = VcpuMsrsRecord;

    fn record(&self) -> VcpuMsrsRecord {
        msrs(self.vcpu, &self.from)
    }
}

/// `struct hvm_vmce_vcpu`: the machine check registers of a vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "hvm_vmce_vcpu")]
pub struct MachineCheckRecord {
    /// What it can do (`MCG_CAP`).
    pub caps: u64,
    /// Which corrected errors of bank 0 interrupt (`MC0_CTL2`).
    pub mci_ctl2_bank0: u64,
    /// Which corrected errors of bank 1 interrupt (`MC1_CTL2`).
    pub mci_ctl2_bank1: u64,
    /// Whether errors go to one vCPU only (`MCG_EXT_CTL`).
    pub mcg_ext_ctl: u64,
}
#[cfg(target_arch = "x86_64")]
layout!(
    MachineCheckRecord = "struct hvm_vmce_vcpu", 32,
    caps @ 0, mci_ctl2_bank0 @ 8, mci_ctl2_bank1 @ 16, mcg_ext_ctl @ 24,
);

/// `struct xen_domctl_ext_vcpucontext`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_ext_vcpucontext")]
pub struct ExtVcpuContextRecord {
    /// Which vCPU.
    pub vcpu: u32,
    /// How many bytes this record has, in all.
    pub size: u32,
    /// Address of the code that handles system calls of programs of 32 bits.
    pub syscall32_callback_eip: u64,
    /// Address of the code that handles SYSENTER.
    pub sysenter_callback_eip: u64,
    /// Code segment of the former.
    pub syscall32_callback_cs: u16,
    /// Code segment of the latter.
    pub sysenter_callback_cs: u16,
    /// Whether the former is called with events masked.
    pub syscall32_disables_events: u8,
    /// Whether the latter is called with events masked.
    pub sysenter_disables_events: u8,
    /// Zero.
    pub pad: u16,
    /// The machine check registers.
    pub vmce: MachineCheckRecord,
}
#[cfg(target_arch = "x86_64")]
layout!(
    ExtVcpuContextRecord = "struct xen_domctl_ext_vcpucontext", 64,
    vcpu @ 0, size @ 4, syscall32_callback_eip @ 8, sysenter_callback_eip @ 16, syscall32_callback_cs @ 24,
    sysenter_callback_cs @ 26, syscall32_disables_events @ 28, sysenter_disables_events @ 29, vmce @ 32,
);

/// Reads what a vCPU has beside its context and its other state.
#[derive(Clone, Copy, Debug)]
pub struct GetExtVcpuContext {
    /// Which vCPU.
    pub vcpu: u32,
}

/// Sets what was read.
#[derive(Clone, Copy, Debug)]
pub struct SetExtVcpuContext(
    /// What is to be. Xen leaves what is behind `size` as it is.
    pub ExtVcpuContextRecord,
);

// SAFETY: integers only: Xen follows no address.
unsafe impl Domctl for GetExtVcpuContext {
    const COMMAND: Command = command!("XEN_DOMCTL_get_ext_vcpucontext" = 43);
    type Record = ExtVcpuContextRecord;

    fn record(&self) -> ExtVcpuContextRecord {
        ExtVcpuContextRecord { vcpu: self.vcpu, ..ExtVcpuContextRecord::default() }
    }
}

// SAFETY: integers only: Xen follows no address.
unsafe impl Domctl for SetExtVcpuContext {
    const COMMAND: Command = command!("XEN_DOMCTL_set_ext_vcpucontext" = 42);
    type Record = ExtVcpuContextRecord;

    fn record(&self) -> ExtVcpuContextRecord {
        self.0
    }
}
