//! Building blocks of the example programs.
//!
//! The main example is `blkback`, a complete block backend in user space: it attaches an image file to a running guest
//! as a disk, written with nothing but the published API of `xen-evtchn` and `xen-gnttab`. Read it in this order:
//!
//! 1. [`blkif`]: the protocol on the shared ring, shared by both sides.
//! 2. [`blkback`]: the backend. [`blkback::queue`] has the loop that serves a ring, [`blkback::device`] the life of
//!    a disk in xenstore.
//! 3. [`blkfront`]: the other side, a small frontend for tests and for the hostile frontend.
//!
//! [`device_model`] is the second one: the devices of a Linux guest, with `xen-ctrl`.
//!
//! [`self_check`] uses every operation of the crates on the machine at hand, and tells whether it works there.
//!
//! [`xenstore`] is a small client for `/dev/xen/xenbus`, and [`xenbus`] what both sides of any PV device agree on.

pub mod backend_process;
pub mod blkback;
pub mod blkfront;
pub mod blkif;
pub mod device_model;
pub mod self_check;
pub mod toolstack;
pub mod xenbus;
pub mod xenstore;
