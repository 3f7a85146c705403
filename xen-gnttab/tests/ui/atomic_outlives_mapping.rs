//! An atomic in a mapping does not outlive it.
use std::sync::atomic::Ordering;
use xen_gnttab::{DomId, GrantRef, Gnttab};

fn main() {
    let mapping = Gnttab::open().unwrap().map(DomId::ZERO, &[GrantRef::new(8)]).unwrap();
    let index = mapping.atomic_u32(0).unwrap();
    drop(mapping);
    index.store(1, Ordering::Release);
}
