//! Data moves by copying it to and from pages of the guest's that stay mapped ("persistent grants").
//!
//! A guest that takes part uses the same pages for all of its requests, and copies its own data there. So neither side
//! bothers the hypervisor for each request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use xen_gnttab::{DomId, Error, Gnttab, GrantMapping, GrantRef};

use super::buffer::Copier;
use crate::blkback::batch::Piece;

/// How many pages stay mapped for longer than a batch. Guests have as many as the requests of a ring need.
const MOST_PAGES: usize = 4096;

/// The pages that are mapped.
#[derive(Debug)]
pub(super) struct KeptPages {
    gnttab: Gnttab,
    domain: DomId,
    pages: HashMap<GrantRef, GrantMapping>,
}

impl KeptPages {
    pub(super) fn new(gnttab: Gnttab, domain: DomId) -> Self {
        Self { gnttab, domain, pages: HashMap::new() }
    }

    /// A page, which is mapped when it is first asked for.
    fn page(&mut self, reference: GrantRef) -> Result<&GrantMapping, Error> {
        match self.pages.entry(reference) {
            Entry::Occupied(page) => Ok(page.into_mut()),
            Entry::Vacant(place) => Ok(place.insert(self.gnttab.map(self.domain, &[reference])?)),
        }
    }

    /// Copies each piece that has not failed, and marks those that cannot be copied.
    fn each(
        &mut self,
        pieces: &mut [Piece],
        mut copy: impl FnMut(&GrantMapping, &Piece) -> Result<(), xen_gnttab::AccessError>,
    ) {
        if self.pages.len() > MOST_PAGES {
            self.pages.clear();
        }
        for piece in pieces.iter_mut().filter(|piece| !piece.failed) {
            let copied = match self.page(piece.reference) {
                Ok(page) => copy(page, piece).map_err(anyhow::Error::from),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = copied {
                tracing::warn!("a page of the guest's: {error:#}");
                piece.failed = true;
            }
        }
    }
}

impl Copier for KeptPages {
    fn fetch(&mut self, pieces: &mut [Piece], buffer: &mut [u8]) {
        self.each(pieces, |page, piece| {
            page.copy_to_slice(piece.offset.into(), &mut buffer[piece.place..piece.place + piece.len])
        });
    }

    fn deliver(&mut self, pieces: &mut [Piece], buffer: &[u8]) {
        self.each(pieces, |page, piece| {
            page.copy_from_slice(piece.offset.into(), &buffer[piece.place..piece.place + piece.len])
        });
    }
}
