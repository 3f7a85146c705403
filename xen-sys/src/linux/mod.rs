//! The Linux device files of Xen, `/dev/xen/*`: their records, and the one door to them.
//!
//! One module per device, each naming the kernel header that its records follow. Numbers and layouts are the same on
//! x86-64 and arm64. Opcodes carry the record's size but, unlike most of Linux, no direction.

pub mod device;
mod dm_op;
pub mod evtchn;
mod fork;
pub mod gntalloc;
pub mod gntdev;
pub mod hypercall_memory;
mod kernel;
pub mod own_domain;
pub mod privcmd;
mod request;
pub(crate) mod shared;
mod transfer;

#[cfg(feature = "fake")]
#[doc(hidden)]
pub mod fake;

pub use device::{Device, Driver};
pub use request::{Record, Request};
