//! A restricted handle takes no domain.
use xen_foreignmem::{DomId, ForeignMemory, Gfn};

fn main() {
    let memory = ForeignMemory::open().unwrap().restrict(DomId::SELF).unwrap();
    memory.map(DomId::ZERO, &[Gfn::new(8)]).unwrap();
}
