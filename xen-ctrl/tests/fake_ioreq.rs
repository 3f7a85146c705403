//! Servers of requests on a fake kernel: the order of calls, the states of requests, and pages that hold anything.
#![expect(unsafe_code, reason = "plays the kernel")]

#[path = "common/fake_model.rs"]
mod fake_model;
#[path = "common/hostile.rs"]
mod hostile;

use std::os::fd::{AsFd, OwnedFd};

use fake_model::*;
use proptest::prelude::*;
use rustix::io::{pread, pwrite};
use xen_ctrl::devicemodel::{
    Buffering, DeviceModel, Io, IoreqServer, Operand, QueueNotify, Request, ServerId,
};
use xen_ctrl::host::PciAddress;
use xen_ctrl::{Error, VcpuId};
use xen_sys::linux::fake::Installed;

const ENOSPC: i32 = 28;
const EOPNOTSUPP: i32 = 95;
const READY: u8 = 1;
const INPROCESS: u8 = 2;
const ANSWERED: u8 = 3;
const IS_READ: u8 = 0x20;

/// A guest with servers: what Xen writes to their page is written here.
struct Guest {
    page: OwnedFd,
    model: DeviceModel,
    log: Log,
    _drivers: Installed,
}

impl Guest {
    /// One whose vCPUs have the ports 11, 12 and so on. Its next server gets number 3.
    fn new(vcpus: u32) -> Self {
        let (model, page) = model();
        let shared = page.try_clone().expect("a descriptor");
        let (drivers, log) = drivers(move |Operation { number, body, .. }| {
            match number {
                1 => body[4..6].copy_from_slice(&[3, 0]),
                2 => {
                    assert_eq!(body[..4], [3, 0, 1, 0], "no frames, please");
                    body[4..8].copy_from_slice(&[99, 0, 0, 0]);
                }
                5 => {
                    for vcpu in 0..u64::from(vcpus) {
                        put(&shared, vcpu * 32 + 24, &bytes![11 + u32::try_from(vcpu).expect("few")]);
                    }
                }
                20 if vcpus == 0 => return Err(EOPNOTSUPP),
                20 => body[..4].copy_from_slice(&vcpus.to_le_bytes()),
                _ => {}
            }
            Ok(())
        });
        Self { page, model, log, _drivers: drivers }
    }

    /// A server that is on.
    fn server(&self, buffering: Buffering) -> IoreqServer {
        let mut server = self.model.create_ioreq_server_with(evtchn(), buffering).expect("a server");
        server.enable().expect("on");
        self.log.take();
        server
    }

    /// A request of a vCPU's, of 4 bytes.
    fn ask(&self, vcpu: u64, kind: u8, flags: u8, address: u64, data: u64) {
        put(&self.page, vcpu * 32, &bytes![address, data, 1_u32, 4_u32]);
        put(&self.page, vcpu * 32 + 30, &[flags, kind]);
    }

    fn flags(&self, vcpu: u64) -> u8 {
        get::<1>(&self.page, vcpu * 32 + 30)[0]
    }

    fn data(&self, vcpu: u64) -> u64 {
        u64::from_le_bytes(get(&self.page, vcpu * 32 + 8))
    }

    fn pointers(&self) -> [u32; 2] {
        let bytes: [u8; 8] = get(&self.page, 0);
        [0, 4].map(|at| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes")))
    }

    /// Writes buffered requests to the ring from entry 100 on, where the first vCPUs have no place, and turns the pointers.
    fn buffer(&self, entries: &[[u32; 2]]) {
        for (index, [head, data]) in (100..).zip(entries) {
            put(&self.page, 8 + index * 8, &bytes![*head, *data]);
        }
        put(&self.page, 0, &bytes![100_u32, 100 + u32::try_from(entries.len()).expect("few")]);
    }
}

fn put(page: &OwnedFd, at: u64, bytes: &[u8]) {
    assert_eq!(pwrite(page, bytes, at).expect("written"), bytes.len());
}

fn get<const N: usize>(page: &OwnedFd, at: u64) -> [u8; N] {
    let mut bytes = [0; N];
    assert_eq!(pread(page, &mut bytes, at).expect("read"), N);
    bytes
}

fn value(request: &Request<'_>) -> (u64, u64) {
    match request.io() {
        Io::Port(access) | Io::Memory(access) => match access.operand {
            Operand::Value(value) => (access.address, value),
            Operand::Memory(address) => panic!("in memory, at {address:#x}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_comes_and_goes_in_order() {
    let guest = Guest::new(2);
    let mut server = guest.model.create_ioreq_server_with(evtchn(), Buffering::On).expect("a server");
    assert_eq!(server.id(), ServerId::new(3));
    let made = [
        Asked::operation(1, &[2]),
        Asked::operation(20, &[]),
        Asked::Resource { id: 3, frame: 1 },
        Asked::Resource { id: 3, frame: 0 },
    ];
    assert_eq!(guest.log.take(), made);
    assert!(server.next_request().is_none(), "it is off");
    server.enable().expect("on");
    let on = [
        Asked::operation(5, &[3, 0, 1]),
        Asked::Bind(11),
        Asked::Bind(12),
        Asked::operation(2, &[3, 0, 1, 0]),
        Asked::Bind(99),
    ];
    assert_eq!(guest.log.take(), on);
    server.disable().expect("off");
    server.enable().expect("on again");
    assert_eq!(guest.log.take(), [Asked::operation(5, &[3, 0, 0]), Asked::operation(5, &[3, 0, 1])]);
    drop(server);
    let off = Asked::operation(5, &[3, 0, 0]);
    let gone = [off, Asked::Unbind(101), Asked::Unbind(102), Asked::Unbind(103), Asked::operation(6, &[3])];
    assert_eq!(guest.log.take(), gone);
}

#[test]
fn ranges_end_where_they_say() {
    let guest = Guest::new(1);
    let server = guest.server(Buffering::Off);
    let range = |kind: u32, start: u64, end: u64| bytes![3_u32, kind, start, end];
    let device = PciAddress::new(2, 3, 0x1f, 1).expect("an address");
    server.map_ports(0xcf8..=0xcff).expect("mapped");
    server.map_memory(0xf000_0000..=0xf000_0fff).expect("mapped");
    server.map_pci(device).expect("mapped");
    server.unmap_ports(0xcf8..=0xcff).expect("unmapped");
    server.unmap_memory(0xf000_0000..=0xf000_0fff).expect("unmapped");
    server.unmap_pci(device).expect("unmapped");
    server.claim_memory_type().expect("claimed");
    server.release_memory_type().expect("released");
    let ranges = [range(0, 0xcf8, 0xcff), range(1, 0xf000_0000, 0xf000_0fff), range(2, 0x2_03f9, 0x2_03f9)];
    let mut expected: Vec<_> = ranges.iter().map(|range| Asked::operation(3, range)).collect();
    expected.extend(ranges.iter().map(|range| Asked::operation(4, range)));
    expected.push(Asked::operation(15, &bytes![3_u16, 4_u16, 2_u32]));
    expected.push(Asked::operation(15, &bytes![3_u16, 4_u16, 0_u32]));
    assert_eq!(guest.log.take(), expected);
}

#[test]
fn a_request_is_taken_once_answered_once_and_told_of() {
    let guest = Guest::new(2);
    let server = guest.server(Buffering::Off);
    guest.ask(1, 0, READY | IS_READ, 0x510, 0xdead);
    let request = server.next_request().expect("a request");
    assert_eq!(request.vcpu(), Some(VcpuId::new(1)));
    assert_eq!(value(&request), (0x510, 0));
    assert_eq!(guest.flags(1), INPROCESS | IS_READ);
    assert!(server.next_request().is_none(), "it is taken");
    assert_eq!(guest.log.take(), []);
    request.respond(0x1_2345_6789).expect("answered");
    assert_eq!((guest.flags(1), guest.data(1)), (ANSWERED | IS_READ, 0x2345_6789), "as long as it is");
    assert_eq!(guest.log.take(), [Asked::Notify(102)]);

    guest.ask(0, 1, READY, 0xf000_0000, 0x77);
    let request = server.next_request().expect("a request");
    assert_eq!(value(&request), (0xf000_0000, 0x77));
    request.respond(0x99).expect("answered");
    assert_eq!((guest.flags(0), guest.data(0)), (ANSWERED, 0x77), "a write takes nothing back");
    assert_eq!(guest.log.take(), [Asked::Notify(101)]);
}

#[test]
fn what_is_dropped_reads_ones() {
    let guest = Guest::new(1);
    let server = guest.server(Buffering::Off);
    guest.ask(0, 0, READY | IS_READ, 0x510, 0);
    drop(server.next_request());
    assert_eq!((guest.flags(0), guest.data(0)), (ANSWERED | IS_READ, 0xffff_ffff));
    assert_eq!(guest.log.take(), [Asked::Notify(101)]);
}

#[test]
fn a_server_does_not_leave_vcpus_waiting() {
    let guest = Guest::new(2);
    let server = guest.server(Buffering::Off);
    guest.ask(0, 0, INPROCESS | IS_READ, 0x510, 0); // taken and forgotten
    guest.ask(1, 0, READY | IS_READ, 0x510, 0);
    drop(server);
    assert_eq!([0, 1].map(|vcpu| guest.flags(vcpu) & 0xf), [ANSWERED; 2]);
    let off = Asked::operation(5, &[3, 0, 0]);
    let told = [off, Asked::Notify(101), Asked::Notify(102)];
    assert_eq!(guest.log.take()[..3], told);
}

#[test]
fn no_vcpu_is_forgotten_for_another() {
    let guest = Guest::new(3);
    let server = guest.server(Buffering::Off);
    let mut order = Vec::new();
    for _ in 0..6 {
        for vcpu in 0..3 {
            if guest.flags(vcpu) & 0xf != READY {
                guest.ask(vcpu, 0, READY, 0x510, vcpu);
            }
        }
        order.push(value(&server.next_request().expect("a request")).1);
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn what_was_buffered_comes_before_what_is_waited_for() {
    let guest = Guest::new(1);
    let server = guest.server(Buffering::On);
    let word = |address: u32| address << 12 | 2 << 10 | 1;
    guest.buffer(&[[word(0xb_8000), 1], [word(0xb_8004), 2], [3 << 10 | 7, 0xffff_fff6], [0, 0xffff_ffff]]);
    put(&guest.page, 30, &[READY, 0]); // vCPU 0, whose address is the ring's pointers
    put(&guest.page, 16, &bytes![1_u32, 1_u32]);
    for expected in [(0xb_8000, 1), (0xb_8004, 2)] {
        let request = server.next_request().expect("a request");
        assert_eq!((request.vcpu(), value(&request)), (None, expected));
        request.respond(5).expect("nobody waits");
    }
    let offset = server.next_request().expect("the clock");
    assert_eq!(*offset.io(), Io::TimeOffset { seconds: -10 });
    drop(offset);
    assert_eq!(guest.pointers(), [104, 104]);
    assert_eq!((guest.log.take(), guest.flags(0)), (vec![], READY), "nobody was told of anything");
    assert_eq!(server.next_request().expect("the other").vcpu(), Some(VcpuId::new(0)));
}

#[test]
fn a_ring_that_cannot_be_is_emptied() {
    let guest = Guest::new(1);
    let server = guest.server(Buffering::On);
    for (read, write, requests) in
        [(0_u32, 512_u32, 1), (5, 4, 1), (u32::MAX, 0, 1), (u32::MAX, 510, 511), (7, 7, 0)]
    {
        put(&guest.page, 0, &bytes![read, write]);
        let mut count = 0;
        while let Some(request) = server.next_request() {
            assert_eq!(request.vcpu(), None);
            count += 1;
        }
        assert_eq!((count, guest.pointers()), (requests, [write, write]), "{read} {write}");
    }
}

#[test]
fn another_program_takes_over() {
    let guest = Guest::new(2);
    let server = guest.server(Buffering::Off);
    guest.ask(1, 0, READY, 0x510, 6);
    let request = server.next_request().expect("a request");
    std::mem::forget(request); // the program ends here
    let id = server.leave();
    assert_eq!(guest.log.take(), [Asked::Unbind(101), Asked::Unbind(102)], "not destroyed");
    assert_eq!(guest.flags(1), INPROCESS);
    let mut heir = guest.model.adopt_ioreq_server_with(evtchn(), id).expect("taken over");
    assert_eq!((heir.id(), guest.flags(1)), (id, READY), "it can be taken again");
    heir.enable().expect("on");
    assert_eq!(value(&heir.next_request().expect("the request")), (0x510, 6));
    guest.log.take();
    drop(heir);
    assert_eq!(guest.log.take().last(), Some(&Asked::operation(6, &[3])), "now it is ours to destroy");
}

#[test]
fn eventfds_end_before_the_server_does() {
    let guest = Guest::new(2);
    let mut server = guest.server(Buffering::Off);
    let notify = QueueNotify { address: 0x0200_0000, size: 4, queue: 0 };
    server.assign_ioeventfd(guest.page.as_fd(), notify).expect("assigned");
    let other = QueueNotify { queue: 1, ..notify };
    server.assign_ioeventfd(guest.page.as_fd(), other).expect("another");
    server.unassign_ioeventfd(notify);
    drop(server);
    let event = |queue, flags| Asked::Ioeventfd { vcpus: 2, queue, flags };
    let gone = [Asked::Unbind(101), Asked::Unbind(102), Asked::operation(6, &[3])];
    let off = Asked::operation(5, &[3, 0, 0]);
    let events = [event(0, 0), event(1, 0), event(0, 1), off, event(1, 1)];
    assert_eq!(guest.log.take(), [&events[..], &gone].concat());
}

#[test]
fn what_cannot_be_made_is_not_left_behind() {
    let (_drivers, log) = drivers(|Operation { number, .. }| if number == 1 { Err(ENOSPC) } else { Ok(()) });
    let (model, _page) = model();
    let error = model.create_ioreq_server_with(evtchn(), Buffering::Off).expect_err("too many");
    assert_eq!((error.errno(), log.take().len()), (Some(ENOSPC), 1));

    let (_drivers, log) = drivers(|Operation { number, .. }| if number == 20 { Err(1) } else { Ok(()) });
    let error = model.create_ioreq_server_with(evtchn(), Buffering::Off).expect_err("denied");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_eq!(log.take().last(), Some(&Asked::operation(6, &[0])), "destroyed again");

    let guest = Guest::new(0); // Xen 4.14 does not tell how many vCPUs there are
    drop(guest.server(Buffering::Off));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What the fuzz target does, with fewer pages.
    #[test]
    fn any_page_is_served_to_the_end(input in proptest::collection::vec(any::<u8>(), 4096..6000)) {
        let changes = (input.len() - 4096) / 10;
        prop_assert!(hostile::serve(&input) <= 511 + 128 + changes * 512);
    }

    #[test]
    fn rings_of_any_length_are_served(read in 0..2000_u32, waiting in 0..700_u32, rest: [u8; 16]) {
        let mut input = rest.repeat(256);
        input[..8].copy_from_slice(&bytes![read, read + waiting]);
        let requests = hostile::serve(&input);
        prop_assert!((usize::from(waiting > 0)..=511 + 128).contains(&requests), "{}", requests);
    }
}
