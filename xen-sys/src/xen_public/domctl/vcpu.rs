//! Operations on one vCPU.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::{Domctl, VcpuContext, domctl};
use crate::xen_public::bitmap::Bitmap;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_domctl_getvcpuinfo`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_getvcpuinfo")]
pub struct GetVcpuInfo {
    /// Which vCPU.
    pub vcpu: u32,
    /// Answer: whether the guest has turned it on.
    pub online: u8,
    /// Answer: whether it waits for an event.
    pub blocked: u8,
    /// Answer: whether it runs at this moment.
    pub running: u8,
    /// Zero.
    pub pad: u8,
    /// Answer: how long it has run, in nanoseconds.
    pub cpu_time: u64,
    /// Answer: the CPU where it runs, or ran last.
    pub cpu: u32,
    /// Zero.
    pub pad2: u32,
}
layout!(
    GetVcpuInfo = "struct xen_domctl_getvcpuinfo", 24,
    vcpu @ 0, online @ 4, blocked @ 5, running @ 6, cpu_time @ 8, cpu @ 16,
);
domctl!(GetVcpuInfo, "XEN_DOMCTL_getvcpuinfo" = 14);

constants! { u32:
    /// The hard affinity is meant.
    VCPUAFFINITY_HARD = "XEN_VCPUAFFINITY_HARD" = 1 << 0;
    /// The soft affinity is meant.
    VCPUAFFINITY_SOFT = "XEN_VCPUAFFINITY_SOFT" = 1 << 1;
    /// A temporary affinity that the hardware domain has chosen ends.
    VCPUAFFINITY_FORCE = "XEN_VCPUAFFINITY_FORCE" = 1 << 2;
}

/// `struct xen_domctl_vcpuaffinity`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vcpuaffinity")]
pub struct VcpuAffinityRecord {
    /// Which vCPU.
    pub vcpu: u32,
    /// `VCPUAFFINITY_*`
    pub flags: u32,
    /// CPUs where it may run.
    pub cpumap_hard: Bitmap,
    /// CPUs where it had better run.
    pub cpumap_soft: Bitmap,
}
layout!(
    VcpuAffinityRecord = "struct xen_domctl_vcpuaffinity", 40,
    vcpu @ 0, flags @ 4, cpumap_hard @ 8, cpumap_soft @ 24,
);

/// Sets the CPUs where a vCPU may run, or had better run. The maps are replaced by what that comes to: only CPUs of its cpupool, and
/// in the soft one only those of the hard one.
#[derive(Debug)]
pub struct SetVcpuAffinity<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// Where it may run, if that is to be changed.
    pub hard: Option<GuestMemory<'a>>,
    /// Where it had better run, if that is to be changed.
    pub soft: Option<GuestMemory<'a>>,
    /// Whether a temporary affinity ends.
    pub force: bool,
}

// SAFETY: Xen reads and writes at most `nr_bits` bits of either map, which is what the memory has room for.
unsafe impl Domctl for SetVcpuAffinity<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_setvcpuaffinity" = 9);
    type Record = VcpuAffinityRecord;

    fn record(&self) -> VcpuAffinityRecord {
        let flag = |is_set: bool, flag| if is_set { flag } else { 0 };
        VcpuAffinityRecord {
            vcpu: self.vcpu,
            flags: flag(self.hard.is_some(), VCPUAFFINITY_HARD)
                | flag(self.soft.is_some(), VCPUAFFINITY_SOFT)
                | flag(self.force, VCPUAFFINITY_FORCE),
            cpumap_hard: self.hard.as_ref().map(Bitmap::of).unwrap_or_default(),
            cpumap_soft: self.soft.as_ref().map(Bitmap::of).unwrap_or_default(),
        }
    }
}

/// Reads both affinities of a vCPU, as they were set.
#[derive(Debug)]
pub struct GetVcpuAffinity<'a> {
    /// Which vCPU.
    pub vcpu: u32,
    /// CPUs where it may run.
    pub hard: GuestMemory<'a>,
    /// CPUs where it had better run.
    pub soft: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `nr_bits` bits of either map, which is what the memory has room for.
unsafe impl Domctl for GetVcpuAffinity<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_getvcpuaffinity" = 25);
    type Record = VcpuAffinityRecord;

    fn record(&self) -> VcpuAffinityRecord {
        VcpuAffinityRecord {
            vcpu: self.vcpu,
            flags: VCPUAFFINITY_HARD | VCPUAFFINITY_SOFT,
            cpumap_hard: Bitmap::of(&self.hard),
            cpumap_soft: Bitmap::of(&self.soft),
        }
    }
}

/// `struct xen_domctl_vcpucontext`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vcpucontext")]
pub struct VcpuContextRecord {
    /// Which vCPU.
    pub vcpu: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the registers.
    pub ctxt: u64,
}
layout!(VcpuContextRecord = "struct xen_domctl_vcpucontext", 16, vcpu @ 0, ctxt @ 8);

/// What both operations on a context are made of. The record has no length, so the memory's is seen to here.
macro_rules! context {
    ($(#[$doc:meta])* $operation:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $operation<'a> {
            vcpu: u32,
            context: GuestMemory<'a>,
        }

        impl<'a> $operation<'a> {
            /// In this memory.
            ///
            /// # Panics
            ///
            /// If the memory has no room for a [`VcpuContext`], which is the longest form of all versions.
            #[must_use]
            pub fn new(vcpu: u32, context: GuestMemory<'a>) -> Self {
                assert!(context.len() >= size_of::<VcpuContext>(), "no room for the registers");
                Self { vcpu, context }
            }

            fn context_record(&self) -> VcpuContextRecord {
                VcpuContextRecord { vcpu: self.vcpu, pad: 0, ctxt: self.context.address() }
            }
        }
    };
}

context! {
    /// Reads the registers of a vCPU, while it is paused.
    GetVcpuContext
}
context! {
    /// Sets the registers of a vCPU.
    SetVcpuContext
}

// SAFETY: Xen writes one context, for which the memory has room, as `new` has seen.
unsafe impl Domctl for GetVcpuContext<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_getvcpucontext" = 13);
    type Record = VcpuContextRecord;

    fn record(&self) -> VcpuContextRecord {
        self.context_record()
    }
}

// SAFETY: Xen reads one context, which is in the memory, as `new` has seen.
unsafe impl Domctl for SetVcpuContext<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_setvcpucontext" = 12);
    type Record = VcpuContextRecord;

    fn record(&self) -> VcpuContextRecord {
        self.context_record()
    }
}

/// Takes the registers of a vCPU away, and turns it off.
#[derive(Clone, Copy, Debug)]
pub struct ResetVcpu {
    /// Which vCPU.
    pub vcpu: u32,
}

// SAFETY: Xen takes no address for an order to reset, and follows none.
unsafe impl Domctl for ResetVcpu {
    const COMMAND: Command = command!("XEN_DOMCTL_setvcpucontext" = 12);
    type Record = VcpuContextRecord;

    fn record(&self) -> VcpuContextRecord {
        VcpuContextRecord { vcpu: self.vcpu, pad: 0, ctxt: GuestMemory::NULL.address() }
    }
}
