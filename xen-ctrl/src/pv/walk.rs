//! Walks a domain's page tables.

use xen_foreignmem::ForeignMemory;
use xen_sys::zerocopy::IntoBytes;
use xen_sys::{DomId, Gfn};

use crate::Error;

/// How many entries a frame has that is full of 64-bit words.
pub(super) const ENTRIES: usize = 512;

/// Copies a frame of the domain's, that many words.
pub(super) fn read_words(foreign: &ForeignMemory, domain: DomId, frame: u64) -> Result<Vec<u64>, Error> {
    let mapping = foreign.map_read_only(domain, &[Gfn::new(frame)])?;
    let mut words = vec![0; ENTRIES];
    mapping.copy_to_slice(0, words.as_mut_bytes()).map_err(xen_foreignmem::Error::from)?;
    Ok(words)
}

/// The page tables of one address space of a 64-bit PV domain. The last table of each level is kept, for addresses in order.
pub(super) struct Walk<'a> {
    foreign: &'a ForeignMemory,
    domain: DomId,
    root: u64,
    /// Frame and content, from the root on.
    tables: [Option<(u64, Vec<u64>)>; 4],
}

impl<'a> Walk<'a> {
    /// From the frame of the root table.
    pub(super) fn new(foreign: &'a ForeignMemory, domain: DomId, root: u64) -> Self {
        Self { foreign, domain, root, tables: [const { None }; 4] }
    }

    /// The frame at an address; `None` if none is mapped there.
    pub(super) fn frame(&mut self, address: u64) -> Result<Option<u64>, Error> {
        let mut frame = self.root;
        for (table, shift) in self.tables.iter_mut().zip([39, 30, 21, 12]) {
            let words = match table {
                Some((cached, words)) if *cached == frame => words,
                table => &mut table.insert((frame, read_words(self.foreign, self.domain, frame)?)).1,
            };
            let index = usize::try_from(address >> shift & 511).unwrap_or(0);
            match frame_of(words[index]) {
                Some(next) => frame = next,
                None => return Ok(None),
            }
        }
        Ok(Some(frame))
    }
}

/// The frame in an entry of a page table, if it is present. PV domains have no large pages.
fn frame_of(entry: u64) -> Option<u64> {
    const PRESENT: u64 = 1;
    const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    (entry & PRESENT != 0).then_some((entry & ADDRESS) >> 12)
}

#[cfg(test)]
mod tests {
    use super::frame_of;

    #[test]
    fn entries_have_frames_if_they_are_present() {
        assert_eq!(frame_of(0x8000_0000_1234_5067), Some(0x12345));
        assert_eq!(frame_of(0x8000_0000_1234_5066), None);
    }
}
