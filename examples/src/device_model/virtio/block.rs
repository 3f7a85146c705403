//! A disk: an image file, of which only the sectors can be reached.

use std::io::{self, Read, Write};

use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR,
    VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN,
    VIRTIO_BLK_T_OUT,
};
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{DescriptorChain, Reader, Writer};
use vm_memory::{Address, Bytes, GuestAddress, GuestMemory};

use super::{Device, queue};
use crate::blkback::disk::{Disk, Extent};
use crate::blkif::{Malformed, SECTOR_SIZE};

/// What data pass through, piece by piece.
const BUFFER_SECTORS: usize = 128;
const SECTOR: usize = SECTOR_SIZE as usize;
/// What a request needs besides its data: a descriptor for what is wanted, and one for how it went.
const FRAME: u16 = 2;
/// What the guest shows as the disk's serial number.
const NAME: &[u8; VIRTIO_BLK_ID_BYTES as usize] = b"xen-sdk-disk\0\0\0\0\0\0\0\0";

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("its descriptors make no sense")]
    Chain(#[from] virtio_queue::Error),
    #[error("it has more descriptors than the queue, or they never end")]
    Endless,
    #[error("its data are no whole number of sectors, or are not there")]
    Length,
    #[error("no request of a known type: {0}")]
    Unknown(u32),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    fn status(&self) -> u32 {
        if matches!(self, Self::Unknown(_)) { VIRTIO_BLK_S_UNSUPP } else { VIRTIO_BLK_S_IOERR }
    }
}

/// A virtio disk.
#[derive(Debug)]
pub struct Block {
    disk: Disk,
    buffer: Vec<u8>,
}

impl Block {
    /// The disk with this image.
    #[must_use]
    pub fn new(disk: Disk) -> Self {
        Self { disk, buffer: vec![0; BUFFER_SECTORS * SECTOR] }
    }

    /// Does what the guest wants, and answers how many bytes it gets.
    fn perform<M: GuestMemory<Bitmap = ()>>(
        &mut self,
        memory: &M,
        chain: DescriptorChain<&M>,
    ) -> Result<u32, Failure> {
        let mut input = Reader::new(memory, chain.clone())?;
        let mut output = Writer::new(memory, chain)?;
        let mut header = [[0; 4]; 4];
        input.read_exact(header.as_flattened_mut())?;
        let [kind, _, low, high] = header.map(u32::from_le_bytes);
        let sector = u64::from(high) << 32 | u64::from(low);
        let room = output.available_bytes().checked_sub(1).ok_or(Failure::Length)?; // the status is the last byte
        match kind {
            VIRTIO_BLK_T_IN => self.read(self.extent(sector, room)?, &mut output)?,
            VIRTIO_BLK_T_OUT => {
                self.disk.geometry().writable()?;
                self.write(self.extent(sector, input.available_bytes())?, &mut input)?;
            }
            VIRTIO_BLK_T_FLUSH => self.disk.flush()?,
            VIRTIO_BLK_T_GET_ID if room >= NAME.len() => output.write_all(NAME)?,
            VIRTIO_BLK_T_GET_ID => return Err(Failure::Length),
            other => return Err(Failure::Unknown(other)),
        }
        u32::try_from(output.bytes_written()).map_err(|_| Failure::Length)
    }

    fn extent(&self, sector: u64, bytes: usize) -> Result<Extent, Failure> {
        if bytes == 0 || bytes % SECTOR != 0 {
            return Err(Failure::Length);
        }
        Ok(self.disk.geometry().extent(sector, (bytes / SECTOR) as u64)?)
    }

    fn read(&mut self, extent: Extent, output: &mut Writer<'_>) -> io::Result<()> {
        for piece in pieces(extent) {
            let buffer = &mut self.buffer[..bytes(piece)];
            self.disk.read(piece, buffer)?;
            output.write_all(buffer)?;
        }
        Ok(())
    }

    fn write(&mut self, extent: Extent, input: &mut Reader<'_>) -> io::Result<()> {
        for piece in pieces(extent) {
            let buffer = &mut self.buffer[..bytes(piece)];
            input.read_exact(buffer)?;
            self.disk.write(piece, buffer)?;
        }
        Ok(())
    }
}

/// An extent in pieces that fit into the buffer.
fn pieces(extent: Extent) -> impl Iterator<Item = Extent> {
    let mut rest = Some(extent).filter(|extent| extent.sectors() > 0);
    std::iter::from_fn(move || {
        let all = rest.take()?;
        match all.split(BUFFER_SECTORS as u64) {
            Some((piece, more)) => {
                rest = Some(more).filter(|more| more.sectors() > 0);
                Some(piece)
            }
            None => Some(all),
        }
    })
}

/// Bytes of a piece.
fn bytes(piece: Extent) -> usize {
    usize::try_from(piece.sectors()).map_or(BUFFER_SECTORS, |sectors| sectors.min(BUFFER_SECTORS)) * SECTOR
}

/// Where the guest wants to know how it went: the last byte of the chain.
fn status_place<M: GuestMemory>(chain: DescriptorChain<&M>) -> Result<GuestAddress, Failure> {
    let most = usize::from(queue::SIZE);
    let mut last = None;
    for (index, descriptor) in chain.enumerate() {
        if index == most {
            return Err(Failure::Endless);
        }
        last = Some(descriptor);
    }
    let last = last.filter(Descriptor::is_write_only).ok_or(Failure::Length)?;
    if last.has_next() {
        return Err(Failure::Endless);
    }
    let offset = last.len().checked_sub(1).ok_or(Failure::Length)?;
    last.addr().checked_add(offset.into()).ok_or(Failure::Length)
}

impl Device for Block {
    const KIND: u16 = 2;
    const CLASS: [u8; 3] = [0, 0x80, 1];
    const QUEUES: u16 = 1;

    fn features(&self) -> u64 {
        let read_only = u64::from(self.disk.geometry().read_only);
        1 << VIRTIO_BLK_F_FLUSH | 1 << VIRTIO_BLK_F_SEG_MAX | read_only << VIRTIO_BLK_F_RO
    }

    /// The sectors that there are, and into how many parts the data of a request may be split.
    fn registers(&self) -> Vec<u8> {
        let mut registers = vec![0; 24];
        registers[..8].copy_from_slice(&self.disk.geometry().sectors.to_le_bytes());
        registers[12..16].copy_from_slice(&u32::from(queue::SIZE - FRAME).to_le_bytes());
        registers
    }

    fn serve<M: GuestMemory<Bitmap = ()>>(&mut self, memory: &M, chain: DescriptorChain<&M>) -> u32 {
        let place = match status_place(chain.clone()) {
            Ok(place) => place,
            Err(failure) => {
                tracing::debug!(%failure, "a request without an answer");
                return 0;
            }
        };
        let outcome = self.perform(memory, chain);
        if let Err(failure) = &outcome {
            tracing::debug!(%failure, "a request fails");
        }
        let status = outcome.as_ref().map_or_else(Failure::status, |_| VIRTIO_BLK_S_OK);
        let [status, ..] = status.to_le_bytes();
        // Where there is no memory, nobody waits for it.
        let told = memory.write_obj(status, place).is_ok();
        outcome.unwrap_or(0).saturating_add(told.into())
    }
}
