//! Nothing borrowed from a mapping outlives it.
use xen_foreignmem::{DomId, ForeignMemory, Gfn};

fn main() {
    let memory = ForeignMemory::open().unwrap();
    let word = {
        let mapping = memory.map_partial(DomId::SELF, &[Gfn::new(8)]).unwrap();
        mapping.atomic_u32(0).unwrap()
    };
    word.store(1, std::sync::atomic::Ordering::Relaxed);
}
