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
    let count = memory.len() / size_of::<VcpuMsr>();
    VcpuMsrsRecord { vcpu, msr_count: u32::try_from(count).unwrap_or(u32::MAX), msrs: memory.address() }
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
