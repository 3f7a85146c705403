//! The Xen ABI for user space, in plain Rust.
//!
//! This crate is the floor that the other crates of the Xen SDK stand on; most programs use those:
//! [`xen-evtchn`](https://crates.io/crates/xen-evtchn) for event channels,
//! [`xen-gnttab`](https://crates.io/crates/xen-gnttab) for grants. It holds
//!
//! - **newtypes** ([`DomId`], [`Port`], [`GrantRef`], [`Gfn`], …), so that a port is never taken for a domain;
//! - **records**: every structure that the Linux Xen drivers take, with its ioctl number, hand-written and
//!   checked against the numbers that a C compiler gives (`linux`);
//! - **one door to the kernel** ([`linux::Device`]): all system calls of the SDK go through it, so that tests can
//!   put a fake kernel behind it;
//! - **the one view of memory that another domain can write** ([`SharedMemory`]): never a `&[u8]`.
//!
//! # Features
//!
//! - `std` (default): the Linux device files. Without it, the crate is `no_std` and has the newtypes and the
//!   hypervisor's constants only.
//! - `vm-memory`: `VolatileSlice` views of [`SharedMemory`] for rust-vmm code.
//! - `fake`: the fake kernel. For tests; not covered by semver.
//!
//! # Safety of a request
//!
//! What makes an ioctl safe is a *fact* about its record: "this driver takes this record under this number, and
//! touches nothing else". Such a fact stands once, as an `unsafe impl` of [`linux::Request`] beside the record.
//! [`linux::Device::submit`] is then a safe function.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("Xen's drivers have no 32-bit compatibility layer: a 64-bit target is needed");

mod newtypes;
pub mod xen_public;

#[cfg(feature = "std")]
pub mod linux;

pub use newtypes::{DomId, Gfn, GrantRef, InvalidDomId, Mfn, OtherDomain, Pirq, Port, VcpuId, Virq};
pub use xen_public::PAGE_SIZE;
pub use xen_public::grant_table::GrantStatus;
pub use zerocopy;

#[cfg(feature = "std")]
pub use linux::{
    device::{Device, OpenCause, OpenError},
    shared::{Access, AccessError, ReadOnly, ReadWrite, SharedMemory, SharedParts},
};
