//! Nothing is read from a file into a mapping that is read-only.
use xen_gnttab::{DomId, GrantRef, Gnttab, SharedParts};

fn main() {
    let mapping = Gnttab::open().unwrap().map_read_only(DomId::ZERO, &[GrantRef::new(8)]).unwrap();
    let mut parts = SharedParts::default();
    parts.push(&mapping, 0, 4096).unwrap();
    parts.read_from_file(std::io::stdin(), 0).unwrap();
}
