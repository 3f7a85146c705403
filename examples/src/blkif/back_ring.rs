//! The backend's side of a ring: takes requests, gives responses.

use std::ops::Deref;
use std::sync::atomic::{Ordering, fence};

use xen_gnttab::SharedMemory;
use zerocopy::IntoBytes;

use super::layout::{RequestRecord, ResponseRecord};
use super::ring::{
    REQUEST_EVENT, REQUEST_PRODUCER, RESPONSE_EVENT, RESPONSE_PRODUCER, RingError, Shape, passed,
};
use super::{Abi, Request, Response};

/// The backend's side of a ring in memory `M`.
#[derive(Debug)]
pub struct BackRing<M> {
    memory: M,
    shape: Shape,
    /// Requests taken so far.
    consumed: u32,
    /// Responses given so far.
    produced: u32,
}

impl<M: Deref<Target = SharedMemory>> BackRing<M> {
    /// Takes over a ring that the frontend has set up.
    ///
    /// # Errors
    /// [`RingError::TooSmall`].
    pub fn new(memory: M, abi: Abi) -> Result<Self, RingError> {
        let shape = Shape::of(memory.len(), abi)?;
        let produced = memory.load_u32(RESPONSE_PRODUCER)?;
        Ok(Self { memory, shape, consumed: produced, produced })
    }

    /// Slots of the ring.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.shape.size
    }

    /// How many requests wait.
    ///
    /// # Errors
    /// [`RingError::Overrun`] if the frontend's index is impossible: it must not be served any longer.
    pub fn waiting(&self) -> Result<u32, RingError> {
        let produced = self.memory.load_u32(REQUEST_PRODUCER)?;
        let unanswered = self.consumed.wrapping_sub(self.produced);
        self.shape.available(produced, self.consumed, self.shape.size - unanswered)
    }

    /// Copies out the next request and decodes the copy. Only for a request that [`BackRing::waiting`] has counted.
    ///
    /// # Errors
    /// [`RingError::Access`], which a ring of the right shape never gives.
    pub fn peek(&self) -> Result<Request, RingError> {
        let offset = self.shape.offset(self.consumed);
        let record: RequestRecord = match self.shape.abi {
            Abi::Native => self.memory.read(offset)?,
            Abi::X86_32 => Abi::widen(&self.memory.read(offset)?),
        };
        Ok(Request::decode(&record))
    }

    /// Goes on to the request after the one that [`BackRing::peek`] returned.
    pub fn advance(&mut self) {
        self.consumed = self.consumed.wrapping_add(1);
    }

    /// Asks for an event with the next request. True if none came in the meantime: then it is safe to sleep.
    ///
    /// # Errors
    /// As [`BackRing::waiting`].
    pub fn arm(&self) -> Result<bool, RingError> {
        self.memory.atomic_u32(REQUEST_EVENT)?.store(self.consumed.wrapping_add(1), Ordering::Relaxed);
        // The frontend writes its index and then reads ours; we write ours and then read its. Without a full barrier
        // between, both could read the old value, and a request would wait for ever.
        fence(Ordering::SeqCst);
        Ok(self.waiting()? == 0)
    }

    /// Gives responses, all of them visible at once. True if the frontend wants an event for that.
    ///
    /// # Errors
    /// [`RingError::Access`], which a ring of the right shape never gives.
    pub fn respond(&mut self, responses: impl Iterator<Item = Response>) -> Result<bool, RingError> {
        let old = self.produced;
        for response in responses {
            let record = ResponseRecord::from(response);
            let bytes = &record.as_bytes()[..self.shape.abi.response_size()];
            self.memory.copy_from_slice(self.shape.offset(self.produced), bytes)?;
            self.produced = self.produced.wrapping_add(1);
        }
        self.memory.atomic_u32(RESPONSE_PRODUCER)?.store(self.produced, Ordering::Release);
        fence(Ordering::SeqCst); // as in `arm`
        let event = self.memory.load_u32(RESPONSE_EVENT)?;
        Ok(passed(event, old, self.produced))
    }
}
