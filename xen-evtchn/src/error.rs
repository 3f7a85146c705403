//! What can go wrong.

use std::io;
use thiserror::Error;
use xen_sys::xen_public::errno::{EACCES, EBUSY, EEXIST, EINVAL, EISCONN, ENOSPC, ENOTCONN, EPERM, ESRCH};
use xen_sys::{DomId, OpenError, Port, Virq};

/// An operation on event channels failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Binding to another domain's port failed.
    #[error("cannot bind to port {port} of domain {domain}{}", explain(source, &[
        (ESRCH, "there is no such domain"),
        (EINVAL, "it does not exist, is bound already, or is not offered to this domain"),
        (EACCES, RESTRICTED),
        (ENOSPC, NO_PORTS),
    ]))]
    BindInterdomain {
        /// The far end's domain.
        domain: DomId,
        /// The far end's port.
        port: Port,
        /// What the kernel said.
        source: io::Error,
    },
    /// Making a port for another domain to bind to failed.
    #[error("cannot make a port for domain {domain} to bind to{}", explain(source, &[
        (ESRCH, "there is no such domain"),
        (EACCES, RESTRICTED),
        (ENOSPC, NO_PORTS),
    ]))]
    BindUnbound {
        /// The far end's domain.
        domain: DomId,
        /// What the kernel said.
        source: io::Error,
    },
    /// Binding a virtual interrupt failed.
    #[error("cannot bind virtual interrupt {virq}{}", explain(source, &[
        (EEXIST, "something in this domain has bound it already"),
        (EBUSY, "another domain handles it"),
        (EINVAL, "there is no such interrupt, or only Xen's own domains may have it"),
        (EACCES, RESTRICTED),
        (EPERM, "this domain may not have it"),
        (ENOSPC, NO_PORTS),
    ]))]
    BindVirq {
        /// The virtual interrupt.
        virq: Virq,
        /// What the kernel said.
        source: io::Error,
    },
    /// Binding a static port failed.
    #[error("cannot bind static port {port}{}", explain(source, &[
        (EISCONN, "this handle has bound it already"),
    ]))]
    BindStatic {
        /// The local port.
        port: Port,
        /// What the kernel said.
        source: io::Error,
    },
    /// An operation on one port failed.
    #[error("{call} failed for port {port}{}", explain(source, &[
        (ENOTCONN, "this handle has not bound it"),
        (EINVAL, "there is no such port"),
    ]))]
    Port {
        /// Which operation.
        call: &'static str,
        /// The local port.
        port: Port,
        /// What the kernel said.
        source: io::Error,
    },
    /// An operation on the whole handle failed.
    #[error("{call} failed for the event channel device")]
    Device {
        /// Which operation.
        call: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// Restricting the handle failed.
    #[error("cannot restrict the handle to domain {domain}{}", explain(source, &[
        (EACCES, "it is restricted already"),
        (EINVAL, "only an ordinary domain other than dom0 will do"),
    ]))]
    Restrict {
        /// The only domain wanted.
        domain: DomId,
        /// What the kernel said.
        source: io::Error,
    },
    /// The running kernel does not have the operation.
    #[error("{operation} needs {needs}")]
    Unsupported {
        /// What was asked for.
        operation: &'static str,
        /// What has it.
        needs: &'static str,
    },
}

const RESTRICTED: &str = "the handle is restricted and may not do this";
const NO_PORTS: &str = "this domain has no free ports";

/// The meaning of the error number in this place, to go behind the message.
fn explain(source: &io::Error, meanings: &[(i32, &'static str)]) -> String {
    let meaning = meanings.iter().find(|(number, _)| source.raw_os_error() == Some(*number));
    meaning.map_or_else(String::new, |(_, meaning)| format!(": {meaning}"))
}
