//! Lent memory does not outlive its buffer.
use xen_call::{HypercallBuffer, Xencall};

fn main() {
    let xencall = Xencall::open().unwrap();
    let lent = {
        let mut buffer: HypercallBuffer<[u8]> = xencall.zeroed_buffer(64).unwrap();
        buffer.lend()
    };
    assert_eq!(lent.len(), 64);
}
