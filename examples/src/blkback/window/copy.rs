//! Data moves by grant copy: Xen copies it, to and from a buffer of ours.

use std::io;

use xen_gnttab::{CopySegment, DomId, Gnttab, Grant, GrantStatus, InvalidSegment};

use super::{Window, bytes, misplaced};
use crate::blkback::batch::Piece;
use crate::blkback::disk::{Disk, Extent};

/// One grant copy for all the data of a batch in each direction. Pieces are packed one behind the other, so that whole requests,
/// and neighbours on the disk, are one read or write.
#[derive(Debug)]
pub(super) struct CopyWindow {
    gnttab: Gnttab,
    domain: DomId,
    /// Data from the guest.
    incoming: Vec<u8>,
    /// Data for the guest.
    outgoing: Vec<u8>,
}

impl CopyWindow {
    pub(super) fn new(gnttab: Gnttab, domain: DomId) -> Self {
        Self { gnttab, domain, incoming: Vec::new(), outgoing: Vec::new() }
    }
}

impl Window for CopyWindow {
    fn fetch(&mut self, pieces: &mut [Piece]) {
        pack(pieces, &mut self.incoming);
        let mut buffer = &mut self.incoming[..];
        let segments = pieces.iter().map(|piece| {
            let (data, tail) = std::mem::take(&mut buffer).split_at_mut(piece.len);
            buffer = tail;
            CopySegment::from_grant(Grant::new(self.domain, piece.reference), piece.offset, data)
        });
        let segments = segments.collect();
        copy(&self.gnttab, segments, pieces.iter_mut());
    }

    fn fetched(&self, place: usize, target: &mut [u8]) -> io::Result<()> {
        let data = self.incoming.get(place..place + target.len()).ok_or_else(misplaced)?;
        target.copy_from_slice(data);
        Ok(())
    }

    fn write(&self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        let data = self.incoming.get(place..place + bytes(extent)?).ok_or_else(misplaced)?;
        disk.write(extent, data)
    }

    fn prepare(&mut self, pieces: &mut [Piece]) {
        pack(pieces, &mut self.outgoing);
    }

    fn read(&mut self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()> {
        let data = self.outgoing.get_mut(place..place + bytes(extent)?).ok_or_else(misplaced)?;
        disk.read(extent, data)
    }

    fn deliver(&mut self, pieces: &mut [Piece]) {
        // What was not read from the disk is stale, perhaps another's: it must not reach the guest.
        let segments = pieces.iter().filter(|piece| !piece.failed).map(|piece| {
            let data = &self.outgoing[piece.place..piece.place + piece.len];
            CopySegment::to_grant(data, Grant::new(self.domain, piece.reference), piece.offset)
        });
        let segments = segments.collect();
        copy(&self.gnttab, segments, pieces.iter_mut().filter(|piece| !piece.failed));
    }
}

/// Gives the pieces their places, one behind the other, in a buffer that is large enough then.
fn pack(pieces: &mut [Piece], buffer: &mut Vec<u8>) {
    let mut end = 0;
    for piece in pieces {
        piece.place = end;
        end += piece.len;
    }
    if buffer.len() < end {
        buffer.resize(end, 0);
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
