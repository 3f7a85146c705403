//! Data moves straight between the file and pages of the guest's that stay mapped ("persistent grants").
//!
//! A guest that takes part uses the same pages for all of its requests, and copies its own data there. So neither side
//! bothers the hypervisor for each request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;

use xen_gnttab::{DomId, Error, Gnttab, GrantMapping, GrantRef, SharedParts};

use super::{Window, bytes, misplaced};
use crate::blkback::batch::Piece;
use crate::blkback::disk::{Disk, Extent};

/// How many pages stay mapped for longer than a batch. Guests have as many as the requests of a ring need.
const MOST_PAGES: usize = 4096;

/// The pages that are mapped. Each is a mapping of its own, and so pieces that are neighbours on the disk are read or written as
/// a list of parts.
#[derive(Debug)]
pub(super) struct KeepWindow {
    gnttab: Gnttab,
    domain: DomId,
    pages: HashMap<GrantRef, GrantMapping>,
    incoming: Vec<Spot>,
    outgoing: Vec<Spot>,
}

/// Where a piece is; places follow each other.
#[derive(Clone, Copy, Debug)]
struct Spot {
    place: usize,
    len: usize,
    reference: GrantRef,
    offset: usize,
}

impl KeepWindow {
    pub(super) fn new(gnttab: Gnttab, domain: DomId) -> Self {
        Self { gnttab, domain, pages: HashMap::new(), incoming: Vec::new(), outgoing: Vec::new() }
    }

    /// Maps pages which are not, gives pieces their places, and marks those as failed whose pages cannot be mapped.
    fn lay_out(&mut self, pieces: &mut [Piece]) -> Vec<Spot> {
        let mut place = 0;
        let mut spots = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if let Err(error) = self.map(piece.reference) {
                tracing::warn!("a page of the guest's: {error}");
                piece.failed = true;
            }
            piece.place = place;
            let Piece { reference, len, .. } = *piece;
            spots.push(Spot { place, len, reference, offset: piece.offset.into() });
            place += len;
        }
        spots
    }

    fn map(&mut self, reference: GrantRef) -> Result<(), Error> {
        if let Entry::Vacant(place) = self.pages.entry(reference) {
            place.insert(self.gnttab.map(self.domain, &[reference])?);
        }
        Ok(())
    }

    /// The parts of pages that are `len` bytes from `place` on.
    fn parts(&self, spots: &[Spot], place: usize, len: usize) -> io::Result<SharedParts<'_>> {
        let first = spots.binary_search_by_key(&place, |spot| spot.place).map_err(|_| misplaced())?;
        let spots = &spots[first..];
        let mut parts = SharedParts::with_capacity(spots.len());
        for spot in spots.iter().take_while(|spot| spot.place < place + len) {
            let page = self.pages.get(&spot.reference).ok_or_else(misplaced)?;
            parts.push(page, spot.offset, spot.len)?;
        }
        if parts.len() == len { Ok(parts) } else { Err(misplaced()) }
    }
}

impl Window for KeepWindow {
    fn fetch(&mut self, pieces: &mut [Piece]) {
        self.incoming = self.lay_out(pieces);
    }

    fn fetched(&self, place: usize, target: &mut [u8]) -> io::Result<()> {
        let spot = self.incoming.iter().find(|spot| (spot.place, spot.len) == (place, target.len()));
        let spot = spot.ok_or_else(misplaced)?;
        let page = self.pages.get(&spot.reference).ok_or_else(misplaced)?;
        Ok(page.copy_to_slice(spot.offset, target)?)
    }

    fn write(&self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        disk.write_parts(extent, self.parts(&self.incoming, place, bytes(extent)?)?)
    }

    fn prepare(&mut self, pieces: &mut [Piece]) {
        self.outgoing = self.lay_out(pieces);
    }

    fn read(&mut self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        disk.read_parts(extent, self.parts(&self.outgoing, place, bytes(extent)?)?)
    }

    fn deliver(&mut self, _pieces: &mut [Piece]) {
        // The data is where it belongs.
        if self.pages.len() > MOST_PAGES {
            self.pages.clear();
        }
    }
}
