//! What can go wrong.

use std::io;
use thiserror::Error;
use xen_sys::OpenError;

/// A hypercall, or what it needs, failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened: among others, because this machine does not run under Xen, or for lack of
    /// permission.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The hypervisor, or the kernel in front of it, refused the hypercall. The source's number is Xen's errno, which is
    /// Linux's.
    #[error("{operation} failed")]
    Hypercall {
        /// Which operation.
        operation: &'static str,
        /// Its errno.
        source: io::Error,
    },
    /// The kernel lets no hypercalls out of this domain (XSA-482, kernels of 2026 and later): it is not the initial
    /// domain, and the module parameter is off.
    #[error(
        "{operation} failed: the kernel blocks hypercalls from this domain \
         (boot with xen_privcmd.unrestricted=1 to allow them)"
    )]
    LockedDown {
        /// Which operation.
        operation: &'static str,
    },
    /// The file behind this handle was restricted to a domain, which excludes hypercalls.
    #[error("{operation} failed: the file on /dev/xen/privcmd is restricted to one domain")]
    Restricted {
        /// Which operation.
        operation: &'static str,
    },
    /// There is no memory for the arguments. Without `/dev/xen/hypercall`, `RLIMIT_MEMLOCK` bounds it.
    #[error("no memory for {bytes} bytes of hypercall arguments")]
    Memory {
        /// How much was wanted.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// An open file could not be taken over.
    #[error("cannot take over the file")]
    Adopt {
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Xen's error number, if it was Xen that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Hypercall { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}
