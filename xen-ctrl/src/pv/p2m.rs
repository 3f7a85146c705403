//! A PV domain's own table of its machine frames.

use std::mem::offset_of;
use std::sync::atomic::Ordering;

use xen_foreignmem::{ForeignMapping, ForeignMemory, ReadOnly, ReadWrite};
use xen_sys::xen_public::mmu::{ArchSharedInfo, SharedInfo};
use xen_sys::{Access, DomId, Gfn, Mfn};

use crate::domain::GuestWidth;
use crate::vcpu::{AddressSpace, Paging, WORDS, read_words};
use crate::{Domain, Error};

/// The longest table that is believed: of 4 TiB. The number is the domain's own.
const LONGEST: u64 = 1 << 30;

/// The table that a PV domain keeps of its machine frames, by its own numbering; mapped.
///
/// The domain changes it whenever it likes. It may lie: what is in it is what the domain says.
#[derive(Debug)]
#[doc(alias = "xc_core_arch_map_p2m")]
pub struct P2m<A: Access = ReadOnly> {
    mapping: ForeignMapping<A>,
    len: u64,
}

impl P2m {
    /// Maps the table of a 64-bit PV domain, wherever it keeps that: in a range of its addresses, as it does since Linux 3.19, or in a
    /// tree of frames. Pause the domain first: it may rearrange the table.
    ///
    /// # Errors
    ///
    /// [`Error::NoFrameList`] if it has none (yet), not where it says, or is a 32-bit domain; [`Error::Foreign`] if frames cannot
    /// be mapped; [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] on Arm.
    pub fn map(domain: Domain<'_>, foreign: &ForeignMemory) -> Result<Self, Error> {
        let (frames, len) = find(domain, foreign)?;
        Ok(Self { mapping: foreign.map_read_only(domain.id(), &frames)?, len })
    }
}

impl P2m<ReadWrite> {
    /// Maps the table to change it; as [`P2m::map`].
    ///
    /// # Errors
    ///
    /// As [`P2m::map`].
    #[doc(alias = "xc_core_arch_map_p2m_writable")]
    pub fn map_writable(domain: Domain<'_>, foreign: &ForeignMemory) -> Result<Self, Error> {
        let (frames, len) = find(domain, foreign)?;
        Ok(Self { mapping: foreign.map(domain.id(), &frames)?, len })
    }

    /// Says that a frame of the domain's is that machine frame. Xen does not learn of it.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the table does not tell of the frame.
    pub fn set(&self, frame: Gfn, is: Mfn) -> Result<(), Error> {
        let offset = self.offset(frame).unwrap_or(usize::MAX);
        // the domain may look at any moment
        let entry = self.mapping.atomic_u64(offset).map_err(xen_foreignmem::Error::from)?;
        entry.store(is.get(), Ordering::Release);
        Ok(())
    }
}

impl<A: Access> P2m<A> {
    /// How many frames it tells of, from 0 on.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it tells of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The machine frame of a frame of the domain's; `None` if it says that it has none.
    #[must_use]
    pub fn mfn(&self, frame: Gfn) -> Option<Mfn> {
        let entry: u64 = self.mapping.read(self.offset(frame)?).ok()?;
        // the highest bits mark what is no memory of the domain's: foreign frames, devices, and all ones for nothing
        (entry >> 62 == 0).then_some(Mfn::new(entry))
    }

    /// Where a frame's entry is.
    fn offset(&self, frame: Gfn) -> Option<usize> {
        let number = usize::try_from(frame.get()).ok().filter(|_| frame.get() < self.len)?;
        number.checked_mul(size_of::<u64>())
    }
}

/// The table's own frames, and how many entries it has.
fn find(domain: Domain<'_>, foreign: &ForeignMemory) -> Result<(Vec<Gfn>, u64), Error> {
    let id = domain.id();
    let failed = |reason| Error::NoFrameList { domain: id, reason };
    if domain.guest_width()? != GuestWidth::Bits64 {
        return Err(failed("it is a 32-bit domain, which keeps it in another form"));
    }
    let shared = Gfn::new(domain.info()?.shared_info_frame);
    let shared = foreign.map_read_only(id, &[shared])?;
    let arch: ArchSharedInfo =
        shared.read(offset_of!(SharedInfo, arch)).map_err(xen_foreignmem::Error::from)?;
    if arch.max_pfn == 0 {
        return Err(failed("it has made none yet, or is no PV domain"));
    }
    if arch.max_pfn > LONGEST {
        return Err(failed("it says that it has more than 4 TiB"));
    }
    let frames = if arch.p2m_cr3 != 0 {
        frames_of_range(foreign, id, &arch)?
    } else if arch.pfn_to_mfn_frame_list_list != 0 && arch.pfn_to_mfn_frame_list_list != u64::MAX {
        frames_of_tree(foreign, id, &arch)?
    } else {
        None
    };
    let frames = frames.ok_or_else(|| failed("it is not where the domain says"))?;
    Ok((frames, arch.max_pfn))
}

/// How many frames the table itself has.
fn length(arch: &ArchSharedInfo) -> usize {
    usize::try_from(arch.max_pfn.div_ceil(WORDS as u64)).unwrap_or(usize::MAX)
}

/// The table's frames, for one that is in a range of the domain's addresses; `None` if it is not.
fn frames_of_range(
    foreign: &ForeignMemory,
    domain: DomId,
    arch: &ArchSharedInfo,
) -> Result<Option<Vec<Gfn>>, Error> {
    let mut space = AddressSpace::new(foreign, domain, Paging::of_pv(arch.p2m_cr3));
    let addresses = (arch.p2m_vaddr..).step_by(4096).take(length(arch));
    addresses.map(|address| space.translate(address)).collect()
}

/// The table's frames, for one that is in a tree: a frame of frames of frames.
fn frames_of_tree(
    foreign: &ForeignMemory,
    domain: DomId,
    arch: &ArchSharedInfo,
) -> Result<Option<Vec<Gfn>>, Error> {
    let count = length(arch);
    let root = read_words(foreign, domain, arch.pfn_to_mfn_frame_list_list)?;
    let mut frames = Vec::new();
    for &middle in root.iter().take(count.div_ceil(WORDS)) {
        let rest = count - frames.len();
        let words = read_words(foreign, domain, middle)?;
        frames.extend(words.iter().take(rest).map(|&frame| Gfn::new(frame)));
    }
    Ok((frames.len() == count).then_some(frames))
}
