//! Memory that another domain writes never becomes a slice.
use xen_gnttab::{DomId, GrantRef, Gnttab};

fn main() {
    let mapping = Gnttab::open().unwrap().map(DomId::ZERO, &[GrantRef::new(8)]).unwrap();
    let bytes: &[u8] = &mapping;
    assert_eq!(bytes[0], 0);
}
