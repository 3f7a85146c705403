//! The image file. Its bytes can only be reached through an [`Extent`], and an extent is always inside the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;
use xen_gnttab::{ReadOnly, SharedMemory, SharedParts};

use crate::blkif::{Malformed, SECTOR_SIZE};

/// Size and rights of a disk: what a request is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Sectors of 512 bytes.
    pub sectors: u64,
    /// The guest may not change the disk.
    pub read_only: bool,
}

impl Geometry {
    /// The extent of `sectors` sectors from `sector` on.
    ///
    /// # Errors
    /// [`Malformed::OutsideDisk`].
    pub fn extent(self, sector: u64, sectors: u64) -> Result<Extent, Malformed> {
        match sector.checked_add(sectors) {
            Some(end) if end <= self.sectors => Ok(Extent { sector, sectors }),
            _ => Err(Malformed::OutsideDisk { sector, sectors, disk: self.sectors }),
        }
    }

    /// Refuses changes of a read-only disk.
    ///
    /// # Errors
    /// [`Malformed::ReadOnly`].
    pub fn writable(self) -> Result<(), Malformed> {
        if self.read_only { Err(Malformed::ReadOnly) } else { Ok(()) }
    }
}

/// Sectors in a row that are all on the disk. Only [`Geometry::extent`] makes one, and no operation makes it larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    sector: u64,
    sectors: u64,
}

impl Extent {
    /// First sector.
    #[must_use]
    pub fn sector(self) -> u64 {
        self.sector
    }

    /// How many sectors.
    #[must_use]
    pub fn sectors(self) -> u64 {
        self.sectors
    }

    /// Both extents as one, if `next` begins where this one ends.
    #[must_use]
    pub fn joined(self, next: Self) -> Option<Self> {
        (self.sector + self.sectors == next.sector)
            .then_some(Self { sector: self.sector, sectors: self.sectors + next.sectors })
    }

    /// Takes the first `sectors` sectors off. `None` if there are fewer.
    #[must_use]
    pub fn split(self, sectors: u64) -> Option<(Self, Self)> {
        let rest = self.sectors.checked_sub(sectors)?;
        Some((Self { sectors, ..self }, Self { sector: self.sector + sectors, sectors: rest }))
    }

    fn position(self) -> u64 {
        self.sector * u64::from(SECTOR_SIZE)
    }

    fn bytes(self) -> u64 {
        self.sectors * u64::from(SECTOR_SIZE)
    }
}

/// An open image. Shared by the threads of all queues.
#[derive(Debug)]
pub struct Disk {
    file: File,
    geometry: Geometry,
}

impl Disk {
    /// Opens an image file or a block device, and locks it against a second backend.
    ///
    /// What follows the last whole sector is never touched.
    ///
    /// # Errors
    /// If it cannot be opened, is in use, or holds no sector.
    pub fn open(path: &Path, read_only: bool) -> Result<Self> {
        let image = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(!read_only)
            .open(path)
            .with_context(|| format!("cannot open the disk image {image}"))?;
        let lock = if read_only {
            FlockOperation::NonBlockingLockShared
        } else {
            FlockOperation::NonBlockingLockExclusive
        };
        flock(&file, lock).with_context(|| format!("the disk image {image} is in use by another backend"))?;
        // Unlike the length in the metadata, the end is right for block devices too.
        let len = file.seek(SeekFrom::End(0)).with_context(|| format!("cannot find the size of {image}"))?;
        let geometry = Geometry { sectors: len / u64::from(SECTOR_SIZE), read_only };
        anyhow::ensure!(
            geometry.sectors > 0,
            "the disk image {image} has {len} bytes: not one sector of 512"
        );
        Ok(Self { file, geometry })
    }

    /// Size and rights.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Reads sectors into a buffer of their size.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self, extent: Extent, buffer: &mut [u8]) -> io::Result<()> {
        debug_assert_eq!(buffer.len() as u64, extent.bytes());
        self.file.read_exact_at(buffer, extent.position())
    }

    /// Writes sectors from a buffer of their size.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&self, extent: Extent, buffer: &[u8]) -> io::Result<()> {
        debug_assert_eq!(buffer.len() as u64, extent.bytes());
        self.file.write_all_at(buffer, extent.position())
    }

    /// Reads sectors straight into the guest's pages, from `offset` on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_to_guest(&self, extent: Extent, memory: &SharedMemory, offset: usize) -> io::Result<()> {
        in_pieces(extent, ErrorKind::UnexpectedEof, |done, len, position| {
            memory.read_from_file(offset + done, len, &self.file, position)
        })
    }

    /// Reads sectors straight into parts of the guest's pages, which have their size together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_parts(&self, extent: Extent, mut parts: SharedParts<'_>) -> io::Result<()> {
        in_pieces(extent, ErrorKind::UnexpectedEof, |_, _, position| {
            parts.read_from_file(&self.file, position).inspect(|moved| parts.advance(*moved))
        })
    }

    /// Writes sectors straight from parts of the guest's pages, which have their size together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write_parts(&self, extent: Extent, mut parts: SharedParts<'_>) -> io::Result<()> {
        in_pieces(extent, ErrorKind::WriteZero, |_, _, position| {
            parts.write_to_file(&self.file, position).inspect(|moved| parts.advance(*moved))
        })
    }

    /// Writes sectors straight from the guest's pages, from `offset` on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write_from_guest(
        &self,
        extent: Extent,
        memory: &SharedMemory<ReadOnly>,
        offset: usize,
    ) -> io::Result<()> {
        in_pieces(extent, ErrorKind::WriteZero, |done, len, position| {
            memory.write_to_file(offset + done, len, &self.file, position)
        })
    }

    /// Makes everything written so far durable.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives the space of sectors back. They read as zeroes afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the file system cannot do it.
    pub fn discard(&self, extent: Extent) -> io::Result<()> {
        if extent.sectors == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.file, flags, extent.position(), extent.bytes()).map_err(|errno| match errno {
            Errno::OPNOTSUPP | Errno::NOSYS => ErrorKind::Unsupported.into(),
            errno => errno.into(),
        })
    }
}

/// Repeats a transfer that may move less than it was asked to; `at_end` is the error if it moves nothing.
fn in_pieces(
    extent: Extent,
    at_end: ErrorKind,
    mut transfer: impl FnMut(usize, usize, u64) -> io::Result<usize>,
) -> io::Result<()> {
    let mut left = usize::try_from(extent.bytes()).map_err(|_| ErrorKind::InvalidInput)?;
    let mut position = extent.position();
    let mut done = 0;
    while left > 0 {
        match transfer(done, left, position) {
            Ok(0) => return Err(at_end.into()),
            Ok(moved) => {
                done += moved;
                left -= moved;
                position += moved as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DISK: Geometry = Geometry { sectors: 100, read_only: false };

    #[test]
    fn an_extent_ends_with_the_disk() {
        assert!(DISK.extent(0, 100).is_ok());
        assert!(DISK.extent(100, 0).is_ok());
        let outside = Malformed::OutsideDisk { sector: 99, sectors: 2, disk: 100 };
        assert_eq!(DISK.extent(99, 2), Err(outside));
        assert!(DISK.extent(u64::MAX, 2).is_err(), "the sum wraps");
    }

    #[test]
    fn extents_split_and_join() {
        let extent = DISK.extent(10, 20).unwrap();
        let (head, tail) = extent.split(5).unwrap();
        assert_eq!(head.joined(tail), Some(extent));
        assert_eq!(tail.joined(head), None);
        assert_eq!(extent.split(21), None);
    }

    #[test]
    fn the_tail_of_an_image_is_no_sector() {
        let path = std::env::temp_dir().join(format!("blkback-disk-{}", std::process::id()));
        std::fs::write(&path, [7; 1024 + 100]).unwrap();
        let disk = Disk::open(&path, false).unwrap();
        assert_eq!(disk.geometry().sectors, 2);
        let second = Disk::open(&path, true).unwrap_err();
        assert!(second.to_string().contains("in use"), "{second}");
        let extent = disk.geometry().extent(0, 2).unwrap();
        disk.write(extent, &[1; 1024]).unwrap();
        disk.discard(disk.geometry().extent(1, 1).unwrap()).unwrap();
        let mut buffer = [0; 1024];
        disk.read(extent, &mut buffer).unwrap();
        assert_eq!((buffer[511], buffer[512]), (1, 0));
        let image = std::fs::read(&path).unwrap();
        assert_eq!((image.len(), &image[1024..]), (1124, &[7; 100][..]));
        std::fs::remove_file(&path).unwrap();
    }

    proptest! {
        #[test]
        fn no_extent_leaves_the_disk(disk: u64, sector: u64, sectors: u64) {
            if let Ok(extent) = (Geometry { sectors: disk, read_only: false }).extent(sector, sectors) {
                prop_assert!(u128::from(extent.sector()) + u128::from(extent.sectors()) <= u128::from(disk));
            }
        }
    }
}
