//! Page tables of PV domains, from `xen/include/public/xen.h`. x86 only.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::{GuestMemory, HypercallNumber, Operation};
use super::{constants, layout};
use crate::{Gfn, Mfn, OtherDomain};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u64:
    /// Write an entry of a page table.
    PT_UPDATE = "MMU_NORMAL_PT_UPDATE" = 0;
    /// Write an entry of the table that gives a domain's frame for each machine frame.
    MACHPHYS_UPDATE = "MMU_MACHPHYS_UPDATE" = 1;
    /// Write an entry of a page table, and keep its accessed and dirty bits.
    PT_UPDATE_PRESERVE_AD = "MMU_PT_UPDATE_PRESERVE_AD" = 2;
    /// Write an entry of a page table, whose frame is a machine frame in any case.
    PT_UPDATE_NO_TRANSLATE = "MMU_PT_UPDATE_NO_TRANSLATE" = 3;
}

/// `struct mmu_update`
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "mmu_update")]
pub struct MmuUpdateEntry {
    /// The machine address of the entry; in its lowest two bits, `MMU_*`.
    pub ptr: u64,
    /// What is to be written.
    pub val: u64,
}
layout!(MmuUpdateEntry = "struct mmu_update", 16, ptr @ 0, val @ 8);

/// Writes entries of another PV domain's page tables, with the checks that apply to the domain itself.
///
/// `__HYPERVISOR_mmu_update`
#[derive(Debug)]
pub struct MmuUpdate<'a> {
    domain: OtherDomain,
    updates: GuestMemory<'a>,
    done: GuestMemory<'a>,
}

impl<'a> MmuUpdate<'a> {
    /// The updates in the list, [`MmuUpdateEntry`]. Xen writes to `done` how many it has made: 4 bytes. `None` if it is too short.
    #[must_use]
    pub fn new(domain: OtherDomain, updates: GuestMemory<'a>, done: GuestMemory<'a>) -> Option<Self> {
        (done.len() >= size_of::<u32>()).then_some(Self { domain, updates, done })
    }
}

// SAFETY: Xen reads as many updates as the memory has room for, and writes one number. It writes page tables of the named domain
// only, which is another one: owner of the tables (upper half, plus one) and of the frames in them.
unsafe impl Operation for MmuUpdate<'_> {
    const NUMBER: HypercallNumber = HypercallNumber::MMU_UPDATE;
    const NAME: &'static str = "__HYPERVISOR_mmu_update";
    type Record = ();

    fn record(&self) {}

    fn arguments(&self, _record: u64) -> [u64; 5] {
        let domain = u64::from(self.domain.id().get());
        let count = self.updates.len() / size_of::<MmuUpdateEntry>();
        [self.updates.address(), count as u64, self.done.address(), (domain + 1) << 16 | domain, 0]
    }
}

/// Says which frame a machine frame of another PV domain's is in that domain's own numbering.
///
/// `__HYPERVISOR_mmu_update`
#[derive(Clone, Copy, Debug)]
#[doc(alias = "MMU_MACHPHYS_UPDATE")]
pub struct MachphysUpdate {
    domain: OtherDomain,
    frame: Mfn,
    is: Gfn,
}

impl MachphysUpdate {
    /// The machine frame `frame` of the domain is `is` to that.
    #[must_use]
    pub fn new(domain: OtherDomain, frame: Mfn, is: Gfn) -> Self {
        Self { domain, frame, is }
    }
}

// SAFETY: Xen reads one update, and writes to its table of all machine frames. That the owner of page tables (upper half of the
// domains) is the caller is what Xen wants for this kind of update, which has nothing to do
// with page tables; the frame is the named domain's, which is another one.
unsafe impl Operation for MachphysUpdate {
    const NUMBER: HypercallNumber = HypercallNumber::MMU_UPDATE;
    const NAME: &'static str = "MMU_MACHPHYS_UPDATE";
    type Record = MmuUpdateEntry;

    fn record(&self) -> MmuUpdateEntry {
        MmuUpdateEntry { ptr: self.frame.get() << 12 | MACHPHYS_UPDATE, val: self.is.get() }
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 1, 0, self.domain.id().get().into(), 0]
    }
}

/// `struct mmuext_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "mmuext_op")]
pub struct MmuextRecord {
    /// Which operation.
    pub cmd: u32,
    /// Zero.
    pub pad: u32,
    /// A machine frame.
    pub mfn: Mfn,
    /// Used by other operations.
    pub arg2: u64,
}
layout!(MmuextRecord = "struct mmuext_op", 24, cmd @ 0, mfn("arg1.mfn") @ 8, arg2("arg2.src_mfn") @ 16);

/// What is done to a page table as a whole (`MMUEXT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MmuextCommand(u32);

constants! { impl MmuextCommand:
    /// The frame is a page table of level 1, and stays one.
    PIN_L1_TABLE = "MMUEXT_PIN_L1_TABLE" = 0;
    /// The same for level 2.
    PIN_L2_TABLE = "MMUEXT_PIN_L2_TABLE" = 1;
    /// The same for level 3.
    PIN_L3_TABLE = "MMUEXT_PIN_L3_TABLE" = 2;
    /// The same for level 4.
    PIN_L4_TABLE = "MMUEXT_PIN_L4_TABLE" = 3;
    /// The frame need not stay a page table.
    UNPIN_TABLE = "MMUEXT_UNPIN_TABLE" = 4;
}

/// Pins or unpins a page table of another PV domain.
///
/// `__HYPERVISOR_mmuext_op`
#[derive(Clone, Copy, Debug)]
pub struct Mmuext {
    domain: OtherDomain,
    command: MmuextCommand,
    frame: Mfn,
}

impl Mmuext {
    /// Does that to a frame of this domain's.
    #[must_use]
    pub fn new(domain: OtherDomain, command: MmuextCommand, frame: Mfn) -> Self {
        Self { domain, command, frame }
    }
}

// SAFETY: Xen reads one such record. The page table is the named domain's, which is another one.
unsafe impl Operation for Mmuext {
    const NUMBER: HypercallNumber = HypercallNumber::MMUEXT_OP;
    const NAME: &'static str = "__HYPERVISOR_mmuext_op";
    type Record = MmuextRecord;

    fn record(&self) -> MmuextRecord {
        MmuextRecord { cmd: self.command.0, pad: 0, mfn: self.frame, arg2: 0 }
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 1, 0, self.domain.id().get().into(), 0]
    }
}

/// `struct arch_shared_info` of x86: where a PV domain keeps the list of its machine frames.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "arch_shared_info")]
pub struct ArchSharedInfo {
    /// How many frames are in the list.
    pub max_pfn: u64,
    /// The machine frame that is the root of the list's tree: 0 if there is none yet, all ones if there never is.
    pub pfn_to_mfn_frame_list_list: u64,
    /// Why there was a non-maskable interrupt.
    pub nmi_reason: u64,
    /// The root of the page tables in which the list has its address, like the register; 0 if the domain does not tell.
    pub p2m_cr3: u64,
    /// The list's address.
    pub p2m_vaddr: u64,
    /// Counts changes of the list's page tables; odd while one is going on.
    pub p2m_generation: u64,
}
#[cfg(target_arch = "x86_64")]
layout!(
    ArchSharedInfo = "struct arch_shared_info", 48,
    max_pfn @ 0, pfn_to_mfn_frame_list_list @ 8, nmi_reason @ 16, p2m_cr3 @ 24, p2m_vaddr @ 32, p2m_generation @ 40,
);

/// `struct shared_info` of x86, as far as others than the domain itself use it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "shared_info")]
pub struct SharedInfo {
    /// vCPUs, event channels, the time.
    pub pad_generic: [u8; 3088],
    /// What x86 adds.
    pub arch: ArchSharedInfo,
}
#[cfg(target_arch = "x86_64")]
layout!(SharedInfo = "struct shared_info", 3136, arch @ 3088);
