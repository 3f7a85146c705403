//! Data moves straight between the file and the guest's pages, which are mapped for the time of a batch.

use std::io;

use xen_gnttab::{Access, DomId, Error, Gnttab, GrantMapping, GrantRef, PAGE_SIZE, ReadOnly};

use super::{Window, misplaced};
use crate::blkback::batch::Piece;
use crate::blkback::disk::{Disk, Extent};

/// One mapping for all the pages of a batch in each direction. Pages lie one behind the other, so that whole pages that are
/// neighbours on the disk are one read or write.
#[derive(Debug)]
pub(in crate::blkback) struct MapWindow {
    gnttab: Gnttab,
    domain: DomId,
    /// Pages to read, which the guest need not have granted for writing.
    incoming: Option<GrantMapping<ReadOnly>>,
    /// Pages to write.
    outgoing: Option<GrantMapping>,
}

impl MapWindow {
    pub(in crate::blkback) fn new(gnttab: Gnttab, domain: DomId) -> Self {
        Self { gnttab, domain, incoming: None, outgoing: None }
    }
}

impl Window for MapWindow {
    fn fetch(&mut self, pieces: &mut [Piece]) {
        self.incoming = map(pieces, |references| self.gnttab.map_read_only(self.domain, references));
    }

    fn fetched(&self, place: usize, target: &mut [u8]) -> io::Result<()> {
        let memory = self.incoming.as_ref().ok_or_else(misplaced)?;
        Ok(memory.copy_to_slice(place, target)?)
    }

    fn write(&self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        let memory = self.incoming.as_ref().ok_or_else(misplaced)?;
        disk.write_from_guest(extent, memory, place)
    }

    fn prepare(&mut self, pieces: &mut [Piece]) {
        self.outgoing = map(pieces, |references| self.gnttab.map(self.domain, references));
    }

    fn read(&mut self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        let memory = self.outgoing.as_ref().ok_or_else(misplaced)?;
        disk.read_to_guest(extent, memory, place)
    }

    fn deliver(&mut self, _pieces: &mut [Piece]) {
        // The data is where it belongs. Unmapping before the responses go out lets the guest take its pages back.
        self.incoming = None;
        self.outgoing = None;
    }
}

/// Maps the pages of all pieces that can be mapped. A mapping is all or nothing, so that after a failure each page is tried
/// alone, and the rest again together.
fn map<A: Access>(
    pieces: &mut [Piece],
    map: impl Fn(&[GrantRef]) -> Result<GrantMapping<A>, Error>,
) -> Option<GrantMapping<A>> {
    for attempt in 0..2 {
        let mut references = Vec::with_capacity(pieces.len());
        for piece in pieces.iter_mut().filter(|piece| !piece.failed) {
            piece.place = references.len() * PAGE_SIZE + usize::from(piece.offset);
            references.push(piece.reference);
        }
        if references.is_empty() {
            return None;
        }
        match map(&references) {
            Ok(mapping) => return Some(mapping),
            Err(error) => {
                tracing::warn!(%error, pages = references.len(), "the guest's pages cannot be mapped together");
                for piece in pieces.iter_mut() {
                    piece.failed |= attempt > 0 || map(&[piece.reference]).is_err();
                }
            }
        }
    }
    None
}
