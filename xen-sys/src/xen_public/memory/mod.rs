//! `xen/include/public/memory.h`: a domain's memory, and the host's. This part of the interface has no version.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

mod maps;
mod physmap;
mod reservation;
mod vnuma;

pub use maps::*;
pub use physmap::*;
pub use reservation::*;
pub use vnuma::*;

use super::layout;
use super::operation::{HypercallNumber, Operation};
use crate::{DomId, OtherDomain};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Makes an operation a hypercall: `memory_op!(CurrentReservation, MemoryDomain, "XENMEM_current_reservation" = 3);`. The
/// operation has a method `to_record`. A `// SAFETY:` comment in front says what Xen reads and writes.
macro_rules! memory_op {
    ($operation:ty, $record:ty, $name:literal = $command:literal $(, WIDE = $wide:literal)?) => {
        // SAFETY: Xen reads and writes one such record, and what the comment at the invocation tells of, which is borrowed.
        unsafe impl $crate::xen_public::operation::Operation for $operation {
            const NUMBER: $crate::xen_public::operation::HypercallNumber =
                $crate::xen_public::operation::HypercallNumber::MEMORY_OP;
            const NAME: &'static str = $name;
            $(const WIDE: bool = $wide;)?
            type Record = $record;

            fn record(&self) -> $record {
                self.to_record()
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}
use memory_op;

/// `struct xen_memory_domain`
#[derive(Clone, Copy, Debug, IntoBytes, FromBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_memory_domain")]
pub struct MemoryDomain {
    /// Which domain.
    pub domid: u16,
}
layout!(MemoryDomain = "struct xen_memory_domain", 2, domid @ 0);

macro_rules! of_domain {
    ($($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal;)*) => { $(
        $(#[$doc])*
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $name)]
        pub struct $operation(
            /// Which domain.
            pub DomId,
        );

        impl $operation {
            fn to_record(self) -> MemoryDomain {
                MemoryDomain { domid: self.0.get() }
            }
        }

        // SAFETY: integers only.
        memory_op!($operation, MemoryDomain, $name = $command, WIDE = true);
    )* };
}

of_domain! {
    /// The result is how many pages the domain has.
    CurrentReservation, "XENMEM_current_reservation" = 3;
    /// The result is how many pages the domain may have.
    MaximumReservation, "XENMEM_maximum_reservation" = 4;
    /// The result is the domain's highest frame.
    MaximumGpfn, "XENMEM_maximum_gpfn" = 14;
}

macro_rules! of_host {
    ($($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal;)*) => { $(
        $(#[$doc])*
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $name)]
        pub struct $operation;

        // SAFETY: there is no record.
        unsafe impl Operation for $operation {
            const NUMBER: HypercallNumber = HypercallNumber::MEMORY_OP;
            const NAME: &'static str = $name;
            const WIDE: bool = true;
            type Record = ();

            fn record(&self) {}

            fn arguments(&self, _record: u64) -> [u64; 5] {
                [$command, 0, 0, 0, 0]
            }
        }
    )* };
}

of_host! {
    /// The result is the first frame behind the host's memory.
    MaximumRamPage, "XENMEM_maximum_ram_page" = 2;
    /// The result is how many frames sharing has saved.
    SharingFreedPages, "XENMEM_get_sharing_freed_pages" = 18;
    /// The result is how many frames are shared.
    SharingSharedPages, "XENMEM_get_sharing_shared_pages" = 19;
}

/// `struct xen_pod_target`: memory that a domain gets when it first uses it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_pod_target")]
pub struct PodTarget {
    /// How many pages the domain is to have.
    pub target_pages: u64,
    /// Answer: how many it has, those included that wait to be used.
    pub tot_pages: u64,
    /// Answer: how many wait to be used.
    pub pod_cache_pages: u64,
    /// Answer: how many of its frames have no page yet.
    pub pod_entries: u64,
    /// Which domain.
    pub domid: u16,
    /// Zero.
    pub pad: [u16; 3],
}
layout!(
    PodTarget = "struct xen_pod_target", 40,
    target_pages @ 0, tot_pages @ 8, pod_cache_pages @ 16, pod_entries @ 24, domid @ 32,
);

/// Sets how many pages a domain that is populated on demand has.
///
/// `XENMEM_set_pod_target`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XENMEM_set_pod_target")]
pub struct SetPodTarget {
    /// Which domain.
    pub domain: OtherDomain,
    /// How many pages.
    pub pages: u64,
}

impl SetPodTarget {
    fn to_record(self) -> PodTarget {
        PodTarget { target_pages: self.pages, domid: self.domain.id().get(), ..PodTarget::default() }
    }
}

// SAFETY: integers only; it is another domain's memory that comes or goes.
memory_op!(SetPodTarget, PodTarget, "XENMEM_set_pod_target" = 16);

/// Asks how a domain that is populated on demand is doing.
///
/// `XENMEM_get_pod_target`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XENMEM_get_pod_target")]
pub struct GetPodTarget(
    /// Which domain.
    pub DomId,
);

impl GetPodTarget {
    fn to_record(self) -> PodTarget {
        PodTarget { domid: self.0.get(), ..PodTarget::default() }
    }
}

// SAFETY: integers only.
memory_op!(GetPodTarget, PodTarget, "XENMEM_get_pod_target" = 17);
