//! A queue: rings in the guest's memory, by which it asks and is answered.

use std::mem;
use std::sync::atomic::Ordering;

use virtio_queue::{DescriptorChain, Error, Queue, QueueOwnedT, QueueState, QueueT};

use super::msix::NO_VECTOR;
use super::{Device, Guest};
use crate::device_model::state::{Saved, take};

/// How many descriptors there may be.
pub const SIZE: u16 = 128;

/// What came of a round of requests.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The guest wants an interrupt.
    pub interrupt: bool,
    /// There may be more requests, and the guest will not tell of them.
    pub is_unfinished: bool,
}

/// A queue, as the guest has set it up.
#[derive(Debug)]
pub struct VirtQueue {
    /// What rust-vmm has of it.
    pub ring: Queue,
    /// The interrupt for it.
    pub vector: u16,
    /// It was restored: what the process before did last is not known.
    resumed: bool,
}

impl VirtQueue {
    /// As after a reset.
    #[must_use]
    pub fn new() -> Self {
        let state = QueueState { max_size: SIZE, size: SIZE, ..QueueState::default() };
        Self { ring: Queue::try_from(state).unwrap_or_default(), vector: NO_VECTOR, resumed: false }
    }

    /// Has the device do what the guest asks for, up to as many requests as the queue holds: a guest that goes on asking must not
    /// keep us from everything else.
    ///
    /// # Errors
    /// If the rings make no sense, or are not in the guest's memory.
    pub fn serve(&mut self, guest: &mut impl Guest, device: &mut impl Device) -> Result<Round, Error> {
        let resumed = mem::take(&mut self.resumed);
        if resumed {
            self.catch_up(guest)?;
        }
        self.ring.disable_notification(guest.memory())?;
        let mut is_unfinished = true;
        for _ in 0..SIZE {
            guest.rest();
            if !self.serve_one(guest, device)? && !self.ring.enable_notification(guest.memory())? {
                is_unfinished = false;
                break;
            }
        }
        let interrupt = self.ring.needs_notification(guest.memory())? || resumed;
        Ok(Round { interrupt, is_unfinished })
    }

    fn serve_one(&mut self, guest: &impl Guest, device: &mut impl Device) -> Result<bool, Error> {
        let memory = guest.memory();
        let Some(chain) = self.ring.iter(memory)?.next() else { return Ok(false) };
        let head = DescriptorChain::head_index(&chain);
        let written = device.serve(memory, chain);
        self.ring.add_used(memory, head, written)?;
        Ok(true)
    }

    /// Requests are answered in the order in which they come. So the ring of answers tells which was the last one.
    fn catch_up(&mut self, guest: &impl Guest) -> Result<(), Error> {
        let used = self.ring.used_idx(guest.memory(), Ordering::Acquire)?.0;
        self.ring.set_next_used(used);
        self.ring.set_next_avail(used);
        Ok(())
    }
}

impl Default for VirtQueue {
    fn default() -> Self {
        Self::new()
    }
}

/// How far it got is in the guest's memory.
impl Saved for VirtQueue {
    fn save(&self, to: &mut Vec<u8>) {
        let QueueState { size, ready, event_idx_enabled, desc_table, avail_ring, used_ring, .. } =
            self.ring.state();
        to.extend(self.vector.to_le_bytes());
        to.extend(size.to_le_bytes());
        to.extend([ready, event_idx_enabled].map(u8::from));
        to.extend([desc_table, avail_ring, used_ring].map(u64::to_le_bytes).as_flattened());
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.vector = u16::from_le_bytes(take(from)?);
        let size = u16::from_le_bytes(take(from)?);
        let [ready, event_idx_enabled] = take(from)?.map(|byte: u8| byte != 0);
        let mut address = || take(from).map(u64::from_le_bytes);
        let (desc_table, avail_ring, used_ring) = (address()?, address()?, address()?);
        let (next_avail, next_used) = (0, 0);
        self.ring = Queue::try_from(QueueState {
            max_size: SIZE,
            next_avail,
            next_used,
            event_idx_enabled,
            size,
            ready,
            desc_table,
            avail_ring,
            used_ring,
        })
        .ok()?;
        self.resumed = true;
        Some(())
    }
}
