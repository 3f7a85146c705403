//! What only PV domains have: page tables of machine frames, which Xen checks, and lists that go with them. x86.
//!
//! A PV domain knows machine frames, and has a numbering of its own beside that. Two tables translate: [`M2p`], one for the host,
//! which Xen keeps, and [`P2m`], which each domain keeps for itself. [`MemoryInfo`] puts together what is needed to copy a domain.

mod info;
mod m2p;
mod p2m;

pub use info::MemoryInfo;
pub use m2p::M2p;
pub use p2m::P2m;

use xen_sys::xen_public::errno::EINVAL;
use xen_sys::xen_public::mmu::{
    MachphysUpdate, MmuUpdate, MmuUpdateEntry, Mmuext, MmuextCommand, PT_UPDATE, PT_UPDATE_NO_TRANSLATE,
    PT_UPDATE_PRESERVE_AD,
};
use xen_sys::{DomId, Gfn, Mfn};

use crate::{Error, Xenctrl};

/// The page tables of a PV domain; made by [`Domain::page_tables`](crate::Domain::page_tables).
///
/// Takes a PV dom0: a PVH dom0 may pin and unpin, but not update. The caller's own page tables are the kernel's, and are refused.
#[derive(Clone, Copy, Debug)]
pub struct PageTables<'a> {
    xen: &'a Xenctrl,
    id: DomId,
}

/// The level of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableLevel {
    /// Its entries are ordinary pages.
    One,
    /// Its entries are tables of level 1.
    Two,
    /// Its entries are tables of level 2.
    Three,
    /// Its entries are tables of level 3; the root.
    Four,
}

/// A change to a page table. Addresses are machine addresses, multiples of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableUpdate {
    /// Writes an entry.
    #[doc(alias = "MMU_NORMAL_PT_UPDATE")]
    Entry {
        /// Where the entry is.
        address: u64,
        /// What it is to be.
        value: u64,
    },
    /// Writes an entry, whose accessed and dirty bits stay set if they are.
    #[doc(alias = "MMU_PT_UPDATE_PRESERVE_AD")]
    EntryKeepingUse {
        /// Where the entry is.
        address: u64,
        /// What it is to be.
        value: u64,
    },
    /// Writes an entry with a machine frame, whatever numbering the domain uses.
    #[doc(alias = "MMU_PT_UPDATE_NO_TRANSLATE")]
    EntryUntranslated {
        /// Where the entry is.
        address: u64,
        /// What it is to be.
        value: u64,
    },
}

impl TableUpdate {
    fn to_entry(self) -> MmuUpdateEntry {
        let entry = |address: u64, kind: u64, val| MmuUpdateEntry { ptr: address & !3 | kind, val };
        match self {
            Self::Entry { address, value } => entry(address, PT_UPDATE, value),
            Self::EntryKeepingUse { address, value } => entry(address, PT_UPDATE_PRESERVE_AD, value),
            Self::EntryUntranslated { address, value } => entry(address, PT_UPDATE_NO_TRANSLATE, value),
        }
    }
}

impl<'a> PageTables<'a> {
    pub(crate) fn new(xen: &'a Xenctrl, id: DomId) -> Self {
        Self { xen, id }
    }

    /// Makes a frame of the domain's a page table, which it stays until it is unpinned. Xen checks each entry, and those of the tables
    /// below.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if the frame is not the domain's or no such
    /// table, is mapped for writing, or the domain is the caller's own or no PV domain; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_mmuext_op")]
    #[doc(alias = "pin_table")]
    #[doc(alias = "MMUEXT_PIN_L1_TABLE")]
    #[doc(alias = "MMUEXT_PIN_L2_TABLE")]
    #[doc(alias = "MMUEXT_PIN_L3_TABLE")]
    #[doc(alias = "MMUEXT_PIN_L4_TABLE")]
    pub fn pin(&self, level: TableLevel, frame: Mfn) -> Result<(), Error> {
        self.extended(
            frame,
            match level {
                TableLevel::One => MmuextCommand::PIN_L1_TABLE,
                TableLevel::Two => MmuextCommand::PIN_L2_TABLE,
                TableLevel::Three => MmuextCommand::PIN_L3_TABLE,
                TableLevel::Four => MmuextCommand::PIN_L4_TABLE,
            },
        )
    }

    /// Takes a [`pin`](Self::pin) back. The frame stays a page table as long as another table has it.
    ///
    /// # Errors
    ///
    /// As [`pin`](Self::pin); [`Error::Refused`] with `EINVAL` if it is not pinned.
    #[doc(alias = "xc_mmuext_op")]
    #[doc(alias = "MMUEXT_UNPIN_TABLE")]
    pub fn unpin(&self, frame: Mfn) -> Result<(), Error> {
        self.extended(frame, MmuextCommand::UNPIN_TABLE)
    }

    fn extended(&self, frame: Mfn, command: MmuextCommand) -> Result<(), Error> {
        let domain = self.xen.other_domain(self.id, "__HYPERVISOR_mmuext_op")?;
        self.xen.call(Some(self.id), &Mmuext::new(domain, command, frame)).map(drop)
    }

    /// Makes changes, in order, in one hypercall. Xen checks each as if the domain itself made it.
    ///
    /// # Errors
    ///
    /// [`Error::Incomplete`] if Xen refuses one: those in front of it are made. Its error number is `EBUSY` if a frame
    /// would be used in two ways, as a table and writable; `EINVAL` for most other reasons.
    /// If it is the first, as [`pin`](Self::pin). [`Error::Unsupported`] in a PVH dom0, too.
    #[doc(alias = "xc_alloc_mmu_updates")]
    #[doc(alias = "xc_add_mmu_update")]
    #[doc(alias = "xc_flush_mmu_updates")]
    #[doc(alias = "__HYPERVISOR_mmu_update")]
    pub fn update(&self, updates: &[TableUpdate]) -> Result<(), Error> {
        let operation = "__HYPERVISOR_mmu_update";
        let entries: Vec<_> = updates.iter().map(|update| update.to_entry()).collect();
        let mut entries = self.xen.xencall().buffer_from(&entries)?;
        let mut done = self.xen.xencall().buffer(0_u32)?;
        let call = MmuUpdate::new(self.xen.other_domain(self.id, operation)?, entries.lend(), done.lend());
        let call = call.ok_or_else(|| Error::refused(operation, Some(self.id), EINVAL))?;
        let outcome = self.xen.call(Some(self.id), &call);
        match outcome {
            Err(Error::Refused { operation, domain, source }) if *done > 0 => {
                let done = usize::try_from(*done).unwrap_or(usize::MAX);
                Err(Error::Incomplete { operation, domain, done, asked: updates.len(), source: Some(source) })
            }
            outcome => outcome.map(drop),
        }
    }

    /// Says, in the host's table ([`M2p`]), which frame a machine frame of the domain's is in its own numbering.
    ///
    /// # Errors
    ///
    /// As [`update`](Self::update) of one; [`Error::Refused`] with `EINVAL` if the frame is not the domain's.
    #[doc(alias = "MMU_MACHPHYS_UPDATE")]
    pub fn set_gfn(&self, frame: Mfn, is: Gfn) -> Result<(), Error> {
        let domain = self.xen.other_domain(self.id, "MMU_MACHPHYS_UPDATE")?;
        self.xen.call(Some(self.id), &MachphysUpdate::new(domain, frame, is)).map(drop)
    }
}
