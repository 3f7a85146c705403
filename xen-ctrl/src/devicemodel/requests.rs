//! Takes requests, and answers them.

use std::mem;
use std::time::Duration;

use xen_foreignmem::MapCache;
use xen_sys::{Port, VcpuId};

use super::step::perform;
use super::{Direction, Io, IoHandler, IoreqServer, Operand};
use crate::Error;

impl IoreqServer {
    /// Waits for requests, for as long as `timeout` says (for ever with `None`). False when the time is up. Also when this says true,
    /// there may be none.
    ///
    /// Three system calls for each time that there are some; taking them is none. Programs that wait for other things as well poll
    /// the file ([`AsFd`](std::os::fd::AsFd)), and then call [`acknowledge`](Self::acknowledge).
    ///
    /// # Errors
    ///
    /// [`Error::Events`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let is_time = self.evtchn().wait(timeout)?;
        if is_time {
            self.acknowledge()?;
        }
        Ok(is_time)
    }

    /// Takes the events that told of requests, so that the file is readable again when others come. To be called *before* the
    /// requests are taken.
    ///
    /// # Errors
    ///
    /// [`Error::Events`].
    pub fn acknowledge(&self) -> Result<(), Error> {
        let mut ports = [Port::default(); 64];
        loop {
            let count = self.evtchn().pending(&mut ports)?;
            self.evtchn().unmask(&ports[..count])?;
            if count < ports.len() {
                return Ok(());
            }
        }
    }

    /// Takes a request, or `None` if there is none at the moment. No system call.
    ///
    /// What a vCPU wrote without waiting comes before what it waits for now. Several threads may take requests, and a request can be
    /// answered later, by any of them; its vCPU waits until then.
    pub fn next_request(&self) -> Option<Request<'_>> {
        loop {
            // Looked for first: what this vCPU wrote to the ring before is there then.
            let place = self.places().ready(self.vcpus());
            if let Some(io) = self.ring().and_then(super::buffered::Ring::take) {
                return Some(Request { io, waiting: None });
            }
            let place = place?;
            if let Some(record) = self.places().take(place) {
                let io = Io::from_synchronous(&record);
                return Some(Request { io, waiting: Some(Waiting { server: self, place }) });
            }
        }
    }
}

/// Something that the guest wants from its devices.
///
/// A guest that is not answered waits for ever. So dropping a request answers it: as on a machine where nobody feels addressed, what
/// is written is lost, and what is read are ones.
#[derive(Debug)]
#[must_use = "a dropped request is answered as if there was no device"]
pub struct Request<'a> {
    io: Io,
    /// `None`: nobody waits.
    waiting: Option<Waiting<'a>>,
}

#[derive(Debug)]
struct Waiting<'a> {
    server: &'a IoreqServer,
    place: usize,
}

impl Request<'_> {
    /// What the guest does.
    #[must_use]
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The vCPU that waits for it. `None` if it was buffered: then nobody waits, and there is no answer.
    #[must_use]
    pub fn vcpu(&self) -> Option<VcpuId> {
        u32::try_from(self.waiting.as_ref()?.place).ok().map(VcpuId::new)
    }

    /// Has a device do what is asked, with all repetitions, and answers. Data are copied from and to the guest's memory, if that
    /// is where they are; where it has none, it reads ones, and what it writes is lost.
    ///
    /// If the guest's memory has changed ([`Io::InvalidateMappings`]), `memory` forgets what it knows. Other requests that are
    /// no accesses are answered without asking the device. One system call if the guest waits.
    ///
    /// # Errors
    ///
    /// [`Error::Events`] if the guest cannot be told.
    pub fn serve(self, memory: &MapCache, device: &mut impl IoHandler) -> Result<(), Error> {
        let answer = match self.io.access() {
            Some((access, device_moves)) => perform(access, device_moves, memory, device),
            None => u64::MAX,
        };
        if self.io == Io::InvalidateMappings {
            memory.clear();
        }
        self.respond(answer)
    }

    /// Answers: with what the guest reads, if it reads a value, of which the low bytes count. One system call if the guest waits.
    ///
    /// Where data are in the guest's memory ([`Operand::Memory`]), they must have been copied before.
    ///
    /// # Errors
    ///
    /// [`Error::Events`] if the guest cannot be told.
    pub fn respond(mut self, value: u64) -> Result<(), Error> {
        self.answer(value)
    }

    fn answer(&mut self, value: u64) -> Result<(), Error> {
        let Some(Waiting { server, place }) = mem::take(&mut self.waiting) else { return Ok(()) };
        let reads_value = |access: &super::Access| {
            access.direction == Direction::Read && matches!(access.operand, Operand::Value(_))
        };
        let access = self.io.access().map(|(access, _)| access).filter(|access| reads_value(access));
        server.places().answer(place, access.map(|access| super::request::low(value, access.size)));
        server.notify(place)
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.answer(u64::MAX) {
            tracing::warn!(%error, "a guest was not told of an answer");
        }
    }
}
