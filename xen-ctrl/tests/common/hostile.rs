//! A guest that writes what it likes to the page of its requests, also while it is served.

use std::os::fd::OwnedFd;

use rustix::io::pwrite;
use xen_ctrl::devicemodel::{Access, Buffering, Io, IoHandler, Operand};

use super::fake_model::{Operation, drivers, evtchn, model};

/// How many vCPUs a page has places for.
const VCPUS: u64 = 128;
/// How many bytes of input a change takes: where, in two bytes, and what.
const CHANGE: usize = 10;

/// A device that takes everything.
struct Anything;

impl IoHandler for Anything {
    fn read(&mut self, address: u64, _: u8) -> u64 {
        address
    }

    fn write(&mut self, _: u64, size: u8, value: u64) {
        assert!(size == 8 || value < 1 << (8 * size), "{size} bytes: {value:#x}");
    }
}

fn put(page: &OwnedFd, at: u64, bytes: &[u8]) {
    assert_eq!(pwrite(page, bytes, at).expect("written"), bytes.len());
}

/// Serves requests from a page with the first 4096 bytes of `input` in it, which is also the ring of buffered ones; what is behind are
/// changes, one for each request. The value is the number of requests.
pub(crate) fn serve(input: &[u8]) -> usize {
    let (model, page) = model();
    let shared = page.try_clone().expect("a descriptor");
    let (_drivers, log) = drivers(move |Operation { number, body, .. }| {
        match number {
            2 => body[4] = 99,
            5 => (0..VCPUS).for_each(|vcpu| put(&shared, vcpu * 32 + 24, &[1, 0, 0, 0])),
            20 => body[0] = 128,
            _ => {}
        }
        Ok(())
    });
    let mut server = model.create_ioreq_server_with(evtchn(), Buffering::On).expect("a server");
    server.enable().expect("on");
    let (first, changes) = input.split_at(input.len().min(4096));
    put(&page, 0, first);
    let mut changes = changes.chunks_exact(CHANGE);
    let memory = model.memory(16);
    let mut requests = 0;
    while let Some(request) = server.next_request() {
        requests += 1;
        if let Some([low, high, bytes @ ..]) = changes.next() {
            let place = u16::from_le_bytes([*low, *high]) & 0xff8;
            put(&page, place.into(), bytes);
        }
        match *request.io() {
            // there is no memory to copy from
            Io::Port(Access { operand: Operand::Memory(_), .. })
            | Io::Memory(Access { operand: Operand::Memory(_), .. })
            | Io::PciConfig { access: Access { operand: Operand::Memory(_), .. }, .. } => drop(request),
            _ => request.serve(&memory, &mut Anything).expect("served"),
        }
        log.take();
    }
    requests
}
