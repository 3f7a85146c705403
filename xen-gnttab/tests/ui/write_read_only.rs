//! A read-only mapping has no methods that write.
use xen_gnttab::{DomId, GrantRef, Gnttab};

fn main() {
    let mapping = Gnttab::open().unwrap().map_read_only(DomId::ZERO, &[GrantRef::new(8)]).unwrap();
    mapping.write(0, &1_u32).unwrap();
}
