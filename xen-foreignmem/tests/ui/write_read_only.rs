//! What was mapped read-only has no methods that write.
use xen_foreignmem::{DomId, ForeignMemory, Gfn};

fn main() {
    let memory = ForeignMemory::open().unwrap();
    let mapping = memory.map_read_only(DomId::SELF, &[Gfn::new(8)]).unwrap();
    mapping.write(0, &1_u32).unwrap();
    let cache = memory.options(DomId::SELF).read_only().cache(16);
    cache.write(0, &1_u32).unwrap();
}
