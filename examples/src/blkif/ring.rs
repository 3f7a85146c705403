//! Where things are in a ring: four indices, then slots in a power of two.

use xen_gnttab::AccessError;

use super::Abi;

/// Index of the next request that the frontend will write.
pub(super) const REQUEST_PRODUCER: usize = 0;
/// The frontend notifies when its producer index passes this.
pub(super) const REQUEST_EVENT: usize = 4;
/// Index of the next response that the backend will write.
pub(super) const RESPONSE_PRODUCER: usize = 8;
/// The backend notifies when its producer index passes this.
pub(super) const RESPONSE_EVENT: usize = 12;
/// The first slot.
const SLOTS: usize = 64;

/// The ring cannot be used (any more).
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The other side's producer index is impossible: that many messages have no place in the ring.
    #[error("the peer claims {claimed} new messages where at most {possible} are possible (ring of {size})")]
    Overrun {
        /// Messages claimed.
        claimed: u32,
        /// Messages possible.
        possible: u32,
        /// Slots of the ring.
        size: u32,
    },
    /// The shared memory is too small for a ring.
    #[error("{0} bytes are too few for a ring")]
    TooSmall(usize),
    /// An access outside of the shared memory.
    #[error("the ring does not fit its memory")]
    Access(#[from] AccessError),
}

/// The shape of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) abi: Abi,
    /// Slots: as many as fit, rounded down to a power of two.
    pub(super) size: u32,
}

impl Shape {
    pub(super) fn of(bytes: usize, abi: Abi) -> Result<Self, RingError> {
        let fitting = bytes.saturating_sub(SLOTS) / abi.slot_size();
        let size = fitting.checked_ilog2().map(|log| 1 << log).ok_or(RingError::TooSmall(bytes))?;
        Ok(Self { abi, size })
    }

    /// Where the slot of a message is. Indices run freely, the slots repeat.
    pub(super) fn offset(self, index: u32) -> usize {
        let slot = index & (self.size - 1);
        SLOTS + slot as usize * self.abi.slot_size()
    }

    /// How many messages the peer has produced since `consumed`, where more than `possible` have no place.
    pub(super) fn available(self, produced: u32, consumed: u32, possible: u32) -> Result<u32, RingError> {
        let claimed = produced.wrapping_sub(consumed);
        if claimed > possible {
            return Err(RingError::Overrun { claimed, possible, size: self.size });
        }
        Ok(claimed)
    }
}

/// Whether moving a producer index from `old` to `new` passed the index at which the other side wants an event.
pub(super) fn passed(event: u32, old: u32, new: u32) -> bool {
    new.wrapping_sub(event) < new.wrapping_sub(old)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rings_have_the_sizes_that_guests_expect() {
        let size = |pages: usize, abi| Shape::of(pages * 4096, abi).unwrap().size;
        assert_eq!([1, 2, 4, 8, 16].map(|pages| size(pages, Abi::Native)), [32, 64, 128, 256, 512]);
        assert_eq!(size(1, Abi::X86_32), 32);
        assert!(matches!(Shape::of(100, Abi::Native), Err(RingError::TooSmall(100))));
    }

    #[test]
    fn an_event_is_due_when_its_index_is_passed() {
        assert!(passed(1, 0, 1));
        assert!(passed(3, 0, 5));
        assert!(!passed(6, 0, 5));
        assert!(!passed(1, 1, 2), "the event index was passed before");
        assert!(!passed(1, 0, 0), "nothing was produced");
        assert!(passed(0, u32::MAX, 1), "indices wrap");
    }

    proptest! {
        #[test]
        fn slots_are_inside_the_memory(index: u32, order in 0_usize..5) {
            for abi in [Abi::Native, Abi::X86_32] {
                let bytes = 4096 << order;
                let shape = Shape::of(bytes, abi).unwrap();
                let offset = shape.offset(index);
                prop_assert!(offset >= SLOTS && offset + abi.slot_size() <= bytes);
            }
        }

        #[test]
        fn no_producer_index_yields_more_than_possible(produced: u32, consumed: u32, possible in 0_u32..=32) {
            let shape = Shape::of(4096, Abi::Native).unwrap();
            match shape.available(produced, consumed, possible) {
                Ok(count) => prop_assert!(count <= possible),
                Err(_) => prop_assert!(produced.wrapping_sub(consumed) > possible),
            }
        }
    }
}
