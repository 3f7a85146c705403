//! Memory for a domain: more, less, or other memory.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::memory_op;
use crate::xen_public::operation::GuestMemory;
use crate::xen_public::{constants, layout};
use crate::{DomId, OtherDomain};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Memory need not be there before the domain uses it.
    MEMF_POPULATE_ON_DEMAND = "XENMEMF_populate_on_demand" = 1 << 16;
    /// From the chosen NUMA node or not at all.
    MEMF_EXACT_NODE_REQUEST = "XENMEMF_exact_node_request" = 1 << 17;
    /// The NUMA node is one of the domain's own.
    MEMF_VNODE = "XENMEMF_vnode" = 1 << 18;
}

/// The flag that asks for memory of a NUMA node (`XENMEMF_node`).
#[must_use]
#[doc(alias = "XENMEMF_node")]
pub const fn memf_node(node: u8) -> u32 {
    // lossless; `u32::from` is not const
    (node as u32 + 1) << 8
}

/// `struct xen_memory_reservation`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_memory_reservation")]
pub struct MemoryReservation {
    /// Address of a list with the first frame of each extent.
    pub extent_start: u64,
    /// How many extents.
    pub nr_extents: u64,
    /// The size of each is 2 to the power of this, in frames.
    pub extent_order: u32,
    /// Bits 0 to 7: how many bits the frames' addresses may have; above: `MEMF_*`.
    pub mem_flags: u32,
    /// Which domain.
    pub domid: u16,
    /// Zero.
    pub pad: [u16; 3],
}
layout!(
    MemoryReservation = "struct xen_memory_reservation", 32,
    extent_start @ 0, nr_extents @ 8, extent_order @ 16, mem_flags @ 20, domid @ 24,
);

/// Extents of memory: equal runs of frames.
#[derive(Debug)]
pub struct Extents<'a> {
    /// Whose memory.
    pub domain: OtherDomain,
    /// The list with the first frame of each extent, 8 bytes each.
    pub frames: GuestMemory<'a>,
    /// The size of each extent is 2 to the power of this, in frames.
    pub order: u32,
    /// As in [`MemoryReservation::mem_flags`].
    pub flags: u32,
}

impl Extents<'_> {
    fn count(&self) -> u64 {
        (self.frames.len() / size_of::<u64>()) as u64
    }

    fn to_record(&self) -> MemoryReservation {
        MemoryReservation {
            extent_start: self.frames.address(),
            nr_extents: self.count(),
            extent_order: self.order,
            mem_flags: self.flags,
            domid: self.domain.id().get(),
            pad: [0; 3],
        }
    }
}

macro_rules! of_extents {
    ($($(#[$doc:meta])* $operation:ident, $name:literal = $command:literal;)*) => { $(
        $(#[$doc])*
        ///
        /// The result is how many extents were done, from the first on; for a request that cannot be understood, and for a domain
        /// that is not there, it is 0.
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Debug)]
        #[doc(alias = $name)]
        pub struct $operation<'a>(
            /// Which memory.
            pub Extents<'a>,
        );

        impl $operation<'_> {
            fn to_record(&self) -> MemoryReservation {
                self.0.to_record()
            }
        }

        // SAFETY: Xen reads and writes the list, as many frames as the memory has room for. The memory that comes or goes is another
        // domain's.
        memory_op!($operation<'_>, MemoryReservation, $name = $command);
    )* };
}

of_extents! {
    /// Gives a domain memory that is in no place yet. Xen writes the machine frames to the list.
    IncreaseReservation, "XENMEM_increase_reservation" = 0;
    /// Takes the memory of the list from a domain.
    DecreaseReservation, "XENMEM_decrease_reservation" = 1;
    /// Gives a domain memory at the frames of the list. For a PV domain, Xen writes the machine frames there.
    PopulatePhysmap, "XENMEM_populate_physmap" = 6;
}

/// Sets memory aside for a domain, which it gets with later operations.
///
/// `XENMEM_claim_pages`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "XENMEM_claim_pages")]
pub struct ClaimPages {
    /// For which domain.
    pub domain: DomId,
    /// How many pages it is to have altogether; 0 ends the claim.
    pub pages: u64,
}

impl ClaimPages {
    fn to_record(self) -> MemoryReservation {
        MemoryReservation { nr_extents: self.pages, domid: self.domain.get(), ..MemoryReservation::default() }
    }
}

// SAFETY: integers only; the list has no address.
memory_op!(ClaimPages, MemoryReservation, "XENMEM_claim_pages" = 24);

/// `struct xen_memory_exchange`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_memory_exchange")]
pub struct MemoryExchange {
    /// What the domain gives.
    pub given: MemoryReservation,
    /// What it takes.
    pub taken: MemoryReservation,
    /// Zero; answer: how many of the given extents are exchanged.
    pub nr_exchanged: u64,
}
layout!(MemoryExchange = "struct xen_memory_exchange", 72, given("in") @ 0, taken("out") @ 32, nr_exchanged @ 64);

/// Gives a PV domain other memory for memory of its own.
///
/// `XENMEM_exchange`
#[derive(Debug)]
#[doc(alias = "XENMEM_exchange")]
pub struct Exchange<'a> {
    /// What the domain gives: machine frames.
    pub given: Extents<'a>,
    /// What it takes: frame numbers of its own, to which Xen writes the machine frames. As much memory as it gives.
    pub taken: Extents<'a>,
}

impl Exchange<'_> {
    fn to_record(&self) -> MemoryExchange {
        MemoryExchange { given: self.given.to_record(), taken: self.taken.to_record(), nr_exchanged: 0 }
    }
}

// SAFETY: Xen reads the one list, and reads and writes the other, as many frames as the memories have room for. The memory that comes
// and goes is another domain's.
memory_op!(Exchange<'_>, MemoryExchange, "XENMEM_exchange" = 11);
