//! What can go wrong.

use std::io;

use thiserror::Error;
use xen_call::version::XenVersion;
use xen_sys::DomId;

/// An operation failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The hypercall could not be issued: the device cannot be opened, the kernel blocks hypercalls, there is no memory.
    #[error(transparent)]
    Call(xen_call::Error),
    /// The handle cannot be opened, because this hypervisor is not one of those whose interface is known (Xen 4.14 to 4.22).
    #[error(
        "Xen {running} is not supported: its interface for toolstacks is not known (Xen 4.14 to 4.22 are)"
    )]
    UnknownHypervisor {
        /// The hypervisor.
        running: XenVersion,
    },
    /// This hypervisor does not have the operation: it is too old, was built without it, or the host lacks what it needs.
    #[error("{operation} is not supported by this Xen {running}{}", since(*.needs))]
    Unsupported {
        /// Which operation.
        operation: &'static str,
        /// The first version that has it, if that is known to be the reason.
        needs: Option<XenVersion>,
        /// The hypervisor.
        running: XenVersion,
    },
    /// There is no such domain.
    #[error("{operation} failed: there is no domain {domain}")]
    NoSuchDomain {
        /// Which operation.
        operation: &'static str,
        /// The domain's number.
        domain: DomId,
    },
    /// This domain may not do that: it is not privileged, or the hypervisor's security policy (XSM) forbids it.
    #[error("{operation}{} was denied: it takes dom0, or a security policy that allows it", on(*.domain))]
    Denied {
        /// Which operation.
        operation: &'static str,
        /// On which domain.
        domain: Option<DomId>,
        /// Xen's error number: `EPERM`, or `EACCES` by a security policy.
        source: io::Error,
    },
    /// The hypervisor refused for a reason that depends on the operation; its documentation tells.
    #[error("{operation}{} failed", on(*.domain))]
    Refused {
        /// Which operation.
        operation: &'static str,
        /// On which domain.
        domain: Option<DomId>,
        /// Xen's error number, which is Linux's.
        source: io::Error,
    },
    /// Only the first part of what was asked for was possible. Whether it stays, the operation's documentation tells.
    #[error("{operation}{} was possible for {done} of {asked} only", on(*.domain))]
    Incomplete {
        /// Which operation.
        operation: &'static str,
        /// On which domain.
        domain: Option<DomId>,
        /// For how many.
        done: usize,
        /// Of how many.
        asked: usize,
        /// Why not for the next one, if Xen tells.
        source: Option<io::Error>,
    },
    /// Dom0's kernel does not have the operation.
    #[error("{operation} is not supported by this kernel: it needs {needs}")]
    UnsupportedByKernel {
        /// Which operation.
        operation: &'static str,
        /// What has it.
        needs: &'static str,
    },
    /// Dom0's kernel refused for a reason that depends on the operation; its documentation tells.
    #[error("{operation} was refused by the kernel")]
    Kernel {
        /// Which operation.
        operation: &'static str,
        /// The kernel's error number.
        source: io::Error,
    },
    /// What CPUID and MSRs are to show to a domain is more than this host or this Xen can provide.
    #[error("{operation} on domain {domain} failed: {}", objection(*.leaf, *.subleaf, *.msr))]
    CpuPolicy {
        /// Which operation.
        operation: &'static str,
        /// On which domain.
        domain: DomId,
        /// The leaf of CPUID that Xen objects to.
        leaf: Option<u32>,
        /// Its sub-leaf.
        subleaf: Option<u32>,
        /// The MSR that Xen objects to.
        msr: Option<u32>,
        /// Xen's error number.
        source: io::Error,
    },
    /// A domain's memory could not be used.
    #[error(transparent)]
    Foreign(#[from] xen_foreignmem::Error),
    /// An event channel could not be used.
    #[error(transparent)]
    Events(#[from] xen_evtchn::Error),
    /// A PV domain's own list of its frames could not be used.
    #[error("the list that domain {domain} keeps of its frames cannot be used: {reason}")]
    NoFrameList {
        /// Which domain.
        domain: DomId,
        /// Why.
        reason: &'static str,
    },
}

impl Error {
    /// A refusal that Xen did not have to be asked for, with the error number that it would have.
    pub(crate) fn refused(operation: &'static str, domain: Option<DomId>, errno: i32) -> Self {
        Self::Refused { operation, domain, source: io::Error::from_raw_os_error(errno) }
    }

    /// Xen's error number, if it was Xen that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Denied { source, .. } | Self::Refused { source, .. } | Self::CpuPolicy { source, .. } => {
                source.raw_os_error()
            }
            Self::Incomplete { source, .. } => source.as_ref()?.raw_os_error(),
            Self::NoSuchDomain { .. } => Some(xen_sys::xen_public::errno::ESRCH),
            _ => None,
        }
    }
}

impl From<xen_call::Error> for Error {
    fn from(error: xen_call::Error) -> Self {
        match error {
            xen_call::Error::Hypercall { operation, source } => {
                Self::Refused { operation, domain: None, source }
            }
            error => Self::Call(error),
        }
    }
}

fn on(domain: Option<DomId>) -> String {
    domain.map_or_else(String::new, |domain| format!(" on domain {domain}"))
}

fn objection(leaf: Option<u32>, subleaf: Option<u32>, msr: Option<u32>) -> String {
    let part = |name, number: Option<u32>| number.map(|number| format!(", {name} {number:#x}"));
    let parts = [part("CPUID leaf", leaf), part("sub-leaf", subleaf), part("MSR", msr)];
    format!("Xen objects to{}", parts.into_iter().flatten().collect::<String>().trim_start_matches(','))
}

fn since(needs: Option<XenVersion>) -> String {
    needs.map_or_else(String::new, |version| format!(": it needs Xen {version}"))
}
