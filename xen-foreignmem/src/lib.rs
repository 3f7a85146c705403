//! Another Xen domain's memory from user space, through `/dev/xen/privcmd`.
//!
//! A domain that controls others, dom0 as a rule, may map their frames (4096 bytes each) without being granted them. That is
//! what device models, debuggers and introspection tools live on. This crate maps
//!
//! - **frames**: [`ForeignMemory::map`] gives a [`ForeignMapping`] of all frames of a list, or says which one failed;
//!   [`ForeignMemory::map_partial`] gives a [`PartialMapping`], with a status for each frame and no way to touch one that
//!   failed;
//! - **resources**, which Xen keeps for a domain: its grant table, the pages of an I/O request server, trace buffers
//!   ([`ForeignMemory::map_resource`]);
//! - frames **as needed**, for who touches a guest's memory here and there: [`ForeignMemory::cache`] gives a [`MapCache`],
//!   read and written by guest-physical address.
//!
//! ```no_run
//! use xen_foreignmem::{ForeignMemory, Gfn, Resource};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let guest = xen_foreignmem::DomId::try_from(3_u16)?;
//! let memory = ForeignMemory::open()?;
//! let frames = memory.map(guest, &[Gfn::new(0x1000), Gfn::new(0x1001)])?;
//! let header: [u8; 64] = frames.read(0)?; // a copy: the guest may change the frame at any moment
//! frames.atomic_u32(4096)?.store(1, std::sync::atomic::Ordering::Release);
//!
//! let pages = memory.map_resource(guest, Resource::IoreqServer { id: 0 }, 0, 2)?;
//! let cache = memory.cache(guest, 4096); // keeps up to 4096 frames mapped
//! let descriptor: [u64; 2] = cache.read(0x1f_eff8)?;
//! # Ok(()) }
//! ```
//!
//! # Frame numbers
//!
//! [`Gfn`]s are frames in the *target's* numbering. For HVM, PVH and Arm guests that is guest-physical address / 4096. PV
//! guests know their memory by machine frame numbers, and those are what is mapped: write `Gfn::new(mfn.get())`. What kind
//! of domain the caller is does not matter.
//!
//! # The memory
//!
//! The other domain can write at any moment, so there is no `&[u8]` here. [`SharedMemory`], which mappings dereference to,
//! copies and has atomics. What only may be read is another type without the methods that write. With the feature
//! `vm-memory` it also gives rust-vmm's `VolatileSlice`, and `GuestRegion` makes a guest's memory what rust-vmm code
//! calls `GuestMemory`.
//!
//! A mapping keeps its frames from being freed: those of a guest that gave them back, or that died, stay what they were.
//!
//! # Who may use it
//!
//! dom0, and domains that Xen lets control the target, with the module `xen-privcmd` loaded; the device file is root's. A
//! domain other than dom0 needs its kernel to be booted with `xen_privcmd.unrestricted=1` since 2026 (XSA-482):
//! [`Error::LockedDown`] says so. A program can give up power by [`ForeignMemory::restrict`]. No C library is
//! needed: this is what `libxenforeignmemory` does, without it; its calls are aliases here: search for `xenforeignmemory_map`
//! or `xc_map_foreign_range`.
//!
//! # Forking
//!
//! A child of `fork(2)` does not get the mappings.
#![forbid(clippy::unwrap_used)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod cache;
mod error;
mod frames;
mod handle;
mod ioeventfd;
mod mapping;
mod options;
mod partial;
#[cfg(feature = "vm-memory")]
mod region;
mod resource;
mod restricted;

pub use cache::{CacheStatistics, MapCache};
pub use error::Error;
pub use frames::FrameStatus;
pub use handle::ForeignMemory;
pub use ioeventfd::{Ioeventfd, QueueNotify};
pub use mapping::{ForeignMapping, ResourceMapping};
pub use options::MapOptions;
pub use partial::PartialMapping;
#[cfg(feature = "vm-memory")]
pub use region::GuestRegion;
pub use resource::{GrantTableFrames, Resource};
pub use restricted::RestrictedForeignMemory;
pub use xen_sys::{
    Access, AccessError, DomId, Gfn, InvalidDomId, Mfn, OpenCause, OpenError, PAGE_SIZE, Port, ReadOnly,
    ReadWrite, SharedMemory, SharedParts, VcpuId,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
