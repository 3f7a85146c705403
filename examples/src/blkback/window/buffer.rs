//! Data moves through a buffer of ours.

use std::fmt;
use std::io;

use super::{Window, misplaced};
use crate::blkback::batch::Piece;
use crate::blkback::disk::{Disk, Extent};
use crate::blkif::SECTOR_SIZE;

/// Copies between the guest's pages and a buffer, in which each piece has its place.
pub(super) trait Copier: Send + fmt::Debug {
    /// Copies from the guest. Pieces that cannot be copied fail.
    fn fetch(&mut self, pieces: &mut [Piece], buffer: &mut [u8]);

    /// Copies those pieces to the guest that have not failed.
    fn deliver(&mut self, pieces: &mut [Piece], buffer: &[u8]);
}

/// Pieces are packed one behind the other, so that whole requests, and neighbours on the disk, are one read or write.
#[derive(Debug)]
pub(super) struct BufferWindow<C> {
    copier: C,
    /// Data from the guest.
    incoming: Vec<u8>,
    /// Data for the guest.
    outgoing: Vec<u8>,
}

impl<C> BufferWindow<C> {
    pub(super) fn new(copier: C) -> Self {
        Self { copier, incoming: Vec::new(), outgoing: Vec::new() }
    }
}

impl<C: Copier> Window for BufferWindow<C> {
    fn fetch(&mut self, pieces: &mut [Piece]) {
        pack(pieces, &mut self.incoming);
        self.copier.fetch(pieces, &mut self.incoming);
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
        self.copier.deliver(pieces, &self.outgoing);
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

fn bytes(extent: Extent) -> io::Result<usize> {
    usize::try_from(extent.sectors())
        .map(|sectors| sectors * usize::from(SECTOR_SIZE))
        .map_err(|_| misplaced())
}
