//! A segment borrows the memory that the copy fills.
use xen_gnttab::{CopySegment, DomId, Grant, GrantRef, Gnttab};

fn main() {
    let grant = Grant::new(DomId::ZERO, GrantRef::new(8));
    let segment = {
        let mut buffer = [0; 64];
        CopySegment::from_grant(grant, 0, &mut buffer).unwrap()
    };
    Gnttab::open().unwrap().copy(&mut [segment]).unwrap();
}
