//! Memory that is lent to the hypervisor cannot be looked at.
use xen_call::{HypercallBuffer, Xencall};

fn main() {
    let mut buffer: HypercallBuffer<[u8]> = Xencall::open().unwrap().zeroed_buffer(64).unwrap();
    let lent = buffer.lend();
    let first = buffer[0];
    drop(lent);
    assert_eq!(first, 0);
}
