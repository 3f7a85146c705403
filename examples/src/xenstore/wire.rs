//! The xenstore wire format (`io/xs_wire.h`): a 16-byte header, then the payload.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Longest payload of one message. The device takes 4096 bytes with the header, 16 less than the socket.
pub(super) const MAX_REQUEST: usize = 4096 - size_of::<Header>();
/// Longest payload that xenstored sends.
const MAX_REPLY: usize = 4096;

/// `enum xsd_sockmsg_type`: what a message is.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Operation(u32);

macro_rules! operations {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        impl Operation {
            $(pub(super) const $constant: Self = Self($number);)*

            /// The operation in words, for error messages.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)*
                    _ => "unknown operation",
                }
            }
        }
    };
}

operations! {
    DIRECTORY = 1, "directory";
    READ = 2, "read";
    GET_PERMISSIONS = 3, "get permissions";
    WATCH = 4, "watch";
    UNWATCH = 5, "unwatch";
    TRANSACTION_START = 6, "transaction start";
    TRANSACTION_END = 7, "transaction end";
    GET_DOMAIN_PATH = 10, "get domain path";
    WRITE = 11, "write";
    MKDIR = 12, "mkdir";
    REMOVE = 13, "remove";
    SET_PERMISSIONS = 14, "set permissions";
    WATCH_EVENT = 15, "watch event";
    ERROR = 16, "error";
    IS_DOMAIN_INTRODUCED = 17, "is domain introduced";
}

impl fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name(), self.0)
    }
}

/// `struct xsd_sockmsg`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) operation: Operation,
    /// Chosen by the asker, returned in the reply. Meaningless in a watch event.
    pub(super) request: u32,
    /// 0 outside of a transaction.
    pub(super) transaction: u32,
    pub(super) len: u32,
}

const _: () = assert!(size_of::<Header>() == 16);

/// One message from xenstored.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

/// xenstored announced a payload that the protocol does not allow: the stream is out of step.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Oversized(pub(super) u32);

/// Puts messages together: one read may return a part of a message, or several.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
}

impl Incoming {
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, if it has arrived.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Oversized> {
        let Ok((header, rest)) = Header::read_from_prefix(&self.bytes) else { return Ok(None) };
        let len =
            usize::try_from(header.len).ok().filter(|len| *len <= MAX_REPLY).ok_or(Oversized(header.len))?;
        let Some(payload) = rest.get(..len).map(<[u8]>::to_vec) else { return Ok(None) };
        self.bytes.drain(..size_of::<Header>() + len);
        Ok(Some(Message { header, payload }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(operation: Operation, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap();
        let mut bytes = Header { operation, request: 7, transaction: 0, len }.as_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn messages_arrive_in_any_pieces() {
        let stream = [
            message(Operation::READ, b"1"),
            message(Operation::WRITE, b""),
            message(Operation::ERROR, b"ENOENT\0"),
        ]
        .concat();
        for piece in 1..=stream.len() {
            let mut incoming = Incoming::default();
            let mut payloads = Vec::new();
            for bytes in stream.chunks(piece) {
                incoming.extend(bytes);
                while let Some(message) = incoming.next().unwrap() {
                    payloads.push(message.payload);
                }
            }
            assert_eq!(payloads, [b"1".to_vec(), Vec::new(), b"ENOENT\0".to_vec()]);
        }
    }

    #[test]
    fn an_impossible_length_is_refused() {
        let mut incoming = Incoming::default();
        incoming
            .extend(Header { operation: Operation::READ, request: 0, transaction: 0, len: 4097 }.as_bytes());
        assert_eq!(incoming.next().unwrap_err(), Oversized(4097));
    }
}
