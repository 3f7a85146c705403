//! Device models: programs that are a guest's devices.
//!
//! What a guest does to a port, or to memory that is none, comes to an [`IoreqServer`] as a [`Request`]; a [`DeviceModel`] raises
//! interrupts, and tells Xen what it did to the guest's memory. These interfaces have no version, so all of this works without
//! knowing the hypervisor's, on Xen 4.14 and later.
//!
//! ```no_run
//! use xen_ctrl::devicemodel::{Buffering, DeviceModel, IoHandler};
//!
//! /// A register that can be read and written.
//! struct Register(u64);
//!
//! impl IoHandler for Register {
//!     fn read(&mut self, _address: u64, _size: u8) -> u64 {
//!         self.0
//!     }
//!
//!     fn write(&mut self, _address: u64, _size: u8, value: u64) {
//!         self.0 = value;
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let guest = xen_ctrl::DomId::try_from(3_u16)?;
//! let model = DeviceModel::open(guest)?;
//! let mut server = model.create_ioreq_server(Buffering::Off)?;
//! server.map_ports(0x510..=0x513)?;
//! server.map_memory(0xf000_0000..=0xf000_0fff)?;
//! model.restrict()?; // from here on, this program has power over this guest only
//! server.enable()?;
//! let (memory, mut register) = (model.memory(64), Register(0));
//! loop {
//!     server.wait(None)?;
//!     while let Some(request) = server.next_request() {
//!         request.serve(&memory, &mut register)?;
//!     }
//! }
//! # }
//! ```
//!
//! # Who may do that
//!
//! dom0, and domains that Xen lets be device models of the guest. It takes `/dev/xen/privcmd`, and for servers `/dev/xen/evtchn`.
//! The guest must be HVM or PVH, or on Arm any. Many operations are for x86 only, and one for Arm only: on the other one they
//! give [`Error::Unsupported`]. On Arm, Xen must have been built with servers of this kind, or nothing here works.
//!
//! # What guests can do
//!
//! Nothing that is in the pages of requests is trusted: any bytes are some request. What the request is about, the guest chose.

mod buffered;
mod interrupt;
mod ioeventfd;
mod irqfd;
mod memory;
mod range;
mod request;
mod requests;
mod server;
mod step;
mod synchronous;

pub use interrupt::{Event, EventKind, IntxPin};
pub use irqfd::Irq;
pub use memory::{CacheAttribute, MemoryType, PageRun};
pub use request::{Access, Direction, Io, Operand};
pub use requests::Request;
pub use server::{Buffering, IoreqServer, ServerId};
pub use step::IoHandler;
pub use xen_foreignmem::QueueNotify;

use std::fs;
use std::io;

use xen_foreignmem::{ForeignMemory, MapCache};
use xen_sys::DomId;
use xen_sys::xen_public::errno::{EACCES, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM, ESRCH};
use xen_sys::xen_public::hvm::{DmOperation, DmShutdown, NrVcpus};

use crate::domain::ShutdownReason;
use crate::{Error, XenVersion};

/// A handle to be a guest's devices. Cloning gives another reference to the same one.
///
/// Operations are one system call each, and allocate nothing. All fail with [`Error::NoSuchDomain`]; with [`Error::Denied`] if this
/// domain has no power over the guest, or the file is restricted to another one; with [`Error::Unsupported`] for what this Xen,
/// or this architecture, does not have; and with [`Error::Refused`] with `EINVAL` for a PV guest.
#[derive(Clone, Debug)]
#[doc(alias = "xendevicemodel_handle")]
#[doc(alias = "xendevicemodel_close")]
pub struct DeviceModel {
    memory: ForeignMemory,
    domain: DomId,
}

impl DeviceModel {
    /// Opens `/dev/xen/privcmd` to be devices of this guest. Whether there is such a guest shows when something is done.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the device cannot be opened.
    #[doc(alias = "xendevicemodel_open")]
    pub fn open(domain: DomId) -> Result<Self, Error> {
        Ok(Self::new(ForeignMemory::open()?, domain))
    }

    /// Uses an open file, which may be restricted to this guest already.
    #[must_use]
    pub fn new(memory: ForeignMemory, domain: DomId) -> Self {
        Self { memory, domain }
    }

    /// The guest's number.
    #[must_use]
    pub fn domain_id(&self) -> DomId {
        self.domain
    }

    /// Gives up all power but that over this guest, for ever. Servers that were made before go on. What the process can do otherwise
    /// is its own business; it can open devices again, as long as it is root.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] if the file is restricted to another domain.
    #[doc(alias = "xendevicemodel_restrict")]
    #[doc(alias = "xentoolcore_restrict_all")]
    pub fn restrict(&self) -> Result<(), Error> {
        self.memory.clone().restrict(self.domain)?;
        Ok(())
    }

    /// The guest's memory, by guest-physical address. Up to `frames` frames stay mapped.
    #[must_use]
    pub fn memory(&self, frames: usize) -> MapCache {
        self.memory.cache(self.domain, frames)
    }

    /// How many vCPUs the guest can have.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]. [`Error::Unsupported`] before Xen 4.15.
    #[doc(alias = "xendevicemodel_nr_vcpus")]
    #[doc(alias = "XEN_DMOP_nr_vcpus")]
    pub fn vcpus(&self) -> Result<u32, Error> {
        let mut operation = NrVcpus::default();
        self.operate(&mut operation, None)?;
        Ok(operation.vcpus)
    }

    /// Shuts the guest down, as if it had done it itself.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]. x86 only.
    #[doc(alias = "xendevicemodel_shutdown")]
    #[doc(alias = "XEN_DMOP_remote_shutdown")]
    pub fn shutdown(&self, reason: ShutdownReason) -> Result<(), Error> {
        self.operate(&mut DmShutdown { reason: reason.number().into() }, None)
    }

    /// The file, which is also good for mapping memory.
    pub(crate) fn foreign_memory(&self) -> &ForeignMemory {
        &self.memory
    }

    /// Issues an operation; what Xen answered is in it afterwards.
    pub(crate) fn operate<O: DmOperation>(
        &self,
        operation: &mut O,
        list: Option<&mut [u8]>,
    ) -> Result<(), Error> {
        let outcome = self.memory.device().dm_op(self.domain, operation, list);
        outcome.map(drop).map_err(|source| self.explain(O::COMMAND.name, source))
    }

    /// Says what an error number means for an operation.
    pub(crate) fn explain(&self, operation: &'static str, source: io::Error) -> Error {
        let domain = Some(self.domain);
        match source.raw_os_error() {
            Some(ESRCH) => Error::NoSuchDomain { operation, domain: self.domain },
            Some(EPERM | EACCES) => Error::Denied { operation, domain, source },
            Some(ENOSYS | EOPNOTSUPP | ENOTTY) => match running() {
                Some(running) => Error::Unsupported { operation, needs: None, running },
                None => Error::Refused { operation, domain, source },
            },
            _ => Error::Refused { operation, domain, source },
        }
    }
}

/// The hypervisor's version, as the kernel shows it to everybody: a restricted file cannot ask for it.
fn running() -> Option<XenVersion> {
    let number =
        |name| fs::read_to_string(format!("/sys/hypervisor/version/{name}")).ok()?.trim().parse().ok();
    Some(XenVersion { major: number("major")?, minor: number("minor")? })
}
