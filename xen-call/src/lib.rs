//! Xen hypercalls from user space, through `/dev/xen/privcmd`.
//!
//! A hypercall is a program's call to the hypervisor. Its arguments must lie in memory that Xen finds without the kernel's
//! help ([`HypercallBuffer`]), and most are structures that carry addresses of more such memory. Here, an operation is a
//! type that knows its number, its structure and what it borrows ([`Operation`]), so that issuing it is safe
//! ([`Xencall::call`]); many go in one system call ([`Multicall`]). [`Xencall::hypercall`] issues anything, and is `unsafe`.
//!
//! ```no_run
//! use xen_call::{Xencall, version};
//!
//! # fn main() -> Result<(), xen_call::Error> {
//! let xencall = Xencall::open()?;
//! println!("Xen {}{}", version::version(&xencall)?, version::extra_version(&xencall)?);
//! # Ok(()) }
//! ```
//!
//! # Who may use it
//!
//! dom0, with the module `xen-privcmd` loaded; the device file is root's. In other domains the kernel blocks all hypercalls
//! since 2026 (XSA-482), unless it is booted with `xen_privcmd.unrestricted=1`: [`Error::LockedDown`] says so. What Xen
//! then allows depends on the hypercall. No C library is needed: this is what `libxencall` does, without it; its calls
//! are aliases here.
#![forbid(clippy::unwrap_used)]

mod buffer;
mod error;
mod multicall;
mod own_domain;
mod pool;
pub mod version;
mod xencall;

pub use buffer::HypercallBuffer;
pub use error::Error;
pub use multicall::{Answers, Multicall, Ticket};
pub use xen_sys::xen_public::operation::{GuestMemory, HypercallNumber, Operation};
pub use xen_sys::{OpenCause, OpenError};
pub use xencall::{Answer, Attempt, Xencall};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
