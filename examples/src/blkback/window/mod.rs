//! The way to the guest's data: by copying it (`copy`), or by mapping it, for a batch (`map`) or for good (`keep`).

mod copy;
mod keep;
mod map;

use std::fmt;
use std::io;

use clap::ValueEnum;
use xen_gnttab::{DomId, Gnttab};

use super::batch::Piece;
use super::disk::{Disk, Extent};
use crate::blkif::SECTOR_SIZE;

use copy::CopyWindow;
use keep::KeepWindow;
use map::MapWindow;

/// How data moves between the guest and the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transfer {
    /// Xen copies it: one call for a whole batch in each direction.
    Copy,
    /// The guest's pages are mapped, and file I/O goes straight there.
    Map,
    /// The guest's pages stay mapped, and file I/O goes straight there; with a guest that does not take part in this, Xen copies.
    Keep,
}

impl Transfer {
    /// A window onto the pages of `domain`, which may be kept mapped or not.
    pub(super) fn window(self, gnttab: Gnttab, domain: DomId, may_keep: bool) -> Box<dyn Window> {
        match self {
            Self::Keep if may_keep => Box::new(KeepWindow::new(gnttab, domain)),
            Self::Copy | Self::Keep => Box::new(CopyWindow::new(gnttab, domain)),
            Self::Map => Box::new(MapWindow::new(gnttab, domain)),
        }
    }
}

/// Brings the guest's data within reach of file I/O, a batch at a time.
///
/// Each piece gets a [`place`](Piece::place). Pieces whose places and extents both follow each other can be read or written as
/// one. A piece that the guest has not granted, or not so, is marked as failed; that is the guest's error, never ours.
pub(super) trait Window: Send + fmt::Debug {
    /// Brings in the guest's data.
    fn fetch(&mut self, pieces: &mut [Piece]);

    /// Copies out what was fetched: the bytes of a segment list.
    fn fetched(&self, place: usize, target: &mut [u8]) -> io::Result<()>;

    /// Writes what was fetched to the disk.
    fn write(&self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()>;

    /// Makes room for data on the way to the guest.
    fn prepare(&mut self, pieces: &mut [Piece]);

    /// Reads from the disk into that room.
    fn read(&mut self, disk: &Disk, extent: Extent, place: usize) -> io::Result<()>;

    /// Hands the data to the guest, except for pieces that have failed, and lets go of all pages.
    fn deliver(&mut self, pieces: &mut [Piece]);
}

/// The error for a place that no piece has.
fn misplaced() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no data at this place")
}

fn bytes(extent: Extent) -> io::Result<usize> {
    usize::try_from(extent.sectors())
        .map(|sectors| sectors * usize::from(SECTOR_SIZE))
        .map_err(|_| misplaced())
}
