//! What can go wrong.

use crate::Resource;
use std::io;
use thiserror::Error;
use xen_sys::linux::own_domain;
use xen_sys::xen_public::errno::EINVAL;
use xen_sys::{AccessError, DomId, Gfn, OpenError};

/// An operation on another domain's memory failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// An open file could not be taken over.
    #[error("cannot take over the file")]
    Adopt {
        /// What the kernel said.
        source: io::Error,
    },
    /// The file could not be restricted to one domain.
    #[error("cannot restrict the file to domain {domain}{}", restrict_hint(source))]
    Restrict {
        /// To which.
        domain: DomId,
        /// What the kernel said. `EINVAL`: it is restricted to another domain already.
        source: io::Error,
    },
    /// No frame at all, or more than can be counted.
    #[error("{call} takes at least one frame and fewer than 2^32, not {count}")]
    Count {
        /// Which operation.
        call: &'static str,
        /// How many there were.
        count: usize,
    },
    /// One frame cannot be mapped; none is mapped.
    #[error("frame {gfn} of domain {domain} (number {index} in the list) cannot be mapped")]
    Frame {
        /// Whose frame.
        domain: DomId,
        /// Its place in the list.
        index: usize,
        /// Which frame.
        gfn: Gfn,
        /// Why. `ESRCH`: no such domain. `EINVAL`: the domain has no such frame. `ENOENT`: it is paged out, and did not
        /// come back in time. `EPERM`: no power over the domain. `EBUSY`: a PV domain uses it as a page table, which can
        /// only be mapped for reading.
        source: io::Error,
    },
    /// The frames cannot be mapped, and no single one of them is to blame.
    #[error("cannot map {count} frames of domain {domain}")]
    Map {
        /// Whose frames.
        domain: DomId,
        /// How many.
        count: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The access touches a frame that could not be mapped.
    #[error(
        "frame {gfn} of domain {domain} (number {index} in the list) is not mapped, so it cannot be accessed"
    )]
    NotMapped {
        /// Whose frame.
        domain: DomId,
        /// Its place in the list.
        index: usize,
        /// Which frame.
        gfn: Gfn,
        /// Why it is not mapped; see [`Error::Frame`].
        source: io::Error,
    },
    /// The access is not inside the memory, or not aligned.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no memory at a guest-physical address: there never was, or the guest gave it back.
    #[error("domain {domain} has no memory at address {address:#x}")]
    NotPresent {
        /// Whose memory.
        domain: DomId,
        /// Where the access found none: the first such byte.
        address: u64,
        /// Why the frame cannot be mapped; see [`Error::Frame`].
        source: io::Error,
    },
    /// The access goes beyond the last address that there can be.
    #[error("{length} bytes at address {address:#x} go beyond the end of all addresses")]
    AddressOverflow {
        /// Where the access began.
        address: u64,
        /// How long it was.
        length: usize,
    },
    /// A resource of a domain could not be mapped, or asked for its size.
    #[error("{call} {resource} of domain {domain} failed")]
    Resource {
        /// Which operation.
        call: &'static str,
        /// Whose resource.
        domain: DomId,
        /// Which one.
        resource: Resource,
        /// What the kernel or Xen said. `ESRCH`: no such domain. `EINVAL`: the domain has no such resource, or not
        /// so many frames of it. `EPERM`, `EACCES`: no power over the domain.
        source: io::Error,
    },
    /// The kernel could not be told to signal an eventfd for a guest's write.
    #[error("no eventfd can be signalled for writes to the device at {address:#x} of domain {domain}")]
    Ioeventfd {
        /// Which guest.
        domain: DomId,
        /// Where the device's registers are.
        address: u64,
        /// What the kernel said. `EBUSY`: the eventfd stands for a write already. `EINVAL`: not so many vCPUs, or not this guest's
        /// page.
        source: io::Error,
    },
    /// The kernel lets this domain use no other domain's memory (XSA-482, kernels of 2026 and later): it is not the initial
    /// domain, and the module parameter is off.
    #[error(
        "the kernel blocks access to domain {domain} from this domain \
         (boot with xen_privcmd.unrestricted=1 to allow it)"
    )]
    LockedDown {
        /// Whose memory was asked for.
        domain: DomId,
    },
    /// The file behind this handle was restricted to another domain.
    #[error("the file on /dev/xen/privcmd is restricted to another domain than {domain}")]
    Restricted {
        /// Whose memory was asked for.
        domain: DomId,
    },
    /// The running kernel or hypervisor does not have the operation.
    #[error("{operation} needs {needs}")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
        /// What has it.
        needs: &'static str,
    },
}

impl Error {
    /// The kernel refused a whole request with `EPERM`: it looked at the file's restriction, before it asked Xen.
    pub(crate) fn restriction(domain: DomId) -> Self {
        if own_domain::is_initial() { Self::Restricted { domain } } else { Self::LockedDown { domain } }
    }
}

fn restrict_hint(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(EINVAL) { ": it is restricted to another one already" } else { "" }
}
