//! What emulation lacks: answers about the host that no machine here gives, and the bytes of what is asked.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use xen_call::Xencall;
use xen_ctrl::host::{LivepatchState, PageKind, PageResult, PageState, PciAddress, PciNode};
use xen_ctrl::{DomId, Error, Mfn, Xenctrl};
use xen_sys::linux::fake::{self, Call};
use xen_sys::xen_public::sysctl::{
    CpuHotplug, LivepatchEntry, LivepatchRecord, LivepatchStatus, LockProfile, LockProfilesRecord,
    NodeMemory, NumaInfoRecord, PageOfflineRecord, PciTopologyRecord, PerfCounterName, PerfCountersRecord,
    ReadConsoleRecord,
};
use xen_sys::zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const HYPERCALL: u32 = 0x0030_5000;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

fn memfd() -> OwnedFd {
    rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd")
}

/// A sysctl that was issued: the command and its record.
struct Asked<'a> {
    command: u32,
    record: &'a mut [u8],
}

impl Asked<'_> {
    fn record<T: FromBytes + IntoBytes + KnownLayout + Immutable>(&mut self) -> &mut T {
        T::mut_from_prefix(self.record).expect("aligned, and large enough").0
    }
}

/// Xen 4.17, whose sysctls `answer` gives, apart from the one that [`Xenctrl::new`] probes with.
fn xen(mut answer: impl FnMut(Asked<'_>) -> Result<usize, i32> + 'static) -> (fake::Installed, Xenctrl) {
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let words: Vec<u64> =
            operand.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes"))).collect();
        match words[0] {
            17 => Ok(0x4_0011), // xen_version
            36 => Ok(0),        // domctl
            35 => {
                // SAFETY: a sysctl's first argument is its structure, of 136 bytes, which nobody else looks at meanwhile.
                let whole = unsafe { std::slice::from_raw_parts_mut(at::<u8>(words[1]), 136) };
                let command = u32::from_ne_bytes(whole[..4].try_into().expect("4 bytes"));
                assert_eq!(whole[4..8], 0x15_u32.to_ne_bytes(), "the interface's version");
                if command == 4 {
                    return Ok(0);
                }
                answer(Asked { command, record: &mut whole[8..] }).map_err(io::Error::from_raw_os_error)
            }
            other => panic!("hypercall {other}"),
        }
    });
    // SAFETY: the fake kernel takes every request. Mappings of one memfd would all be the same memory, so there is none for them.
    let xencall = unsafe { Xencall::from_fds(memfd(), None) }.expect("a handle");
    let xen = Xenctrl::new(xencall).expect("Xen 4.17");
    xen.abi().expect("asked for before the test begins");
    (installed, xen)
}

/// What lies at an address that the hypervisor was given.
fn at<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"))
}

/// Writes values to an address that the hypervisor was given.
fn put<T: IntoBytes + Immutable>(address: u64, values: &[T]) {
    let bytes = values.as_bytes();
    // SAFETY: the tests write no more than was asked for, to memory that nobody else looks at meanwhile.
    let place = unsafe { std::slice::from_raw_parts_mut(at::<u8>(address), bytes.len()) };
    place.copy_from_slice(bytes);
}

fn named<const N: usize>(name: &str) -> [u8; N] {
    let mut field = [0; N];
    field[..name.len()].copy_from_slice(name.as_bytes());
    field
}

#[test]
fn counters_get_their_names_and_values() {
    let (_fake, xen) = xen(|mut asked| {
        assert_eq!(asked.command, 5);
        let record = asked.record::<PerfCountersRecord>();
        assert_eq!(record.cmd, 2, "a query");
        (record.nr_counters, record.nr_vals) = (2, 3);
        if record.desc != 0 {
            let first = PerfCounterName { name: named("hypercalls"), nr_vals: 1 };
            put(record.desc, &[first, PerfCounterName { name: named("exits"), nr_vals: 2 }]);
            put(record.val, &[7_u32, 8, 9]);
        }
        Ok(0)
    });
    let counters = xen.host().perf_counters().expect("answered");
    let pairs: Vec<_> =
        counters.iter().map(|counter| (counter.name.as_str(), counter.values.as_slice())).collect();
    assert_eq!(pairs, [("hypercalls", &[7][..]), ("exits", &[8, 9])]);
}

#[test]
fn locks_belong_to_the_hypervisor_or_to_a_domain() {
    let (_fake, xen) = xen(|mut asked| {
        assert_eq!(asked.command, 15);
        let record = asked.record::<LockProfilesRecord>();
        let of_domain = LockProfile {
            name: named("page_alloc_lock"),
            kind: 1,
            idx: 5,
            lock_cnt: 10,
            block_cnt: 1,
            lock_time: 2_000,
            block_time: 300,
        };
        if record.data == 0 {
            assert_eq!(record.max_elem, 0);
        } else {
            assert_eq!(record.max_elem, 2);
            put(record.data, &[LockProfile { kind: 0, idx: 0, ..of_domain }, of_domain]);
        }
        (record.nr_elem, record.time) = (2, 1_000_000_000);
        Ok(0)
    });
    let statistics = xen.host().lock_statistics().expect("answered");
    assert_eq!(statistics.measured, Duration::from_secs(1));
    let domains: Vec<_> = statistics.locks.iter().map(|lock| lock.domain).collect();
    assert_eq!(domains, [None, DomId::new(5)]);
    let lock = &statistics.locks[1];
    assert_eq!((lock.name.as_str(), lock.taken, lock.contended), ("page_alloc_lock", 10, 1));
    assert_eq!((lock.held, lock.waited), (Duration::from_micros(2), Duration::from_nanos(300)));
}

#[test]
fn patches_are_read_one_by_one_and_again_if_the_list_changes() {
    let asked_for = Rc::<RefCell<Vec<Option<u32>>>>::default();
    let noted = Rc::clone(&asked_for);
    let (_fake, xen) = xen(move |mut asked| {
        assert_eq!(asked.command, 27);
        let LivepatchRecord { cmd: 2, list, .. } = asked.record::<LivepatchRecord>() else {
            panic!("a list")
        };
        noted.borrow_mut().push((list.nr > 0).then_some(list.idx));
        list.version = if noted.borrow().len() < 3 { 1 } else { 2 };
        if list.nr == 0 {
            list.nr = 2;
            return Ok(0);
        }
        assert_eq!((list.nr, list.name_total_size, list.metadata_total_size), (1, 128, 2 << 20));
        let distance =
            std::mem::offset_of!(LivepatchEntry, metadata) - std::mem::offset_of!(LivepatchEntry, name);
        assert_eq!(list.metadata - list.name, u64::try_from(distance).expect("small"));
        let state = if list.idx == 0 { 2 } else { 1 };
        put(list.status, &[LivepatchStatus { state, rc: if list.idx == 0 { 0 } else { -11 } }]);
        put(list.name, if list.idx == 0 { b"first\0" } else { b"other\0" });
        put(list.len, &[6_u32]);
        put(list.metadata, b"author=me\0why=XSA\0");
        put(list.metadata_len, &[18_u32]);
        Ok(1)
    });
    let patches = xen.host().livepatches().expect("answered");
    assert_eq!(*asked_for.borrow(), [None, Some(0), Some(1), None, Some(0), Some(1)]);
    let [first, other] = &patches[..] else { panic!("{patches:?}") };
    assert_eq!((first.name.as_str(), first.state), ("first", LivepatchState::Applied));
    assert!(first.error.is_none());
    assert_eq!(first.metadata, ["author=me", "why=XSA"]);
    assert_eq!((other.name.as_str(), other.state), ("other", LivepatchState::Checked));
    assert_eq!(other.error.as_ref().expect("it goes on").kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_busy_cpu_is_tried_again_but_not_for_ever() {
    let requests = Rc::<RefCell<Vec<[u32; 2]>>>::default();
    let noted = Rc::clone(&requests);
    let (_fake, xen) = xen(move |mut asked| {
        assert_eq!(asked.command, 11);
        let record = asked.record::<CpuHotplug>();
        noted.borrow_mut().push([record.cpu, record.op]);
        let works = record.cpu == 3 && noted.borrow().len() == 4;
        if works { Ok(0) } else { Err(EBUSY) }
    });
    xen.host().offline_cpu(3).expect("at last");
    assert_eq!(*requests.borrow(), [[3, 1]; 4]);
    requests.borrow_mut().clear();
    assert_eq!(xen.host().online_cpu(5).expect_err("always busy").errno(), Some(EBUSY));
    assert_eq!(*requests.borrow(), [[5, 0]; 10]);
}

#[test]
fn devices_are_looked_up_in_as_many_pieces_as_xen_likes() {
    let (_fake, xen) = xen(|mut asked| {
        assert_eq!(asked.command, 22);
        let record = asked.record::<PciTopologyRecord>();
        // SAFETY: the list has at least one device.
        let device = unsafe { at::<[u8; 4]>(record.devs).read() };
        let node: u32 = match device {
            [1, 0, 2, 0x1a] => 1,           // 0001:02:03.2
            [0, 0, 0, 0xf8] => 0xffff_ffff, // 0000:00:1f.0
            [0, 0, 0xff, 0] => 0xffff_fffe,
            other => panic!("{other:?}"),
        };
        put(record.nodes, &[node]);
        record.num_devs = 1;
        Ok(0)
    });
    let devices: Vec<PciAddress> =
        ["0001:02:03.2", "00:1f.0", "ff:00.0"].iter().map(|text| text.parse().expect("an address")).collect();
    let nodes = xen.host().pci_nodes(&devices).expect("answered");
    assert_eq!(nodes, [PciNode::Node(1), PciNode::Any, PciNode::NoSuchDevice]);
}

#[test]
fn addresses_of_devices_are_parsed_as_they_are_displayed() {
    for text in ["0000:00:1f.7", "ffff:ff:00.0", "0001:02:03.4"] {
        assert_eq!(text.parse::<PciAddress>().expect("an address").to_string(), text);
    }
    for text in ["", "0000:00:20.0", "00:00.8", "10000:00:00.0", "00:100.0", "00:+1.0", "00.0", "0:0:0:0.0"] {
        let error = text.parse::<PciAddress>().expect_err("no address");
        assert!(error.to_string().starts_with(&format!("{text:?} is no address")), "{error}");
    }
}

#[test]
fn distances_are_those_of_the_nodes_in_the_answer() {
    let (_fake, xen) = xen(|mut asked| {
        assert_eq!(asked.command, 17);
        let record = asked.record::<NumaInfoRecord>();
        if record.meminfo == 0 {
            assert_eq!((record.num_nodes, record.distance), (0, 0));
            record.num_nodes = 3;
            return Ok(0);
        }
        assert_eq!(record.num_nodes, 3);
        record.num_nodes = 2; // one has gone
        put(record.meminfo, &[NodeMemory { memsize: 4096, memfree: 1024 }]);
        put(record.meminfo + 16, &[NodeMemory { memsize: 0xffff_ffff, memfree: 0xffff_ffff }]);
        put(record.distance, &[10_u32, 21, 0xffff_ffff, 10]);
        Ok(0)
    });
    let numa = xen.host().numa().expect("answered");
    let free: Vec<_> = numa.nodes.iter().map(|node| node.map(|node| node.free)).collect();
    assert_eq!(free, [Some(1024), None]);
    let distances =
        [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0)].map(|(from, to)| numa.distance(from, to));
    assert_eq!(distances, [Some(10), Some(21), None, Some(10), None, None]);
}

/// A console ring that has written `written` bytes in all and kept the last `kept`. Byte number n is n modulo 251.
fn console(written: u32, kept: u32) -> impl FnMut(Asked<'_>) -> Result<usize, i32> + 'static {
    let mut oldest = written - kept;
    move |mut asked| {
        assert_eq!(asked.command, 1);
        let record = asked.record::<ReadConsoleRecord>();
        let begin = if record.incremental == 1 { record.index.max(oldest) } else { oldest };
        let count = record.count.min(written - begin);
        let text: Vec<u8> =
            (begin..begin + count).map(|index| u8::try_from(index % 251).expect("small")).collect();
        put(record.buffer, &text);
        (record.count, record.index) = (count, begin + count);
        if record.clear == 1 {
            oldest = begin + count;
        }
        Ok(0)
    }
}

#[test]
fn a_large_console_ring_is_read_whole_and_taken_once() {
    let (_fake, xen) = xen(console(100_000, 40_000));
    let text = xen.host().read_console().expect("answered");
    assert_eq!(text.len(), 40_000);
    let right = text.iter().zip(60_000_u32..).all(|(&byte, index)| u32::from(byte) == index % 251);
    assert!(right, "every byte in its place");
    assert_eq!(xen.host().take_console().expect("answered"), text);
    assert_eq!(xen.host().read_console().expect("answered"), []);
}

#[test]
fn a_reader_of_the_console_learns_what_it_missed() {
    let (_fake, xen) = xen(console(1000, 100));
    let mut reader = xen.host().console_reader(Some(850)).expect("memory");
    let text = reader.next().expect("something new").expect("answered");
    assert_eq!((text.bytes.len(), text.lost, text.next), (100, 50, 1000));
    assert!(reader.next().is_none(), "nothing new");
    assert_eq!(reader.position(), Some(1000));
    let mut reader = xen.host().console_reader(None).expect("memory");
    assert_eq!(reader.read().expect("answered").lost, 0, "who begins has missed nothing");
}

#[test]
fn pages_go_in_batches_and_their_outcomes_are_told_apart() {
    let batches = Rc::<RefCell<Vec<[u32; 3]>>>::default();
    let noted = Rc::clone(&batches);
    let (_fake, xen) = xen(move |mut asked| {
        assert_eq!(asked.command, 14);
        let record = asked.record::<PageOfflineRecord>();
        noted.borrow_mut().push([record.cmd, record.start, record.end]);
        if record.end == 4 {
            // done and nobody's; pending and of domain 7; no memory; to be tried again; not dealt with
            put(record.status, &[0x0402_u32, 0x0007_1004, 0x0808, 0x0010, 0x0001]);
        } else if record.start == 0xffff_ffff {
            return Err(EINVAL);
        } else {
            put(record.status, &[1_u32 << 2, 1 << 1]); // in use; out of use
        }
        Ok(0)
    });
    let host = xen.host();
    let outcomes = host.offline_pages(Mfn::new(0)..Mfn::new(5)).expect("answered");
    let results: Vec<_> = outcomes.iter().map(|outcome| outcome.result).collect();
    let expected =
        [PageResult::Done, PageResult::Pending, PageResult::Failed, PageResult::Again, PageResult::Untouched];
    assert_eq!(results, expected);
    assert_eq!((outcomes[0].kind, outcomes[0].owner), (PageKind::ANONYMOUS, None));
    assert_eq!((outcomes[1].kind, outcomes[1].owner), (PageKind::OWNED, DomId::new(7)));
    assert_eq!(outcomes[2].kind, PageKind::NOT_MEMORY);

    let states = host.page_states(Mfn::new(10)..Mfn::new(10 + 1500)).expect("answered");
    let ends = [states[0], states[1], states[1025]];
    assert_eq!((states.len(), ends), (1500, [PageState::empty(), PageState::OFFLINE, PageState::OFFLINE]));
    let last = Mfn::new(0xffff_ffff);
    assert_eq!(host.online_pages(last..Mfn::new(1 << 32)).expect_err("refused").errno(), Some(EINVAL));
    assert_eq!(*batches.borrow(), [[1, 0, 4], [3, 10, 1033], [3, 1034, 1509], [2, 0xffff_ffff, 0xffff_ffff]]);
    let error = host.online_pages(Mfn::new(1 << 32)..Mfn::new((1 << 32) + 1)).expect_err("no such number");
    assert!(
        matches!(&error, Error::Refused { source, .. } if source.to_string().contains("2^32")),
        "{error:?}"
    );
    assert_eq!(batches.borrow().len(), 4, "not even asked");
}

#[test]
fn what_is_newer_than_the_hypervisor_is_not_asked() {
    let (_fake, xen) = xen(|_| panic!("nothing to ask"));
    let error = xen.host().microcode(0).expect_err("Xen 4.17 does not have it");
    assert_eq!(
        error.to_string(),
        "XENPF_get_ucode_revision is not supported by this Xen 4.17: it needs Xen 4.18"
    );
}
