//! A small xenstore client on `/dev/xen/xenbus`.
//!
//! xenstore is the tree of strings through which the two sides of a PV device find each other. One request is in
//! flight at a time: the kernel keeps only one message per open file, and the next write would overwrite it.
//! Watch events that arrive while a reply is awaited are queued and handed out later.
//!
//! ```no_run
//! use examples::xenstore::{Tree, Xenstore};
//!
//! # fn main() -> Result<(), examples::xenstore::Error> {
//! let mut store = Xenstore::open()?;
//! for domain in store.directory("/local/domain")? {
//!     println!("{domain}: {}", store.read(&format!("/local/domain/{domain}/name"))?);
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod permission;
mod transaction;
mod wire;

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use xen_evtchn::DomId;
use zerocopy::IntoBytes;

pub use error::Error;
pub use permission::{Access, Permission};
pub use transaction::{Transaction, Tree};
pub use wire::Operation;

use wire::{Header, Incoming, MAX_REQUEST, Message};

const DEVICE: &str = "/dev/xen/xenbus";

/// Fires when any domain shuts down or disappears; which one, the watcher has to find out.
pub const RELEASE_DOMAIN: &str = "@releaseDomain";

/// Something below a watched path changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// The node that changed.
    pub path: String,
    /// What the watcher chose when it registered the watch.
    pub token: String,
}

/// A connection to xenstored. Closing it ends its watches and open transactions.
///
/// [`AsFd`] gives a descriptor that polls readable when a watch event *may* have come; look at
/// [`Xenstore::next_event`] before going to sleep, since events are also queued while a reply is awaited.
#[derive(Debug)]
pub struct Xenstore {
    connection: OwnedFd,
    incoming: Incoming,
    events: VecDeque<WatchEvent>,
    reply: Option<Message>,
    last_request: u32,
}

impl Xenstore {
    /// Connects through the kernel, as dom0 and every guest can.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open() -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).open(DEVICE);
        file.map(|file| Self::over(file.into())).map_err(|source| Error::Open { path: DEVICE, source })
    }

    /// Speaks over an open connection, for instance xenstored's socket. It must be a blocking one.
    #[must_use]
    pub fn over(connection: OwnedFd) -> Self {
        Self {
            connection,
            incoming: Incoming::default(),
            events: VecDeque::new(),
            reply: None,
            last_request: 0,
        }
    }

    /// Asks for events about `path` and all below it. One event comes at once, so that nothing is missed.
    ///
    /// # Errors
    /// [`Error::Refused`] if this domain may not watch the path, or watches it already with this token.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.request(Operation::WATCH, 0, path, &terminated(&[path, token])).map(drop)
    }

    /// Ends a watch. Events already queued still come out.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<(), Error> {
        self.request(Operation::UNWATCH, 0, path, &terminated(&[path, token])).map(drop)
    }

    /// The home of a domain, `/local/domain/N`.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn domain_path(&mut self, domain: DomId) -> Result<String, Error> {
        let id = domain.get().to_string();
        let reply = self.request(Operation::GET_DOMAIN_PATH, 0, &id, &terminated(&[&id]))?;
        text(Operation::GET_DOMAIN_PATH, &id, reply)
    }

    /// Whether a domain lives, as far as xenstored knows.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn is_introduced(&mut self, domain: DomId) -> Result<bool, Error> {
        let id = domain.get().to_string();
        let reply = self.request(Operation::IS_DOMAIN_INTRODUCED, 0, &id, &terminated(&[&id]))?;
        Ok(text(Operation::IS_DOMAIN_INTRODUCED, &id, reply)? == "T")
    }

    /// The next watch event, if one has come. Does not block.
    ///
    /// # Errors
    /// [`Error::Io`] if the connection broke.
    pub fn next_event(&mut self) -> Result<Option<WatchEvent>, Error> {
        while self.events.is_empty() && self.is_readable(Some(Duration::ZERO))? {
            self.receive(Operation::WATCH_EVENT, "")?;
        }
        Ok(self.events.pop_front())
    }

    /// Waits for a watch event, at most until `deadline`.
    ///
    /// # Errors
    /// [`Error::Io`] if the connection broke.
    pub fn wait_event(&mut self, deadline: Instant) -> Result<Option<WatchEvent>, Error> {
        loop {
            if let Some(event) = self.next_event()? {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.is_readable(Some(left))?;
        }
    }

    /// One request and its reply.
    fn request(
        &mut self,
        operation: Operation,
        transaction: u32,
        path: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let path = path.trim_end_matches('\0');
        if path.contains('\0') {
            return Err(Error::Nul { operation, path: path.to_owned() });
        }
        let len = u32::try_from(payload.len())
            .ok()
            .filter(|_| payload.len() <= MAX_REQUEST)
            .ok_or_else(|| Error::TooLong { operation, path: path.to_owned(), len: payload.len() })?;
        self.last_request = self.last_request.wrapping_add(1);
        let header = Header { operation, request: self.last_request, transaction, len };
        self.send(&[header.as_bytes(), payload].concat()).map_err(|errno| broken(operation, path, errno))?;
        loop {
            if let Some(reply) = self.reply.take() {
                return self.checked(operation, path, reply);
            }
            self.receive(operation, path)?;
        }
    }

    /// Writes a whole message. The device takes it in one piece, a socket perhaps not.
    fn send(&self, mut message: &[u8]) -> Result<(), Errno> {
        while !message.is_empty() {
            match rustix::io::write(&self.connection, message) {
                Ok(written) => message = &message[written..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Reads once, and sorts what is complete into watch events and the reply.
    fn receive(&mut self, operation: Operation, path: &str) -> Result<(), Error> {
        let mut buffer = [0; 4096];
        let len = match rustix::io::read(&self.connection, &mut buffer) {
            Ok(0) => return Err(broken(operation, path, Errno::CONNRESET)),
            Ok(len) => len,
            Err(Errno::INTR) => 0,
            Err(errno) => return Err(broken(operation, path, errno)),
        };
        self.incoming.extend(&buffer[..len]);
        while let Some(message) = self.incoming.next().map_err(|oversized| Error::Answer {
            operation,
            path: path.to_owned(),
            detail: format!("a message of {} bytes", oversized.0),
        })? {
            // The kernel leaves the request id of an event undefined, so only its type and payload are used.
            if message.header.operation == Operation::WATCH_EVENT {
                self.events.extend(watch_event(&message.payload));
            } else {
                self.reply = Some(message);
            }
        }
        Ok(())
    }

    fn checked(&self, operation: Operation, path: &str, reply: Message) -> Result<Vec<u8>, Error> {
        let answer = |detail| Error::Answer { operation, path: path.to_owned(), detail };
        let header = reply.header;
        if header.request != self.last_request {
            return Err(answer(format!("the reply to request {}", header.request)));
        }
        if header.operation == Operation::ERROR {
            let errno = text(operation, path, reply.payload)?;
            return Err(Error::Refused { operation, path: path.to_owned(), errno });
        }
        if header.operation != operation {
            return Err(answer(format!("a reply to {:?}", header.operation)));
        }
        Ok(reply.payload)
    }

    fn is_readable(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        let timeout = timeout.and_then(|timeout| timeout.try_into().ok());
        match poll(&mut [PollFd::new(&self.connection, PollFlags::IN)], timeout.as_ref()) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(broken(Operation::WATCH_EVENT, "", errno)),
        }
    }
}

impl AsFd for Xenstore {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }
}

/// Strings as a request carries them: each ends with a NUL.
fn terminated(parts: &[&str]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.bytes().chain([0])).collect()
}

/// A reply that is one string. Some end with a NUL, some do not.
fn text(operation: Operation, path: &str, reply: Vec<u8>) -> Result<String, Error> {
    let text = String::from_utf8(reply).map_err(|_| Error::Answer {
        operation,
        path: path.to_owned(),
        detail: "a value that is not text".to_owned(),
    })?;
    Ok(text.trim_end_matches('\0').to_owned())
}

/// `None` for an event that is not two strings, which xenstored does not send.
fn watch_event(payload: &[u8]) -> Option<WatchEvent> {
    let mut parts = payload.split(|byte| *byte == 0).map(|part| String::from_utf8(part.to_vec()));
    Some(WatchEvent { path: parts.next()?.ok()?, token: parts.next()?.ok()? })
}

fn broken(operation: Operation, path: &str, errno: Errno) -> Error {
    Error::Io { operation, path: path.to_owned(), source: io::Error::from(errno) }
}

#[cfg(test)]
mod tests;
