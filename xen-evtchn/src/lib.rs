//! Xen event channels from user space, through `/dev/xen/evtchn`.
//!
//! An event channel is Xen's interrupt between two domains, or from the hypervisor to a domain. Each end is a *port*.
//! This crate binds ports ([`Evtchn`]), owns them ([`EventChannel`], which unbinds on drop), signals the far end, and
//! takes what arrives, up to 1024 ports in one system call.
//!
//! ```no_run
//! use std::time::Duration;
//! use xen_evtchn::{DomId, Evtchn, Port};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (guest, port) = (DomId::try_from(3_u16)?, Port::new(7));
//! let evtchn = Evtchn::open()?;
//! let channel = evtchn.bind_interdomain(guest, port)?;
//! channel.notify()?;
//!
//! let mut ports = [Port::default(); 64];
//! while evtchn.wait(Some(Duration::from_secs(1)))? {
//!     let count = evtchn.pending(&mut ports)?; // one read
//!     evtchn.unmask(&ports[..count])?; // one write, and *before* the work: see below
//!     for port in &ports[..count] {
//!         println!("event on port {port}");
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # The protocol
//!
//! A port that is delivered stays masked until it is unmasked. Events that arrive meanwhile are not lost: they are
//! one event, delivered after the unmasking. So: take ([`Evtchn::pending`]), **unmask, then look** at the shared memory
//! that the event is about; in the other order, what the far end does in between goes unseen.
//!
//! An event is a hint, never a fact. Expect events for nothing: right after [`Evtchn::bind_interdomain`], which makes
//! Xen raise one; after an unbinding, for a port that was queued by then and whose number may by now be another
//! channel's; after a recovery from overflow (see [`Evtchn::reset`]). And do not wait for an event when the far
//! end goes away: none comes. Watch xenstore for that.
//!
//! # Who may use it
//!
//! Any Xen domain, dom0 or guest, x86 or Arm, with the module `xen-evtchn` loaded; the device file is root's. No other
//! privilege is needed, and no C library: this is what `libxenevtchn` does, without it. Its calls are aliases here:
//! search for `xenevtchn_bind_virq`. New are batches, recovery from overflow, ports that unbind themselves, threads
//! ([`Evtchn`] and [`EventChannel`] are `Send + Sync`), and `async` with the feature `tokio`.
//!
//! Event loops of one's own need [`AsFd`](std::os::fd::AsFd): the file is readable while ports are pending, and
//! non-blocking. With edge-triggered polling, take until [`Evtchn::pending`] gives 0. It is never worth waiting for
//! writability; an error condition (`POLLERR`) means an overflow, which the next [`Evtchn::pending`] mends.
//!
//! # Forking
//!
//! A child shares the file, and would take the parent's events. Use nothing of this crate in the child.
#![forbid(clippy::unwrap_used)]

mod channel;
mod error;
mod evtchn;
#[cfg(feature = "tokio")]
pub mod tokio;

pub use channel::EventChannel;
pub use error::Error;
pub use evtchn::Evtchn;
pub use xen_sys::{DomId, InvalidDomId, OpenCause, OpenError, Port, Virq};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
