//! `xen/include/public/platform.h`: what the processors are.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use core::fmt;

use super::operation::{Command, HypercallNumber, Operation};
use super::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How many bytes the union of all records has, in every version.
const UNION: usize = 128;

constants! { u32:
    /// The version of the interface, which has not changed since long before Xen 4.14.
    INTERFACE_VERSION = "XENPF_INTERFACE_VERSION" = 0x0300_0001;
    /// Of a CPU: it is on.
    PCPU_FLAGS_ONLINE = "XEN_PCPU_FLAGS_ONLINE" = 1;
    /// Of a CPU: there is none of this number.
    PCPU_FLAGS_INVALID = "XEN_PCPU_FLAGS_INVALID" = 2;
}

/// `struct xen_platform_op`: what Xen reads and writes, whatever the operation.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_platform_op")]
pub struct PlatformRecord {
    /// Which operation.
    pub cmd: u32,
    /// [`INTERFACE_VERSION`]
    pub interface_version: u32,
    /// The operation's record.
    pub u: [u8; UNION],
}
layout!(PlatformRecord = "struct xen_platform_op", 136, cmd @ 0, interface_version @ 4, u @ 8);

impl fmt::Debug for PlatformRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformRecord").field("cmd", &self.cmd).finish_non_exhaustive()
    }
}

/// An operation on the hardware.
///
/// # Safety
///
/// Given [`Platform::COMMAND`] and the record, Xen reads and writes nothing of the caller's but the record.
pub unsafe trait Platform: FromBytes + IntoBytes + Immutable + Copy {
    /// `XENPF_*`
    const COMMAND: Command;
}

/// A [`Platform`] as a hypercall.
#[derive(Clone, Copy, Debug)]
pub struct PlatformCall<T>(pub T);

impl<T: Platform> PlatformCall<T> {
    /// The operation's own record in an answer.
    #[must_use]
    pub fn answer(record: &PlatformRecord) -> T {
        const { assert!(size_of::<T>() <= UNION) };
        T::read_from_prefix(&record.u)
            .map_or_else(|_| <T as zerocopy::FromZeros>::new_zeroed(), |(record, _)| record)
    }
}

// SAFETY: Xen reads and writes one such structure, and what `T` vouches for.
unsafe impl<T: Platform> Operation for PlatformCall<T> {
    const NUMBER: HypercallNumber = HypercallNumber::PLATFORM_OP;
    const NAME: &'static str = T::COMMAND.name;
    type Record = PlatformRecord;

    fn record(&self) -> PlatformRecord {
        const { assert!(size_of::<T>() <= UNION) };
        let mut record =
            PlatformRecord { cmd: T::COMMAND.number, interface_version: INTERFACE_VERSION, u: [0; UNION] };
        record.u[..size_of::<T>()].copy_from_slice(self.0.as_bytes());
        record
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 0, 0, 0, 0]
    }
}

/// Makes a record an operation: `platform!(CpuVersion, "XENPF_get_cpu_version" = 48);`. For records without addresses only.
macro_rules! platform {
    ($record:ident, $name:literal = $command:literal) => {
        // SAFETY: integers only, as the invocation vouches for: Xen follows no address.
        unsafe impl Platform for $record {
            const COMMAND: Command = Command { number: $command, name: $name };
        }
    };
}

/// `struct xenpf_pcpuinfo`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xenpf_pcpuinfo")]
pub struct PlatformCpu {
    /// Which CPU.
    pub xen_cpuid: u32,
    /// Answer: the highest number of a CPU that is there.
    pub max_present: u32,
    /// Answer: `PCPU_FLAGS_*`
    pub flags: u32,
    /// Answer: the number of its APIC.
    pub apic_id: u32,
    /// Answer: its number in ACPI.
    pub acpi_id: u32,
}
layout!(
    PlatformCpu = "struct xenpf_pcpuinfo", 20,
    xen_cpuid @ 0, max_present @ 4, flags @ 8, apic_id @ 12, acpi_id @ 16,
);
platform!(PlatformCpu, "XENPF_get_cpuinfo" = 55);

/// `struct xenpf_pcpu_version`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xenpf_pcpu_version")]
pub struct CpuVersion {
    /// Which CPU.
    pub xen_cpuid: u32,
    /// Answer: the highest number of a CPU that is there.
    pub max_present: u32,
    /// Answer: who made it.
    pub vendor_id: [u8; 12],
    /// Answer: its family.
    pub family: u32,
    /// Answer: its model.
    pub model: u32,
    /// Answer: its stepping.
    pub stepping: u32,
}
layout!(
    CpuVersion = "struct xenpf_pcpu_version", 32,
    xen_cpuid @ 0, max_present @ 4, vendor_id @ 8, family @ 20, model @ 24, stepping @ 28,
);
platform!(CpuVersion, "XENPF_get_cpu_version" = 48);

/// `struct xenpf_ucode_revision`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xenpf_ucode_revision")]
pub struct MicrocodeRevision {
    /// Which CPU.
    pub cpu: u32,
    /// Answer: its signature (CPUID leaf 1, EAX).
    pub signature: u32,
    /// Answer: its platform flags, on processors of Intel.
    pub pf: u32,
    /// Answer: the revision of its microcode.
    pub revision: u32,
}
layout!(
    MicrocodeRevision = "struct xenpf_ucode_revision" (4.18..=4.22), 16,
    cpu @ 0, signature @ 4, pf @ 8, revision @ 12,
);
platform!(MicrocodeRevision, "XENPF_get_ucode_revision" = 65);
