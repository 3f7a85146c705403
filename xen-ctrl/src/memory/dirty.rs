//! Which pages a domain writes to, as it is needed to move one while it runs. x86.

use std::fmt;

use xen_call::HypercallBuffer;
use xen_sys::Gfn;
use xen_sys::xen_public::domctl::{self, ShadowOp};
use xen_sys::xen_public::operation::GuestMemory;

use super::DomainMemory;
use crate::Error;

/// The pages that a domain has written to, by their frames in the domain's own numbering.
///
/// [`DomainMemory::dirty_pages`] and [`DomainMemory::take_dirty_pages`] fill it; it can be used again and again.
pub struct DirtyPages {
    words: HypercallBuffer<[u64]>,
    /// How many frames there is room for.
    room: u64,
    /// Of how many frames it tells.
    pages: u64,
    faults: u32,
    dirty: u32,
}

impl DirtyPages {
    /// Of how many frames it tells, from frame 0 on: no more than there was room for, or the domain has.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether the domain has written to the frame; false for those of which it does not tell.
    #[must_use]
    pub fn contains(&self, frame: Gfn) -> bool {
        let number = frame.get();
        let word = usize::try_from(number / 64).ok().and_then(|index| self.words.get(index));
        number < self.pages && word.is_some_and(|word| word >> (number % 64) & 1 != 0)
    }

    /// The frames that the domain has written to, in order.
    pub fn iter(&self) -> impl Iterator<Item = Gfn> + '_ {
        ones(&self.words).take_while(|&number| number < self.pages).map(Gfn::new)
    }

    /// How often the domain was caught writing since the last time these pages were taken.
    #[must_use]
    pub fn faults(&self) -> u32 {
        self.faults
    }

    /// How many pages the domain has written to since the last time these pages were taken, those included that are not in this list.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.dirty
    }
}

impl fmt::Debug for DirtyPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirtyPages")
            .field("pages", &self.pages)
            .field("faults", &self.faults)
            .field("total", &self.dirty)
            .finish_non_exhaustive()
    }
}

/// The numbers of the bits that are set.
fn ones(words: &[u64]) -> impl Iterator<Item = u64> + '_ {
    (0_u64..).step_by(64).zip(words).flat_map(|(first, &word)| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let lowest = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(first + u64::from(lowest))
        })
    })
}

impl DomainMemory<'_> {
    /// Begins to note down which pages the domain writes to. All count as not written to.
    ///
    /// Xen keeps its notes in the memory for the domain's page tables; see [`set_paging_allocation`](Self::set_paging_allocation).
    /// PV domains have none at first, and reading the notes then fails with `ENOMEM`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if it is on already, for a domain without vCPUs
    /// and the caller's own; with `ENOMEM`; [`Error::Unsupported`] on Arm, and for PV domains where Xen has no shadow paging.
    #[doc(alias = "xc_shadow_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY")]
    #[doc(alias = "XEN_DOMCTL_shadow_op")]
    pub fn start_log_dirty(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &ShadowOp::enable_log_dirty()).map(drop)
    }

    /// Stops to note down which pages the domain writes to.
    ///
    /// # Errors
    ///
    /// As [`start_log_dirty`](Self::start_log_dirty).
    #[doc(alias = "xc_shadow_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_OFF")]
    pub fn stop_log_dirty(&self) -> Result<(), Error> {
        self.xen.domctl(self.id, &ShadowOp::off()).map(drop)
    }

    /// Memory for the list of the pages that the domain writes to, of the first `room` frames.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if there is no memory.
    pub fn dirty_buffer(&self, room: u64) -> Result<DirtyPages, Error> {
        let words = usize::try_from(room.div_ceil(64)).unwrap_or(usize::MAX);
        let words = self.xen.xencall().zeroed_buffer(words)?;
        Ok(DirtyPages { words, room, pages: 0, faults: 0, dirty: 0 })
    }

    /// Reads which pages the domain has written to. They are not forgotten.
    ///
    /// # Errors
    ///
    /// As [`start_log_dirty`](Self::start_log_dirty). If that was not called, the list is empty.
    #[doc(alias = "xc_logdirty_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_PEEK")]
    pub fn dirty_pages(&self, into: &mut DirtyPages) -> Result<(), Error> {
        self.read_dirty(into, false, false)
    }

    /// Reads which pages the domain has written to since the last time. From now on, they count as not written to.
    ///
    /// `last` is for the last time, when the domain runs no more: then pages that Xen itself may write to for it are among them.
    ///
    /// # Errors
    ///
    /// As [`dirty_pages`](Self::dirty_pages).
    #[doc(alias = "xc_logdirty_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_CLEAN")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL")]
    pub fn take_dirty_pages(&self, into: &mut DirtyPages, last: bool) -> Result<(), Error> {
        self.read_dirty(into, true, last)
    }

    fn read_dirty(&self, into: &mut DirtyPages, clean: bool, last: bool) -> Result<(), Error> {
        let room = into.room;
        into.words.fill(0);
        into.pages = 0;
        // without memory, Xen tells the counts alone
        let memory = if room == 0 { GuestMemory::NULL } else { into.words.lend() };
        let operation = domctl::DirtyPages { clean, last, pages: room, into: memory };
        let record = self.xen.domctl(self.id, &operation)?;
        into.pages = record.pages.min(room);
        into.faults = record.fault_count;
        into.dirty = record.dirty_count;
        Ok(())
    }

    /// How much memory Xen may use for the page tables that it keeps for the domain, in MiB, rounded up.
    ///
    /// Xen 4.17 and later have a more exact one, the paging memory pool.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for a domain without vCPUs;
    /// [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_shadow_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION")]
    pub fn paging_allocation(&self) -> Result<u32, Error> {
        Ok(self.xen.domctl(self.id, &ShadowOp::allocation())?.mb)
    }

    /// Sets how much memory Xen may use for the page tables that it keeps for the domain, in MiB.
    ///
    /// # Errors
    ///
    /// As [`paging_allocation`](Self::paging_allocation); [`Error::Refused`] with `ENOMEM`.
    #[doc(alias = "xc_shadow_control")]
    #[doc(alias = "XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION")]
    pub fn set_paging_allocation(&self, mib: u32) -> Result<(), Error> {
        self.xen.domctl(self.id, &ShadowOp::set_allocation(mib)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::ones;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_bit_is_found(words: Vec<u64>) {
            let is_set = |number: &u64| words[usize::try_from(number / 64).expect("small")] >> (number % 64) & 1 != 0;
            let expected: Vec<_> = (0..words.len() as u64 * 64).filter(is_set).collect();
            prop_assert_eq!(ones(&words).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn bits_are_numbered_through() {
        assert_eq!(ones(&[]).next(), None);
        let numbers: Vec<_> = ones(&[0b101, 0, u64::MAX, 1 << 63]).collect();
        let expected: Vec<_> = [0, 2].into_iter().chain(128..192).chain([255]).collect();
        assert_eq!(numbers, expected);
    }
}
