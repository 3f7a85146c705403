//! Xen grant tables from user space, through `/dev/xen/gntdev` and `/dev/xen/gntalloc`.
//!
//! A grant is a domain's permission for one other domain to use one of its pages (4096 bytes). This crate does the three
//! things that can be done with grants:
//!
//! - **map** another domain's pages: [`Gnttab::map`] gives a [`GrantMapping`], which unmaps itself on drop;
//! - **copy** to and from another domain's pages without mapping them: [`Gnttab::copy`], any number of pieces in one
//!   system call, with a status for each;
//! - **share** pages of our own: [`Gntalloc::share`] gives [`SharedPages`], which release themselves on drop.
//!
//! ```no_run
//! use xen_gnttab::{DomId, GrantRef, Gntalloc, Gnttab};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (guest, reference) = (DomId::try_from(3_u16)?, GrantRef::new(8));
//! let gnttab = Gnttab::open()?;
//! let ring = gnttab.map(guest, &[reference])?;
//! let produced = ring.load_u32(0)?; // acquire: what was written before is visible
//! let request: [u8; 64] = ring.read(64)?; // a copy: the guest may change the page at any moment
//! ring.atomic_u32(4)?.store(produced, std::sync::atomic::Ordering::Release);
//!
//! let pages = Gntalloc::open()?.share(guest, 2)?; // zeroed, and granted
//! pages.copy_from_slice(0, b"hello")?;
//! println!("tell the guest to map {:?}", pages.grants());
//! # Ok(()) }
//! ```
//!
//! # The memory
//!
//! The other domain can write at any moment, so there is no `&[u8]` here. [`SharedMemory`], which mappings and shared
//! pages dereference to, copies and has atomics. What only may be read is another type without the methods that write
//! ([`GrantMapping<ReadOnly>`]). With the feature `vm-memory` it also gives rust-vmm's `VolatileSlice`.
//!
//! # Who may use it
//!
//! Any Xen domain, dom0 or guest, x86 or Arm, with the modules `xen-gntdev` and `xen-gntalloc` loaded; the device files
//! are root's. No other privilege is needed, and no C library: this is what `libxengnttab` does, without it. Its calls
//! are aliases here: search for `xengnttab_map_grant_ref`, `xengntshr_share_pages`. New are the grant that failed,
//! read-only mappings as a type, any number of live mappings, and threads (all types are `Send + Sync`).
//!
//! # Forking
//!
//! A child of `fork(2)` does not get mapped grants. It shares pages of [`SharedPages`], and keeps them alive until it
//! exits or executes another program.
#![forbid(clippy::unwrap_used)]

mod alloc;
mod device;
mod dmabuf;
mod error;
mod mapping;
mod notify;

pub use alloc::{Gntalloc, ShareOptions, SharedPages};
pub use device::{Gnttab, MapOptions};
pub use dmabuf::{DmabufFlags, ExportedDmabuf, ImportedDmabuf};
pub use error::Error;
pub use mapping::GrantMapping;
pub use notify::UnmapNotify;
pub use xen_sys::linux::gntdev::{CopySegment, Grant, InvalidSegment};
pub use xen_sys::{
    Access, AccessError, DomId, GrantRef, GrantStatus, InvalidDomId, OpenCause, OpenError, PAGE_SIZE, Port,
    ReadOnly, ReadWrite, SharedMemory, SharedParts,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
