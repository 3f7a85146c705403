//! Parts of a mapping that go to a file do not outlive it.
use xen_gnttab::{DomId, GrantRef, Gnttab, SharedParts};

fn main() {
    let mapping = Gnttab::open().unwrap().map(DomId::ZERO, &[GrantRef::new(8)]).unwrap();
    let mut parts = SharedParts::default();
    parts.push(&mapping, 0, 4096).unwrap();
    drop(mapping);
    parts.write_to_file(std::io::stdout(), 0).unwrap();
}
