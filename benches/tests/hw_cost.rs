//! The exact number of system calls and allocations of every operation on a hot path, counted on real Xen.
//!
//! The numbers are the optimum: what the kernel's interface cannot do with fewer.

#[cfg(target_arch = "x86_64")]
use benches::BareDomain;
use benches::{Guest, SystemCalls};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::Duration;
use xen_call::{Multicall, Xencall, version};
use xen_ctrl::Xenctrl;
use xen_ctrl::domain::DomainList;
use xen_evtchn::{DomId, EventChannel, Evtchn, Port};
use xen_foreignmem::{ForeignMemory, Gfn, GrantTableFrames, Resource};
use xen_gnttab::{CopySegment, Gntalloc, Gnttab, Grant, SharedPages, SharedParts};
use xen_sys::xen_public::version::{FeatureInfo, FillVarBuf};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Opening and closing a file. With debug assertions, std asks the kernel whether a descriptor is open before closing it.
const OPEN_AND_CLOSE: u64 = if cfg!(debug_assertions) { 3 } else { 2 };

/// Keeping a mapped grant from children is a call of its own where the kernel does not see to it: outside of PV domains.
const KEEP_FROM_CHILDREN: u64 = if cfg!(target_arch = "x86_64") { 0 } else { 1 };

/// What an operation cost.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    system_calls: u64,
    allocations: usize,
}

const fn cost(system_calls: u64, allocations: usize) -> Cost {
    Cost { system_calls, allocations }
}

struct Meter(SystemCalls);

impl Meter {
    fn new() -> Self {
        Self(SystemCalls::new().expect("a kernel that counts system calls"))
    }

    /// Runs `operation` twice, and gives answer and cost of the second: the first may open and fill what lasts.
    fn measure<T>(&mut self, mut operation: impl FnMut() -> T) -> (T, Cost) {
        drop(operation());
        let region = Region::new(ALLOCATOR);
        let (answer, system_calls) = self.0.count(operation).expect("counted");
        let allocations = region.change().allocations;
        (answer, Cost { system_calls, allocations })
    }
}

fn pairs(evtchn: &Evtchn, count: usize) -> Vec<(EventChannel, EventChannel)> {
    let pairs = (0..count).map(|_| {
        let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
        let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("bound");
        (near, far)
    });
    pairs.collect()
}

fn drain(evtchn: &Evtchn) {
    let mut ports = [Port::default(); 1024];
    while evtchn.wait(Some(Duration::from_millis(50))).expect("wait") {
        let count = evtchn.pending(&mut ports).expect("ports");
        evtchn.unmask(&ports[..count]).expect("unmasked");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_meter_itself_is_right() {
    let mut meter = Meter::new();
    assert_eq!(meter.measure(|| ()).1, cost(0, 0));
    assert_eq!(meter.measure(|| drop(std::fs::File::open("/dev/null"))).1, cost(OPEN_AND_CLOSE, 0));
    assert_eq!(meter.measure(|| Box::new(7)).1, cost(0, 1));
}

#[test]
#[ignore = "needs Xen dom0"]
fn events() {
    let mut meter = Meter::new();
    let evtchn = Evtchn::open().expect("the device");
    let pairs = pairs(&evtchn, 256);
    drain(&evtchn);
    assert_eq!(meter.measure(|| pairs[0].0.notify().expect("sent")).1, cost(1, 0), "notify");
    drain(&evtchn);

    for count in [1, 16, 256] {
        let mut ports = [Port::default(); 1024];
        let send = || pairs[..count].iter().for_each(|(near, _)| near.notify().expect("sent"));
        let mut take = || {
            send();
            assert!(evtchn.wait(None).expect("wait"));
            let taken = evtchn.pending(&mut ports).expect("ports");
            assert_eq!(taken, count);
            evtchn.unmask(&ports[..taken]).expect("unmasked");
        };
        let sends = u64::try_from(count).expect("small");
        assert_eq!(meter.measure(&mut take).1, cost(sends + 3, 0), "poll, read and write for {count} ports");
    }
    assert_eq!(meter.measure(|| evtchn.pending_one().expect("none")).1, cost(1, 0));
    evtchn.set_nonblocking(false).expect("set");
    let send_and_take = || {
        pairs[0].0.notify().expect("sent");
        evtchn.unmask(&[evtchn.pending_one().expect("taken").expect("a port")]).expect("unmasked");
    };
    assert_eq!(meter.measure(send_and_take).1, cost(3, 0), "taking waits by itself");
    let bind = || evtchn.bind_unbound(DomId::SELF).expect("bound").unbind().expect("unbound");
    assert_eq!(meter.measure(bind).1.system_calls, 2, "bind and unbind");
    assert_eq!(meter.measure(|| drop(Evtchn::open().expect("opened"))).1, cost(OPEN_AND_CLOSE, 1));
}

fn share(pages: usize) -> SharedPages {
    Gntalloc::open().expect("the device").share(DomId::ZERO, pages).expect("shared")
}

#[test]
#[ignore = "needs Xen dom0"]
fn grants() {
    let mut meter = Meter::new();
    let gnttab = Gnttab::open().expect("the device");
    let pages = share(512);
    for count in [1, 32, 512] {
        let references = &pages.grants()[..count];
        let map = || gnttab.map(DomId::ZERO, references).expect("mapped");
        let mapped = 3 + KEEP_FROM_CHILDREN;
        assert_eq!(meter.measure(map).1, cost(mapped, 0), "map {count}: ioctl, mmap, ioctl");
        let map = || drop(gnttab.map(DomId::ZERO, references).expect("mapped"));
        assert_eq!(meter.measure(map).1, cost(mapped + 1, 0), "map and unmap {count}: and munmap");
    }
    let mapping = gnttab.map(DomId::ZERO, pages.grants()).expect("mapped");
    let mut buffer = vec![0; mapping.len()];
    assert_eq!(meter.measure(|| mapping.copy_to_slice(0, &mut buffer).expect("inside")).1, cost(0, 0));
    assert_eq!(meter.measure(|| mapping.write(8, &7_u64).expect("inside")).1, cost(0, 0));

    for count in [1, 16, 256] {
        let mut segments: Vec<_> = buffer
            .chunks_mut(4096)
            .zip(pages.grants())
            .take(count)
            .map(|(page, &reference)| CopySegment::from_grant(Grant::new(DomId::ZERO, reference), 0, page))
            .collect::<Result<_, _>>()
            .expect("inside");
        assert_eq!(
            meter.measure(|| gnttab.copy(&mut segments).expect("copied")).1,
            cost(1, 0),
            "copy {count}"
        );
    }
    let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open("/tmp/cost");
    let file = file.expect("a file");
    let each: Vec<_> = pages.grants()[..64].iter().map(|page| gnttab.map(DomId::ZERO, &[*page])).collect();
    let each: Vec<_> = each.into_iter().collect::<Result<_, _>>().expect("mapped");
    let write = || {
        let mut parts = SharedParts::with_capacity(64 * 4);
        for page in &each {
            parts.push(page, 0, page.len()).expect("inside");
        }
        parts.write_to_file(&file, 0).expect("written")
    };
    assert_eq!(
        meter.measure(write).1,
        cost(1, 1),
        "a file from many mappings: pwritev, and the list of parts"
    );
    drop((mapping, each));

    let gntalloc = Gntalloc::open().expect("the device");
    let share = || drop(gntalloc.share(DomId::ZERO, 4).expect("shared"));
    assert_eq!(meter.measure(share).1, cost(4, 1), "ioctl, mmap, ioctl; munmap; and the list of references");
    assert_eq!(meter.measure(|| drop(Gnttab::open().expect("opened"))).1, cost(OPEN_AND_CLOSE, 1));
}

#[test]
#[ignore = "needs Xen dom0"]
fn hypercalls() {
    let mut meter = Meter::new();
    let xencall = Xencall::open().expect("the device");
    assert_eq!(meter.measure(|| version::version(&xencall).expect("a version")).1, cost(1, 0), "no record");
    assert_eq!(
        meter.measure(|| version::features(&xencall, 0).expect("features")).1,
        cost(1, 0),
        "a small record"
    );
    let fill = || xencall.call(&FillVarBuf::BUILD_ID).expect("an id").value;
    assert_eq!(meter.measure(fill).1, cost(1, 0), "2 KiB of record");
    let buffer = || drop(xencall.zeroed_buffer::<u64>(2048).expect("memory"));
    assert_eq!(meter.measure(buffer).1, cost(0, 0), "16 KiB of the pool");
    let hundred = || {
        let mut calls = Multicall::new(&xencall);
        for index in 0..100 {
            calls.push(FeatureInfo { submap_idx: index % 2, submap: 0 }).expect("pushed");
        }
        calls.issue().expect("issued")
    };
    assert_eq!(meter.measure(hundred).1.system_calls, 1, "a hundred calls");
    let open = || drop(Xencall::open().expect("opened"));
    assert_eq!(meter.measure(open).1, cost(OPEN_AND_CLOSE, 1), "one file, the other only when it is needed");
    let open = || drop(Xenctrl::open().expect("opened"));
    assert_eq!(meter.measure(open).1, cost(OPEN_AND_CLOSE + 1, 1), "and the hypervisor's version");
}

#[test]
#[ignore = "needs Xen dom0"]
fn control() {
    let mut meter = Meter::new();
    let xen = Xenctrl::open().expect("the device");
    let dom0 = xen.domain(DomId::ZERO);
    assert_eq!(meter.measure(|| dom0.info().expect("information")).1, cost(1, 0), "domain information");
    let mut list = DomainList::new(&xen).expect("memory");
    let read = || list.read().expect("the list").len();
    assert_eq!(meter.measure(read).1, cost(1, 1), "all domains in one call, and the list of them");
}

#[cfg(target_arch = "x86_64")]
#[test]
#[ignore = "needs Xen dom0"]
fn device_models() {
    use xen_ctrl::devicemodel::{Buffering, DeviceModel, MemoryType, PageRun};

    const PORT: u16 = 0x510;
    let mut meter = Meter::new();
    let guest = BareDomain::reading_port(PORT).expect("a domain");
    let model = DeviceModel::open(guest.id()).expect("the device");
    let run = PageRun { first: Gfn::new(9), count: 1 };
    let set = || model.set_memory_type(run, MemoryType::Ram).expect("set");
    assert_eq!(meter.measure(set).1, cost(1, 0), "an operation without a list");
    assert_eq!(
        meter.measure(|| model.modified_memory(&[run]).expect("told")).1,
        cost(1, 0),
        "one with a list"
    );

    let mut server = model.create_ioreq_server(Buffering::Off).expect("a server");
    server.map_ports(PORT..=PORT + 3).expect("mapped");
    server.enable().expect("enabled");
    guest.domain().unpause().expect("runs");
    // binding its port causes an event, and the first request another: together, or one after the other
    while server.wait(Some(Duration::from_secs(1))).expect("waited") {}
    let answer = || {
        let request = server.next_request().expect("the guest waits for it");
        request.respond(7).expect("answered");
        server.wait(None).expect("waited");
    };
    assert_eq!(meter.measure(answer).1, cost(4, 0), "notify, poll, read and write for a request");
}

#[test]
#[ignore = "needs Xen dom0"]
fn foreign_memory() {
    let mut meter = Meter::new();
    let guest = Guest::start("cost").expect("the test bed's guest");
    let domain = guest.domain().expect("told");
    let memory = ForeignMemory::open().expect("privcmd");
    let table = Resource::GrantTable(GrantTableFrames::Shared);
    let map = |index| memory.map_resource(domain, table, index, 1).expect("mapped");
    assert_eq!(meter.measure(|| map(0)).1, cost(2, 0), "mmap and ioctl for a resource");
    // The frames that the guest granted: entries of 8 bytes, the last four of which are the frame's number.
    let table = [map(0), map(1)];
    let entry =
        |reference: usize| table[reference / 512].read::<u32>(reference % 512 * 8 + 4).expect("inside");
    let frames: Vec<_> = (10..610).map(|reference| Gfn::new(entry(reference).into())).collect();
    for count in [1, 64, 512] {
        let map = || memory.map(domain, &frames[..count]).expect("mapped");
        assert_eq!(meter.measure(map).1, cost(2, 0), "map {count}: mmap and ioctl");
        let map = || drop(memory.map_read_only(domain, &frames[..count]).expect("mapped"));
        assert_eq!(meter.measure(map).1, cost(3, 0), "map and unmap {count}: munmap is all that is added");
    }
    let map = || memory.map(domain, &frames).expect("mapped");
    assert_eq!(meter.measure(map).1, cost(2, 1), "beyond 512 frames, a list of their statuses");
    let map = || memory.map_partial(domain, &frames[..64]).expect("mapped");
    assert_eq!(meter.measure(map).1, cost(2, 2), "the frames and their statuses stay with the mapping");

    let cache = memory.cache(domain, 64);
    let address = frames[5].get() * 4096 + 8;
    assert_eq!(meter.measure(|| cache.read::<u64>(address).expect("memory")).1, cost(0, 0), "a hit");
    assert_eq!(meter.measure(|| cache.store_u32(address, 1).expect("memory")).1, cost(0, 0), "a hit");
}
