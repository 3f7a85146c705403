//! Data moves by grant copy: Xen copies it.

use xen_gnttab::{CopySegment, DomId, Gnttab, Grant, GrantStatus, InvalidSegment};

use super::buffer::Copier;
use crate::blkback::batch::Piece;

/// One grant copy for all the data of a batch in each direction.
#[derive(Debug)]
pub(super) struct GrantCopier {
    gnttab: Gnttab,
    domain: DomId,
}

impl GrantCopier {
    pub(super) fn new(gnttab: Gnttab, domain: DomId) -> Self {
        Self { gnttab, domain }
    }
}

impl Copier for GrantCopier {
    fn fetch(&mut self, pieces: &mut [Piece], mut buffer: &mut [u8]) {
        let segments = pieces.iter().map(|piece| {
            let (data, tail) = std::mem::take(&mut buffer).split_at_mut(piece.len);
            buffer = tail;
            CopySegment::from_grant(Grant::new(self.domain, piece.reference), piece.offset, data)
        });
        let segments = segments.collect();
        copy(&self.gnttab, segments, pieces.iter_mut());
    }

    fn deliver(&mut self, pieces: &mut [Piece], buffer: &[u8]) {
        let segments = pieces.iter().filter(|piece| !piece.failed).map(|piece| {
            let data = &buffer[piece.place..piece.place + piece.len];
            CopySegment::to_grant(data, Grant::new(self.domain, piece.reference), piece.offset)
        });
        let segments = segments.collect();
        copy(&self.gnttab, segments, pieces.iter_mut().filter(|piece| !piece.failed));
    }
}

/// Copies, and marks the pieces whose segments failed.
fn copy<'a>(
    gnttab: &Gnttab,
    segments: Result<Vec<CopySegment<'_>>, InvalidSegment>,
    pieces: impl Iterator<Item = &'a mut Piece>,
) {
    let mut segments = match segments {
        Ok(segments) => segments,
        Err(error) => {
            tracing::error!(%error, "a piece is no part of a page");
            pieces.for_each(|piece| piece.failed = true);
            return;
        }
    };
    if let Err(error) = gnttab.copy(&mut segments) {
        tracing::warn!("the guest's pages: {error}");
    }
    for (piece, segment) in pieces.zip(&segments) {
        piece.failed = segment.status() != GrantStatus::OKAY;
    }
}
