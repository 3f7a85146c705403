//! The memory that a copy fills cannot be looked at while the segment is in use.
use xen_gnttab::{CopySegment, DomId, Grant, GrantRef, Gnttab};

fn main() {
    let grant = Grant::new(DomId::ZERO, GrantRef::new(8));
    let mut buffer = [0; 64];
    let mut segments = [CopySegment::from_grant(grant, 0, &mut buffer).unwrap()];
    let first = buffer[0];
    Gnttab::open().unwrap().copy(&mut segments).unwrap();
    assert_eq!(first, 0);
}
