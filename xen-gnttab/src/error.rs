//! What can go wrong.

use std::io;
use thiserror::Error;
use xen_sys::linux::gntdev::Grant;
use xen_sys::xen_public::errno::{EINVAL, ENOSPC};
use xen_sys::{DomId, GrantStatus, OpenError};

/// An operation on grants failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No page at all, or more than can be counted.
    #[error("{call} takes at least one page and fewer than 2^32, not {count}")]
    Count {
        /// Which operation.
        call: &'static str,
        /// How many there were.
        count: usize,
    },
    /// More grants than the kernel maps at once.
    #[error("cannot map {count} grants at once{}", limit_hint(source))]
    TooMany {
        /// How many.
        count: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// One grant cannot be mapped; none is mapped.
    #[error("grant {} of domain {} (number {index} in the list) cannot be mapped: {status}", grant.reference(), grant.domain())]
    Grant {
        /// Its place in the list.
        index: usize,
        /// Which grant.
        grant: Grant,
        /// Why, as far as Xen tells. [`GrantStatus::PERMISSION_DENIED`]: it can be read, but not be mapped as asked for.
        status: GrantStatus,
        /// What the kernel said.
        source: io::Error,
    },
    /// The grants cannot be mapped, and no single one of them is to blame.
    #[error("cannot map {count} grants")]
    Map {
        /// How many.
        count: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A notification cannot be set.
    #[error("cannot set what happens on unmapping{}", notify_hint(source))]
    Notify {
        /// What the kernel said. `EINVAL`: nobody holds the port through `/dev/xen/evtchn`.
        source: io::Error,
    },
    /// The byte to clear on unmapping is not inside the memory.
    #[error("the byte to clear on unmapping, at offset {offset}, is outside the {length} bytes")]
    NotifyOffset {
        /// Where it would be.
        offset: usize,
        /// How long the memory is.
        length: usize,
    },
    /// A byte in a read-only mapping cannot be cleared on unmapping.
    #[error("a byte of a read-only mapping cannot be cleared on unmapping")]
    NotifyReadOnly,
    /// Some segments of a copy failed; all others are done. Each segment tells its own status.
    #[error("{failed} of {count} segments of a grant copy failed, first number {first}: {status}")]
    Copy {
        /// How many failed.
        failed: usize,
        /// How many there were.
        count: usize,
        /// The first that failed.
        first: usize,
        /// How that one failed.
        status: GrantStatus,
    },
    /// The kernel refused a copy as a whole. Segments whose status is not [`GrantStatus::UNKNOWN`] are done.
    #[error("cannot copy {count} segments")]
    CopyCall {
        /// How many segments were to be copied.
        count: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// Pages cannot be shared.
    #[error("cannot share {count} pages with domain {domain}{}", share_hint(source))]
    Share {
        /// With whom.
        domain: DomId,
        /// How many.
        count: usize,
        /// What the kernel said. `ENOSPC`: the limit of the kernel parameter `xen_gntalloc.limit`, which counts all
        /// processes, or no grant is left.
        source: io::Error,
    },
    /// An operation on a dma-buf failed.
    #[error("{call} failed")]
    Dmabuf {
        /// Which operation.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The running kernel, or this kind of domain, does not have the operation.
    #[error("{operation} needs {needs}")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
        /// What has it.
        needs: &'static str,
    },
    /// Another operation on the device failed.
    #[error("{call} failed for the grant device")]
    Device {
        /// Which operation.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn limit_hint(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(EINVAL) {
        ": the kernel parameter xen_gntdev.limit (65536 as a rule) allows fewer"
    } else {
        ""
    }
}

fn notify_hint(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(EINVAL) { ": nobody holds the port through /dev/xen/evtchn" } else { "" }
}

fn share_hint(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(ENOSPC) {
        ": no grant is left, or the kernel parameter xen_gntalloc.limit is reached"
    } else {
        ""
    }
}
