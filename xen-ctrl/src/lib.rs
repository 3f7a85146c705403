//! Controls the Xen hypervisor: domains, vCPUs, memory, the host.
//!
//! [`Xenctrl`] is the handle; [`Xenctrl::domain`] and [`Xenctrl::host`] are views of it that have the operations. Each is one
//! hypercall or a few, as its documentation says, and needs what that needs: dom0, or a domain to which the security policy allows
//! it. What Xen refuses is told apart in [`Error`].
//!
//! ```no_run
//! use xen_ctrl::Xenctrl;
//!
//! # fn main() -> Result<(), xen_ctrl::Error> {
//! let xen = Xenctrl::open()?;
//! for domain in xen.domains()? {
//!     println!("{} has used {:?}", domain.id, domain.cpu_time);
//! }
//! # Ok(()) }
//! ```
//!
//! # One binary for all hypervisors
//!
//! Most of the interface has a version, which moves with the hypervisor, although little changes. [`Xenctrl::open`] finds out which
//! one it is, and operations whose records differ choose the right form. What a hypervisor does not have gives
//! [`Error::Unsupported`].
#![forbid(unsafe_code)]
#![forbid(clippy::unwrap_used)]

mod abi;
pub mod bitmap;
pub mod cpupool;
pub mod devicemodel;
pub mod domain;
mod error;
pub mod host;
pub mod hvm;
pub mod hypfs;
pub mod memory;
pub mod passthrough;
mod patience;
pub mod pv;
pub mod sched;
pub mod vcpu;
mod watchdog;
mod xenctrl;

pub use abi::Abi;
pub use bitmap::{CpuMap, NodeMap};
pub use cpupool::{CpuPool, CpuPoolInfo};
pub use devicemodel::{DeviceModel, IoreqServer};
pub use domain::{Domain, DomainInfo};
pub use error::Error;
pub use host::Host;
pub use hvm::Hvm;
pub use hypfs::Hypfs;
pub use vcpu::{Vcpu, VcpuInfo};
pub use watchdog::Watchdog;
pub use xen_call::version::XenVersion;
pub use xen_call::{OpenCause, OpenError};
pub use xen_foreignmem::ForeignMemory;
pub use xen_sys::{DomId, Gfn, Mfn, Pirq, Port, VcpuId, Virq};
pub use xenctrl::Xenctrl;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
