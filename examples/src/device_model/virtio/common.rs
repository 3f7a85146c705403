//! The registers that all virtio devices have: features, status, and how each queue is set up.

use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_VERSION_1,
};
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use virtio_queue::QueueT;
use xen_ctrl::devicemodel::IoHandler;

use super::msix::{NO_VECTOR, VECTORS};
use super::queue::VirtQueue;
use crate::device_model::bytes_at;
use crate::device_model::state::{Saved, take};

/// Bytes of these registers.
pub const LENGTH: u32 = 0x38;

/// What every device here can do.
const FEATURES: u64 =
    1 << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_EVENT_IDX | 1 << VIRTIO_RING_F_INDIRECT_DESC;

/// The registers.
#[derive(Debug)]
pub struct Common {
    offered: u64,
    /// The features that the guest has taken.
    taken: u64,
    offered_select: u32,
    taken_select: u32,
    config_vector: u16,
    status: u32,
    queue_select: u16,
    queues: Vec<VirtQueue>,
}

impl Common {
    /// As after a reset, for a device with these features and so many queues.
    #[must_use]
    pub fn new(features: u64, queues: u16) -> Self {
        Self {
            offered: features | FEATURES,
            taken: 0,
            offered_select: 0,
            taken_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            queue_select: 0,
            queues: (0..queues).map(|_| VirtQueue::new()).collect(),
        }
    }

    /// A queue that the guest has made ready, of a device that it drives.
    pub fn running(&mut self, queue: u16) -> Option<&mut VirtQueue> {
        let broken = self.has(VIRTIO_CONFIG_S_NEEDS_RESET);
        let runs = self.has(VIRTIO_CONFIG_S_DRIVER_OK) && self.has(VIRTIO_CONFIG_S_FEATURES_OK) && !broken;
        self.queues.get_mut(usize::from(queue)).filter(|queue| runs && queue.ring.ready())
    }

    /// The guest has done something from which there is no way back but a reset. The vector by which it is told.
    pub fn break_down(&mut self) -> u16 {
        self.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
        self.config_vector
    }

    fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }

    fn reset(&mut self) {
        let queues = u16::try_from(self.queues.len()).unwrap_or(u16::MAX);
        *self = Self { offered: self.offered, ..Self::new(0, queues) };
    }

    fn set_status(&mut self, status: u32) {
        if status == 0 {
            return self.reset();
        }
        let kept = self.status & VIRTIO_CONFIG_S_NEEDS_RESET;
        let had_features = self.has(VIRTIO_CONFIG_S_FEATURES_OK);
        self.status = status | kept;
        let acceptable = self.taken & !self.offered == 0 && self.taken & 1 << VIRTIO_F_VERSION_1 != 0;
        if !acceptable {
            self.status &= !VIRTIO_CONFIG_S_FEATURES_OK;
        } else if self.has(VIRTIO_CONFIG_S_FEATURES_OK) && !had_features {
            let with_events = self.taken & 1 << VIRTIO_RING_F_EVENT_IDX != 0;
            self.queues.iter_mut().for_each(|queue| queue.ring.set_event_idx(with_events));
        }
    }

    /// Half of a set of features.
    fn half(features: u64, select: u32) -> u32 {
        match select {
            0 => low_word(features),
            1 => low_word(features >> 32),
            _ => 0,
        }
    }

    fn take_features(&mut self, half: u32) {
        if self.has(VIRTIO_CONFIG_S_FEATURES_OK) || self.taken_select > 1 {
            return;
        }
        let shift = 32 * self.taken_select;
        self.taken = self.taken & !(0xffff_ffff << shift) | u64::from(half) << shift;
    }

    /// The registers as bytes.
    fn image(&self) -> Vec<u8> {
        let queue = self.queues.get(usize::from(self.queue_select));
        let state = queue.map(|queue| queue.ring.state()).unwrap_or_default();
        let mut image = Vec::with_capacity(64);
        image.extend(self.offered_select.to_le_bytes());
        image.extend(Self::half(self.offered, self.offered_select).to_le_bytes());
        image.extend(self.taken_select.to_le_bytes());
        image.extend(Self::half(self.taken, self.taken_select).to_le_bytes());
        image.extend(self.config_vector.to_le_bytes());
        image.extend(u16::try_from(self.queues.len()).unwrap_or(u16::MAX).to_le_bytes());
        image.extend([self.status.to_le_bytes()[0], 0]); // the configuration never changes
        image.extend(self.queue_select.to_le_bytes());
        image.extend(state.size.to_le_bytes());
        image.extend(queue.map_or(NO_VECTOR, |queue| queue.vector).to_le_bytes());
        image.extend(u16::from(state.ready).to_le_bytes());
        image.extend([0, 0]); // all queues are notified at one place
        image.extend(
            [state.desc_table, state.avail_ring, state.used_ring].map(u64::to_le_bytes).as_flattened(),
        );
        image
    }

    /// Sets up the queue that is selected. What it is when it is ready it remains until a reset.
    fn set_up_queue(&mut self, offset: u64, low: u16, value: u32) {
        let selected = self.queues.get_mut(usize::from(self.queue_select));
        let Some(queue) = selected.filter(|queue| !queue.ring.ready()) else { return };
        let ring = &mut queue.ring;
        match offset {
            0x18 => ring.set_size(low),
            0x1a => queue.vector = vector(low),
            0x1c => ring.set_ready(low == 1),
            0x20 => ring.set_desc_table_address(Some(value), None),
            0x24 => ring.set_desc_table_address(None, Some(value)),
            0x28 => ring.set_avail_ring_address(Some(value), None),
            0x2c => ring.set_avail_ring_address(None, Some(value)),
            0x30 => ring.set_used_ring_address(Some(value), None),
            _ => ring.set_used_ring_address(None, Some(value)),
        }
    }
}

fn low_word(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(0)
}

/// A vector that there is.
fn vector(number: u16) -> u16 {
    if number < VECTORS { number } else { NO_VECTOR }
}

/// Reads may be of any width; writes must be of whole registers, or of half of one of 8 bytes.
impl IoHandler for Common {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        bytes_at(&self.image(), address, size, 0xff)
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        let word = low_word(value);
        let [byte, next, ..] = word.to_le_bytes();
        let low = u16::from_le_bytes([byte, next]);
        match (address, size) {
            (0x00, 4) => self.offered_select = word,
            (0x08, 4) => self.taken_select = word,
            (0x0c, 4) => self.take_features(word),
            (0x10, 2) => self.config_vector = vector(low),
            (0x14, 1) => self.set_status(byte.into()),
            (0x16, 2) => self.queue_select = low,
            (0x18 | 0x1a | 0x1c, 2) => self.set_up_queue(address, low, word),
            (0x20..0x38, 4) if address % 4 == 0 => self.set_up_queue(address, low, word),
            (0x20 | 0x28 | 0x30, 8) => {
                self.set_up_queue(address, low, word);
                self.set_up_queue(address + 4, low, low_word(value >> 32));
            }
            _ => tracing::debug!(address, size, "the guest writes to no register"),
        }
    }
}

impl Saved for Common {
    fn save(&self, to: &mut Vec<u8>) {
        to.extend(self.taken.to_le_bytes());
        to.extend([self.offered_select, self.taken_select, self.status].map(u32::to_le_bytes).as_flattened());
        to.extend([self.config_vector, self.queue_select].map(u16::to_le_bytes).as_flattened());
        self.queues.iter().for_each(|queue| queue.save(to));
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.taken = u64::from_le_bytes(take(from)?);
        let mut word = || take(from).map(u32::from_le_bytes);
        (self.offered_select, self.taken_select, self.status) = (word()?, word()?, word()?);
        let mut half = || take(from).map(u16::from_le_bytes);
        (self.config_vector, self.queue_select) = (half()?, half()?);
        self.queues.iter_mut().try_for_each(|queue| queue.restore(from))
    }
}
