//! What can go wrong in a conversation with xenstored.

use std::io;

use super::wire::Operation;

/// A xenstore request that failed: what was asked, about which path, and why.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device could not be opened.
    #[error("cannot open {path}: is this a Xen domain, is xenstored running, and may this user open it?")]
    Open {
        /// The device file.
        path: &'static str,
        /// Why.
        source: io::Error,
    },
    /// xenstored refused.
    #[error("xenstore refused to {} {path}: {errno}", operation.name())]
    Refused {
        /// What was asked.
        operation: Operation,
        /// Of which node.
        path: String,
        /// The reason as xenstored spells it, such as `ENOENT`.
        errno: String,
    },
    /// The conversation broke down.
    #[error("xenstore did not get or answer the request to {} {path}", operation.name())]
    Io {
        /// What was asked.
        operation: Operation,
        /// Of which node.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The request does not fit a message.
    #[error(
        "the request to {} {path} has {len} bytes, and a xenstore message carries at most {}",
        operation.name(),
        super::wire::MAX_REQUEST
    )]
    TooLong {
        /// What was asked.
        operation: Operation,
        /// Of which node.
        path: String,
        /// Bytes of the whole request.
        len: usize,
    },
    /// A path or token contains a NUL byte, which ends a string on the wire.
    #[error("the request to {} {path:?} contains a NUL byte", operation.name())]
    Nul {
        /// What was asked.
        operation: Operation,
        /// Of which node.
        path: String,
    },
    /// The answer is not one that this request can have.
    #[error("xenstore answered the request to {} {path} with nonsense: {detail}", operation.name())]
    Answer {
        /// What was asked.
        operation: Operation,
        /// Of which node.
        path: String,
        /// What came instead.
        detail: String,
    },
    /// A transaction collided with others again and again.
    #[error(
        "the xenstore transaction met concurrent changes {attempts} times; is something writing in a loop?"
    )]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
}

impl Error {
    /// The node does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.is_errno("ENOENT")
    }

    /// The transaction collided with another one and should be tried again.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.is_errno("EAGAIN")
    }

    fn is_errno(&self, name: &str) -> bool {
        matches!(self, Self::Refused { errno, .. } if errno == name)
    }
}
