//! The frontend's side of a ring: gives requests, takes responses. In the 64-bit layout only.

use std::ops::Deref;
use std::sync::atomic::{Ordering, fence};

use xen_gnttab::SharedMemory;
use zerocopy::{Immutable, IntoBytes};

use super::layout::{RequestRecord, ResponseRecord};
use super::ring::{
    REQUEST_EVENT, REQUEST_PRODUCER, RESPONSE_EVENT, RESPONSE_PRODUCER, RingError, Shape, passed,
};
use super::{Abi, Response};

/// The frontend's side of a ring in memory `M`.
#[derive(Debug)]
pub struct FrontRing<M> {
    memory: M,
    shape: Shape,
    /// Requests written so far.
    produced: u32,
    /// Requests published so far.
    published: u32,
    /// Responses taken so far.
    consumed: u32,
}

impl<M: Deref<Target = SharedMemory>> FrontRing<M> {
    /// Sets up a new ring.
    ///
    /// # Errors
    /// [`RingError::TooSmall`].
    pub fn new(memory: M) -> Result<Self, RingError> {
        let shape = Shape::of(memory.len(), Abi::Native)?;
        for (index, value) in
            [(REQUEST_PRODUCER, 0), (REQUEST_EVENT, 1), (RESPONSE_PRODUCER, 0), (RESPONSE_EVENT, 1)]
        {
            memory.atomic_u32(index)?.store(value, Ordering::Release);
        }
        Ok(Self { memory, shape, produced: 0, published: 0, consumed: 0 })
    }

    /// The shared pages.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Slots of the ring.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.shape.size
    }

    /// Slots that a request may go to.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.shape.size - self.produced.wrapping_sub(self.consumed)
    }

    /// Writes a request into the next slot, not yet visible to the backend. The caller looks at [`FrontRing::free`].
    ///
    /// # Errors
    /// [`RingError::Access`] if the record is larger than a slot.
    pub fn push<T: IntoBytes + Immutable>(&mut self, record: &T) -> Result<(), RingError> {
        const { assert!(size_of::<T>() <= size_of::<RequestRecord>()) };
        self.memory.write(self.shape.offset(self.produced), record)?;
        self.produced = self.produced.wrapping_add(1);
        Ok(())
    }

    /// Makes the pushed requests visible. True if the backend wants an event for that.
    ///
    /// # Errors
    /// [`RingError::Access`], which a ring of the right shape never gives.
    pub fn publish(&mut self) -> Result<bool, RingError> {
        let old = std::mem::replace(&mut self.published, self.produced);
        self.claim(self.produced)?;
        fence(Ordering::SeqCst); // the backend writes its event index and then reads ours
        let event = self.memory.load_u32(REQUEST_EVENT)?;
        Ok(passed(event, old, self.produced))
    }

    /// Sets the producer index that the backend sees, to whatever value: for frontends that misbehave.
    ///
    /// # Errors
    /// [`RingError::Access`], which a ring of the right shape never gives.
    pub fn claim(&self, produced: u32) -> Result<(), RingError> {
        self.memory.atomic_u32(REQUEST_PRODUCER)?.store(produced, Ordering::Release);
        Ok(())
    }

    /// Overwrites the slot of the request that was pushed last, whether it is published or not: for frontends that
    /// misbehave.
    ///
    /// # Errors
    /// [`RingError::Access`], which a ring of the right shape never gives.
    pub fn overwrite(&self, record: &RequestRecord) -> Result<(), RingError> {
        Ok(self.memory.write(self.shape.offset(self.produced.wrapping_sub(1)), record)?)
    }

    /// Index of the request that the next push will write.
    #[must_use]
    pub fn produced(&self) -> u32 {
        self.produced
    }

    /// The next response, if there is one.
    ///
    /// # Errors
    /// [`RingError::Overrun`] if the backend answers more than it was asked.
    pub fn take(&mut self) -> Result<Option<Response>, RingError> {
        if self.waiting()? == 0 {
            return Ok(None);
        }
        let record: ResponseRecord = self.memory.read(self.shape.offset(self.consumed))?;
        self.consumed = self.consumed.wrapping_add(1);
        Ok(Some(record.into()))
    }

    /// Asks for an event with the next response. True if none came in the meantime: then it is safe to sleep.
    ///
    /// # Errors
    /// As [`FrontRing::take`].
    pub fn arm(&self) -> Result<bool, RingError> {
        self.memory.atomic_u32(RESPONSE_EVENT)?.store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::SeqCst); // the backend writes its index and then reads ours
        Ok(self.waiting()? == 0)
    }

    fn waiting(&self) -> Result<u32, RingError> {
        let produced = self.memory.load_u32(RESPONSE_PRODUCER)?;
        self.shape.available(produced, self.consumed, self.produced.wrapping_sub(self.consumed))
    }
}
