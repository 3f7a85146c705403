//! What emulation lacks: the bytes of what is asked about memory, and answers that no machine here gives.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::io;
use std::os::fd::OwnedFd;

use xen_call::Xencall;
use xen_ctrl::host::PciAddress;
use xen_ctrl::memory::{Allocation, MemoryKind, MemoryRange, NodeChoice, PageSource};
use xen_ctrl::pv::TableUpdate;
use xen_ctrl::{DomId, Error, Gfn, Mfn, Xenctrl};
use xen_sys::linux::fake::{self, Call};
use xen_sys::xen_public::multicall::MulticallEntry;
use xen_sys::zerocopy::FromBytes;

const HYPERCALL: u32 = 0x0030_5000;
const EINVAL: i32 = 22;
const ENOBUFS: i32 = 105;

fn memfd() -> OwnedFd {
    rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd")
}

/// What lies at an address that the hypervisor was given.
fn at<T>(address: u64) -> &'static mut T {
    // SAFETY: hypercall memory that nobody else looks at during the call; the tests use the types that were asked for.
    unsafe { &mut *std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address")) }
}

fn bytes<const N: usize>(address: u64) -> [u8; N] {
    *at(address)
}

fn words<const N: usize>(address: u64) -> [u64; N] {
    *at(address)
}

/// Xen 4.17: `answer` is given number and arguments of each hypercall but those that ask what this is, and which
/// domain.
fn xen(mut answer: impl FnMut(u64, [u64; 5]) -> Result<usize, i32> + 'static) -> (fake::Installed, Xenctrl) {
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let [number, arguments @ ..] = <[u64; 6]>::read_from_bytes(operand).expect("six words");
        let probed =
            |command| matches!(number, 35 | 36) && bytes::<4>(arguments[0]) == u32::to_ne_bytes(command);
        match number {
            17 => Ok(0x4_0011),
            _ if probed(4) || probed(5) => Ok(0),
            32 => Ok(0), // a port, which is domain 0's: so that is the own one
            _ => answer(number, arguments).map_err(io::Error::from_raw_os_error),
        }
    });
    // SAFETY: the fake kernel takes every request. Mappings of one memfd would all be the same memory, so there is none for them.
    let xencall = unsafe { Xencall::from_fds(memfd(), None) }.expect("a handle");
    let xen = Xenctrl::new(xencall).expect("Xen 4.17");
    xen.abi().expect("asked for before the test begins");
    (installed, xen)
}

const DOMAIN: u16 = 5;

fn domain() -> DomId {
    DomId::new(DOMAIN).expect("ordinary")
}

/// `struct xen_memory_reservation`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Reservation {
    frames: u64,
    count: u64,
    order: u32,
    flags: u32,
    domain: u64,
}

#[test]
fn reservations_say_what_kind_of_memory() {
    for (how, order, flags) in [
        (Allocation::default(), 0, 0),
        (Allocation { address_bits: Some(32), ..Allocation::of_order(9) }, 9, 32),
        (Allocation { node: NodeChoice::Prefer(0), ..Allocation::default() }, 0, 0x100),
        (Allocation { node: NodeChoice::Only(3), ..Allocation::default() }, 0, 0x2_0400),
        (Allocation { node: NodeChoice::Virtual(1), ..Allocation::default() }, 0, 0x4_0200),
        (Allocation { on_demand: true, ..Allocation::default() }, 0, 0x1_0000),
    ] {
        let (_fake, xen) = xen(move |number, [command, record, ..]| {
            assert_eq!((number, command), (12, 6));
            let asked: Reservation = *at(record);
            let expected =
                Reservation { frames: asked.frames, count: 2, order, flags, domain: DOMAIN.into() };
            assert_eq!(asked, expected);
            assert_eq!(words(asked.frames), [0x400, 0x600]);
            *at(asked.frames) = [0x1400_u64, 0x1600];
            Ok(2)
        });
        let got = xen.domain(domain()).memory().populate(&[Gfn::new(0x400), Gfn::new(0x600)], how);
        assert_eq!(got.expect("memory"), [Gfn::new(0x1400), Gfn::new(0x1600)]);
    }
}

#[test]
fn long_lists_go_in_parts_until_one_is_short() {
    let mut parts = vec![(131_072, 131_072), (131_072, 5)].into_iter();
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        assert_eq!(command, 1);
        let (asked, done) = parts.next().expect("two parts");
        assert_eq!(at::<Reservation>(record).count, asked);
        Ok(done)
    });
    let frames: Vec<_> = (0..400_000).map(Gfn::new).collect();
    assert_eq!(xen.domain(domain()).memory().decrease(&frames, 0).expect("some"), 131_077);
}

#[test]
fn what_came_of_too_little_is_given_back() {
    let mut calls = vec![(6, 3), (1, 3)].into_iter();
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        let (expected, done) = calls.next().expect("two calls");
        assert_eq!(command, expected);
        assert_eq!(words(at::<Reservation>(record).frames), [1, 2, 3]);
        Ok(done)
    });
    let places: Vec<_> = (1..8).map(Gfn::new).collect();
    let error = xen.domain(domain()).memory().populate_exact(&places, Allocation::default());
    let error = error.expect_err("too little");
    assert_eq!(error.to_string(), "XENMEM_populate_physmap on domain 5 was possible for 3 of 7 only");
}

#[test]
fn counts_of_64_bits_arrive_whole() {
    let (_fake, xen) = xen(|number, [list, count, ..]| {
        assert_eq!((number, count), (13, 1), "a multicall");
        let entry: &mut MulticallEntry = at(list);
        assert_eq!(entry.op, 12);
        entry.result = match entry.args[0] {
            2 => 0x12_3456_789a,
            3 | 4 | 14 => {
                assert_eq!(bytes(entry.args[1]), DOMAIN.to_ne_bytes());
                0x1_0000_0000 + i64::try_from(entry.args[0]).expect("small")
            }
            other => panic!("command {other}"),
        };
        Ok(0)
    });
    assert_eq!(xen.host().memory().end().expect("told"), Mfn::new(0x12_3456_789a));
    let memory = xen.domain(domain()).memory();
    assert_eq!(memory.pages().expect("told"), 0x1_0000_0003);
    assert_eq!(memory.max_pages().expect("told"), 0x1_0000_0004);
    assert_eq!(memory.max_gfn().expect("told"), Gfn::new(0x1_0000_000e));
}

#[test]
fn an_exchange_has_two_lists() {
    let (_fake, xen) = xen(|_, [command, record, ..]| {
        assert_eq!(command, 11);
        let [given, taken]: [Reservation; 2] = *at(record);
        assert_eq!((given.count, given.order, given.domain), (1, 1, DOMAIN.into()));
        assert_eq!((taken.count, taken.order, taken.flags, taken.domain), (2, 0, 30, DOMAIN.into()));
        assert_eq!(words::<1>(record + 64), [0], "the count is zero before");
        assert_eq!((words(given.frames), words(taken.frames)), ([0x80], [1, 2]));
        *at(taken.frames) = [0x10_u64, 0x20];
        Ok(0)
    });
    let how = Allocation { address_bits: Some(30), ..Allocation::default() };
    let mut places = [Gfn::new(1), Gfn::new(2)];
    xen.domain(domain()).memory().exchange(&[Gfn::new(0x80)], 1, &mut places, how).expect("exchanged");
    assert_eq!(places, [Gfn::new(0x10), Gfn::new(0x20)]);
}

#[test]
fn an_exchange_that_stops_tells_how_far_it_came() {
    const ENOMEM: i32 = 12;
    for done in [0_u64, 2, 7] {
        let (_fake, xen) = xen(move |_, [_, record, ..]| {
            let [given, taken]: [Reservation; 2] = *at(record);
            assert_eq!((given.count, taken.count), (3, 3));
            at::<[u64; 3]>(taken.frames)[..2].copy_from_slice(&[0x10, 0x20]);
            *at(record + 64) = done;
            Err(ENOMEM)
        });
        let given = [0x80, 0x81, 0x82].map(Gfn::new);
        let mut places = [1, 2, 3].map(Gfn::new);
        let memory = xen.domain(domain()).memory();
        let error = memory.exchange(&given, 0, &mut places, Allocation::default()).expect_err("no memory");
        match error {
            Error::Refused { .. } => assert_eq!(done, 0),
            Error::Incomplete { done: told, asked: 3, .. } => {
                assert_eq!(told as u64, done.min(3), "never more than was asked for");
                assert_eq!(places, [0x10, 0x20, 3].map(Gfn::new));
            }
            ref other => panic!("{other:?}"),
        }
        assert_eq!(error.errno(), Some(ENOMEM));
    }
}

#[test]
fn a_batch_has_a_call_for_each_kind() {
    let mut calls = 0;
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        assert_eq!(command, 23);
        let head: [u16; 4] = *at(record);
        let [indexes, frames, results] = words(record + 8);
        calls += 1;
        if calls == 1 {
            assert_eq!(head, [DOMAIN, 1, 2, 0]);
            assert_eq!((words(indexes), words(frames)), ([3, 0x8000_0004], [0x10, 0x11]));
            *at(results) = [0_i32, -22];
        } else {
            assert_eq!(head, [DOMAIN, 4, 1, 9]);
            assert_eq!((words(indexes), words(frames)), ([0x77], [0x12]));
        }
        Ok(0)
    });
    let other = DomId::new(9).expect("ordinary");
    let pages = [
        (PageSource::GrantTable(3), Gfn::new(0x10)),
        (PageSource::GrantStatus(4), Gfn::new(0x11)),
        (PageSource::ForeignFrame(other, Gfn::new(0x77)), Gfn::new(0x12)),
    ];
    let outcomes = xen.domain(domain()).memory().add_pages(&pages).expect("answered");
    let outcomes: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().err()?.raw_os_error()).collect();
    assert_eq!(outcomes, [None, Some(EINVAL), None]);
}

#[test]
fn map_entries_have_20_bytes() {
    let ranges = [
        MemoryRange { address: 0, length: 0x9_fc00, kind: MemoryKind::Ram },
        MemoryRange { address: 0x1_0000_0000, length: 1 << 30, kind: MemoryKind::Other(12) },
    ];
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        let map = if command == 13 { record + 8 } else { record };
        let [count, buffer] = words(map);
        let mut expected = Vec::new();
        for range in ranges {
            expected.extend(range.address.to_le_bytes());
            expected.extend(range.length.to_le_bytes());
            expected.extend(range.kind.number().to_le_bytes());
        }
        match command {
            13 => {
                assert_eq!((bytes(record), count), (DOMAIN.to_ne_bytes(), 2));
                assert_eq!(bytes::<40>(buffer), *expected);
            }
            10 => {
                assert_eq!(count, 1025, "one more than there can be");
                at::<[u8; 40]>(buffer).copy_from_slice(&expected);
                *at(record) = 2_u32;
            }
            other => panic!("command {other}"),
        }
        Ok(0)
    });
    xen.domain(domain()).memory().set_map(&ranges).expect("set");
    assert_eq!(xen.host().memory().machine_map().expect("told"), ranges);
}

#[test]
fn devices_that_reserve_much_are_asked_again() {
    let mut rooms = vec![64, 256].into_iter();
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        assert_eq!(command, 27);
        let [flags, room]: [u32; 2] = *at(record);
        assert_eq!((flags, Some(room)), (0, rooms.next()));
        assert_eq!(bytes(record + 16), [2, 0, 3, 0x1f << 3 | 6], "0002:03:1f.6");
        if room == 64 {
            return Err(ENOBUFS);
        }
        *at(words::<1>(record + 8)[0]) = [0xa0_u64, 0x20, 0x8_0000, 1];
        *at(record + 4) = 2_u32;
        Ok(0)
    });
    let device = PciAddress::new(2, 3, 0x1f, 6).expect("an address");
    let ranges = xen.host().memory().reserved_by_devices(Some(device)).expect("told");
    let ranges: Vec<_> = ranges.iter().map(|range| (range.first.get(), range.count)).collect();
    assert_eq!(ranges, [(0xa0, 0x20), (0x8_0000, 1)]);
}

#[test]
fn nodes_are_asked_for_until_there_is_room() {
    let mut rooms = vec![64_u32, 512].into_iter();
    let (_fake, xen) = xen(move |_, [command, record, ..]| {
        assert_eq!(command, 26);
        let room = rooms.next().expect("two calls");
        assert_eq!(*at::<[u32; 4]>(record), [DOMAIN.into(), room, room * 16, room]);
        if room == 64 {
            return Err(ENOBUFS);
        }
        let [distances, vcpus, ranges] = words(record + 16);
        *at(distances) = [10_u32, 21, 20, 10];
        *at(vcpus) = [1_u32, 0, 1];
        *at(ranges) = [0_u64, 0x1000, 1 << 32];
        *at(record + 4) = [2_u32, 3, 1];
        Ok(0)
    });
    let numa = xen.domain(domain()).memory().virtual_numa().expect("told").expect("there is one");
    assert_eq!(numa.distances, [[10, 21], [20, 10]]);
    assert_eq!(numa.vcpu_nodes, [1, 0, 1]);
    let ranges: Vec<_> = numa.ranges.iter().map(|range| (range.start, range.end, range.node)).collect();
    assert_eq!(ranges, [(0, 0x1000, 1)]);
}

#[test]
fn dirty_pages_are_bits() {
    let (_fake, xen) = xen(|number, [record, ..]| {
        assert_eq!(number, 36);
        let [command, version, domain, _]: [u32; 4] = *at(record);
        assert_eq!((command, version, domain), (10, 0x15, DOMAIN.into()));
        let [op, mode, mb, _]: [u32; 4] = *at(record + 16);
        let [bitmap, pages] = words(record + 32);
        assert_eq!((op, mode, mb, pages), (11, 1, 0, 100));
        *at(bitmap) = [1_u64 << 63 | 1, 1 << 2 | 1 << 40];
        *at(record + 40) = 90_u64; // the domain has no more
        *at(record + 48) = [17_u32, 3];
        Ok(0)
    });
    let memory = xen.domain(domain()).memory();
    let mut dirty = memory.dirty_buffer(100).expect("memory");
    memory.take_dirty_pages(&mut dirty, true).expect("told");
    assert_eq!(dirty.iter().map(Gfn::get).collect::<Vec<_>>(), [0, 63, 66]);
    assert!(
        dirty.contains(Gfn::new(66)) && !dirty.contains(Gfn::new(104)) && !dirty.contains(Gfn::new(1 << 40))
    );
    assert_eq!((dirty.pages(), dirty.faults(), dirty.total()), (90, 17, 3));
}

#[test]
fn the_first_updates_of_a_list_may_be_made() {
    let (_fake, xen) = xen(|number, [list, count, done, domains, _]| {
        assert_eq!((number, count, domains), (1, 3, 6 << 16 | 5), "the domain owns tables and frames");
        assert_eq!(words(list), [0x5000, 7, 0x5008 | 2, 8, 0x5010 | 3, 9]);
        *at(done) = 2_u32;
        Err(EINVAL)
    });
    let entry = |address, value| TableUpdate::Entry { address, value };
    let error = xen.domain(domain()).page_tables().update(&[
        entry(0x5000, 7),
        TableUpdate::EntryKeepingUse { address: 0x5008, value: 8 },
        TableUpdate::EntryUntranslated { address: 0x5010, value: 9 },
    ]);
    let error = error.expect_err("refused");
    assert!(matches!(error, Error::Incomplete { done: 2, asked: 3, .. }), "{error:?}");
    assert_eq!(error.errno(), Some(EINVAL));
}

#[test]
fn the_hosts_table_is_changed_one_by_one() {
    let (_fake, xen) = xen(|number, [list, count, done, domains, _]| {
        assert_eq!((number, count, done, domains), (1, 1, 0, DOMAIN.into()));
        assert_eq!(words(list), [0x1234_5001, 0x99]);
        Ok(0)
    });
    xen.domain(domain()).page_tables().set_gfn(Mfn::new(0x1_2345), Gfn::new(0x99)).expect("changed");
}
