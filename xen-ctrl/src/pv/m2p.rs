//! The host's table of machine frames.

use std::ops::Range;

use xen_foreignmem::{ForeignMapping, ForeignMemory, ReadOnly};
use xen_sys::{DomId, Gfn, Mfn, PAGE_SIZE};

use crate::Error;
use crate::memory::HostMemory;

/// Xen tells where the table is in pieces of 2 MiB.
const FRAMES_OF_EXTENT: usize = 512;
/// An entry has 8 bytes.
const ENTRIES_OF_EXTENT: usize = FRAMES_OF_EXTENT * PAGE_SIZE / 8;

/// The table that gives, for each machine frame, the frame that it is in its domain's own numbering; mapped, for reading.
///
/// Xen and the domains change it all the time. Takes a PV dom0.
#[derive(Debug)]
#[doc(alias = "xc_map_m2p")]
#[doc(alias = "x86_pv_map_m2p")]
pub struct M2p {
    mapping: ForeignMapping<ReadOnly>,
    /// Which piece of the table each piece of the mapping is: gaps are not mapped.
    extents: Vec<usize>,
    end: u64,
}

impl M2p {
    /// Maps the table: 2 MiB for each GiB of the host's memory.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Unsupported`] on Arm; [`Error::Foreign`] if this is no PV dom0, or the kernel lacks memory.
    pub fn map(host: HostMemory<'_>, foreign: &ForeignMemory) -> Result<Self, Error> {
        let end = host.end()?.get();
        let starts = host.m2p_extents()?;
        let there = starts.iter().enumerate().filter(|(_, start)| start.get() != 0);
        let (extents, runs): (Vec<_>, Vec<_>) =
            there.map(|(extent, start)| (extent, (Gfn::new(start.get()), FRAMES_OF_EXTENT))).unzip();
        let mapping = foreign.options(DomId::XEN).read_only().map_ranges(&runs)?;
        Ok(Self { mapping, extents, end })
    }

    /// The machine frames that it tells of.
    #[must_use]
    pub fn frames(&self) -> Range<Mfn> {
        Mfn::new(0)..Mfn::new(self.end)
    }

    /// Which frame a machine frame is in its domain's own numbering; `None` if it belongs to no domain that has one.
    ///
    /// What a domain's own memory is not, Xen does not keep up to date: compare with the domain's own table.
    #[must_use]
    pub fn gfn(&self, frame: Mfn) -> Option<Gfn> {
        if frame.get() >= self.end {
            return None;
        }
        let number = usize::try_from(frame.get()).ok()?;
        let piece = self.extents.binary_search(&(number / ENTRIES_OF_EXTENT)).ok()?;
        let entry = piece * ENTRIES_OF_EXTENT + number % ENTRIES_OF_EXTENT;
        let gfn: u64 = self.mapping.read(entry * 8).ok()?;
        // all ones, or a bit less, stand for none
        (gfn >> 63 == 0).then_some(Gfn::new(gfn))
    }
}
