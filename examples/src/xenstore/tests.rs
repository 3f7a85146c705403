//! The client against a scripted xenstored at the other end of a socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use zerocopy::FromBytes;

use super::*;

/// Answers each request with the messages of one step; `None` stands for the request's own type.
type Script = Vec<Vec<(Option<Operation>, &'static [u8])>>;

/// The requests that came: operation, transaction, payload.
type Asked = Vec<(Operation, u32, Vec<u8>)>;

/// Starts a xenstored that plays `script` and returns what it was asked.
fn scripted(script: Script) -> (Xenstore, thread::JoinHandle<Asked>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut asked = Vec::new();
        for step in script {
            let mut header = [0; size_of::<Header>()];
            theirs.read_exact(&mut header).unwrap();
            let header = Header::read_from_bytes(&header).unwrap();
            let mut payload = vec![0; usize::try_from(header.len).unwrap()];
            theirs.read_exact(&mut payload).unwrap();
            asked.push((header.operation, header.transaction, payload));
            for (operation, payload) in step {
                let event = operation == Some(Operation::WATCH_EVENT);
                let reply = Header {
                    operation: operation.unwrap_or(header.operation),
                    request: if event { 0xdead_beef } else { header.request },
                    transaction: header.transaction,
                    len: u32::try_from(payload.len()).unwrap(),
                };
                theirs.write_all(reply.as_bytes()).unwrap();
                theirs.write_all(payload).unwrap();
            }
        }
        asked
    });
    (Xenstore::over(ours.into()), server)
}

#[test]
fn events_that_overtake_a_reply_are_kept() {
    let (mut store, server) =
        scripted(vec![vec![(Some(Operation::WATCH_EVENT), b"a/state\0token\0"), (None, b"4")]]);
    assert_eq!(store.read("a/state").unwrap(), "4");
    let event = store.next_event().unwrap().unwrap();
    assert_eq!((event.path.as_str(), event.token.as_str()), ("a/state", "token"));
    assert_eq!(server.join().unwrap(), [(Operation::READ, 0, b"a/state\0".to_vec())]);
}

#[test]
fn a_refusal_names_operation_path_and_reason() {
    let (mut store, _server) = scripted(vec![vec![(Some(Operation::ERROR), b"EACCES\0")]]);
    let error = store.write("/x", "1").unwrap_err();
    assert_eq!(error.to_string(), "xenstore refused to write /x: EACCES");
}

#[test]
fn a_missing_node_is_none() {
    let (mut store, _server) = scripted(vec![vec![(Some(Operation::ERROR), b"ENOENT\0")]]);
    assert_eq!(store.read_optional("/x").unwrap(), None);
}

#[test]
fn a_transaction_that_collides_runs_again() {
    let (mut store, server) = scripted(vec![
        vec![(None, b"11\0")],
        vec![(None, b"OK\0")],
        vec![(Some(Operation::ERROR), b"EAGAIN\0")],
        vec![(None, b"12\0")],
        vec![(None, b"OK\0")],
        vec![(None, b"OK\0")],
    ]);
    store.transaction(|tree| tree.write("/x", "1")).unwrap();
    let asked = server.join().unwrap();
    let transactions: Vec<u32> = asked.iter().map(|(_, transaction, _)| *transaction).collect();
    assert_eq!(transactions, [0, 11, 11, 0, 12, 12]);
    assert_eq!(asked[5].2, b"T\0");
}

#[test]
fn a_failing_transaction_is_aborted() {
    let (mut store, server) = scripted(vec![
        vec![(None, b"3\0")],
        vec![(Some(Operation::ERROR), b"EACCES\0")],
        vec![(None, b"OK\0")],
    ]);
    let error = store.transaction(|tree| tree.mkdir("/x")).unwrap_err();
    assert!(matches!(error, Error::Refused { errno, .. } if errno == "EACCES"));
    assert_eq!(server.join().unwrap()[2].2, b"F\0");
}

#[test]
fn a_request_that_does_not_fit_is_not_sent() {
    let (mut store, _server) = scripted(vec![]);
    let error = store.write("/x", &"v".repeat(4078)).unwrap_err();
    assert!(matches!(error, Error::TooLong { len: 4081, .. }), "{error}");
    assert!(matches!(store.read("a\0b").unwrap_err(), Error::Nul { .. }));
}

#[test]
fn lists_are_split() {
    let (mut store, _server) =
        scripted(vec![vec![(None, b"0\x007\0")], vec![(None, b"")], vec![(None, b"n7\0r0\0")]]);
    assert_eq!(store.directory("/local/domain").unwrap(), ["0", "7"]);
    assert_eq!(store.directory("/empty").unwrap(), [""; 0]);
    let permissions = store.permissions("/x").unwrap();
    assert_eq!(permissions, Permission::owned_and_read(DomId::new(7).unwrap(), DomId::ZERO));
}

#[test]
fn a_closed_connection_is_an_error() {
    let (mut store, server) = scripted(vec![]);
    server.join().unwrap();
    assert!(matches!(store.read("/x").unwrap_err(), Error::Io { .. }));
}
