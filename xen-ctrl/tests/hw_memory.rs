//! Memory of bare domains on real Xen: what is done shows in another hypercall, or in the memory itself.

mod common;

use common::xenctrl;
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind};
use xen_ctrl::host::HostCapabilities;
use xen_ctrl::memory::{Allocation, MemoryKind, MemoryRange, PageSource, PageType};
use xen_ctrl::{DomId, Error, ForeignMemory, Gfn, Xenctrl};

const IS_X86: bool = cfg!(target_arch = "x86_64");
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const PAGE_SIZE: usize = 4096;

/// A domain without vCPUs that run, which may have 16 MiB.
fn bare(xen: &Xenctrl, kind: DomainKind) -> CreatedDomain<'_> {
    let domain = xen.create_domain(&CreateDomain::new(kind)).expect("a domain");
    domain.set_max_memory(16 << 10).expect("limited");
    if !IS_X86 && xen.version().minor >= 17 {
        domain.set_paging_memory(1 << 20).expect("memory for its page tables");
    }
    domain
}

/// A kind that has a numbering of its own, with the paging that this host has.
fn translated(xen: &Xenctrl) -> DomainKind {
    let host = xen.host().info().expect("the host");
    if !IS_X86 || host.capabilities.contains(HostCapabilities::HAP) {
        DomainKind::Hvm
    } else {
        DomainKind::HvmShadow
    }
}

fn kinds(xen: &Xenctrl) -> Vec<DomainKind> {
    let mut kinds = vec![translated(xen)];
    kinds.extend(IS_X86.then_some(DomainKind::Pv));
    kinds
}

fn gfns(first: u64, count: u64) -> Vec<Gfn> {
    (first..first + count).map(Gfn::new).collect()
}

/// The first bytes of a frame.
fn word(foreign: &ForeignMemory, domain: DomId, frame: Gfn) -> Result<u64, xen_foreignmem::Error> {
    Ok(foreign.map_read_only(domain, &[frame])?.read(0).expect("inside"))
}

fn put_word(foreign: &ForeignMemory, domain: DomId, frame: Gfn, word: u64) {
    foreign.map(domain, &[frame]).expect("mapped").write(0, &word).expect("inside");
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_comes_and_goes() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    for kind in kinds(&xen) {
        let domain = bare(&xen, kind);
        let memory = domain.memory();
        let before = memory.pages().expect("counted");
        assert_eq!(memory.max_pages().expect("limited"), (16 << 20) / 4096);

        let places = gfns(0x100, 16);
        let frames = memory.populate(&places, Allocation::default()).expect("memory");
        assert_eq!(frames.len(), 16, "{kind:?}");
        assert_eq!(frames == places, kind != DomainKind::Pv, "a PV domain has machine frames: {frames:?}");
        assert_eq!(memory.pages().expect("counted"), before + 16);
        assert_eq!(domain.info().expect("there").pages, before + 16, "the other hypercall agrees");
        if kind != DomainKind::Pv {
            assert_eq!(memory.max_gfn().expect("known"), Gfn::new(0x10f));
        }

        let content = [0xa5; PAGE_SIZE];
        memory.write_page(&foreign, frames[3], &content).expect("written");
        assert_eq!(word(&foreign, domain.id(), frames[3]).expect("mapped"), 0xa5a5_a5a5_a5a5_a5a5);
        memory.clear_pages(&foreign, frames[3], 1).expect("cleared");
        assert_eq!(word(&foreign, domain.id(), frames[3]).expect("mapped"), 0);

        assert_eq!(memory.decrease(&frames[..4], 0).expect("taken"), 4);
        assert_eq!(memory.pages().expect("counted"), before + 12);
        word(&foreign, domain.id(), frames[0]).expect_err("it is gone");
        assert!(word(&foreign, domain.id(), frames[4]).is_ok(), "others are not");

        // the first two are there, the next is not any more
        let partly = [frames[4], frames[5], frames[0], frames[6]];
        let error = memory.decrease_exact(&partly, 0).expect_err("one is not there");
        assert!(matches!(error, Error::Incomplete { done: 2, asked: 4, .. }), "{error:?}");
        assert_eq!(memory.pages().expect("counted"), before + 10);

        // more than it may have
        let got = memory.populate(&gfns(0x1000, 4200), Allocation::default()).expect("some");
        assert!(!got.is_empty() && got.len() < 4200, "{}", got.len());
        assert_eq!(memory.pages().expect("counted"), before + 10 + got.len() as u64);
        memory.decrease_exact(&got, 0).expect("taken back");
        let error = memory.populate_exact(&gfns(0x1000, 4200), Allocation::default()).expect_err("too much");
        assert!(matches!(error, Error::Incomplete { asked: 4200, .. }), "{error:?}");
        assert_eq!(memory.pages().expect("counted"), before + 10, "none is left");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn large_extents_are_one_piece() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    let domain = bare(&xen, translated(&xen));
    let memory = domain.memory();
    memory.populate_exact(&gfns(0x200, 1), Allocation::of_order(9)).expect("2 MiB");
    assert_eq!(memory.max_gfn().expect("known"), Gfn::new(0x3ff));
    put_word(&foreign, domain.id(), Gfn::new(0x3ff), 7);
    assert_eq!(word(&foreign, domain.id(), Gfn::new(0x3ff)).expect("mapped"), 7);
    let low = Allocation { address_bits: Some(32), ..Allocation::default() };
    assert_eq!(memory.populate(&gfns(0x400, 2), low).expect("below 4 GiB").len(), 2);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_that_is_not_there_and_the_own_one_are_told() {
    let xen = xenctrl();
    let nobody = xen.domain(DomId::new(4321).expect("ordinary")).memory();
    for error in [
        nobody.pages().expect_err("not there"),
        nobody.populate(&gfns(1, 1), Allocation::default()).expect_err("not there"),
        nobody.decrease(&gfns(1, 1), 0).expect_err("not there"),
        nobody.remove_page(Gfn::new(1)).expect_err("not there"),
    ] {
        assert!(matches!(error, Error::NoSuchDomain { .. }), "{error:?}");
    }
    assert_eq!(nobody.claim(1).expect_err("not there").errno(), Some(EINVAL));
    for own in [DomId::ZERO, DomId::SELF].map(|id| xen.domain(id).memory()) {
        assert_eq!(own.decrease(&gfns(1, 1), 0).expect_err("the kernel's").errno(), Some(EINVAL));
        assert_eq!(own.remove_page(Gfn::new(1)).expect_err("the kernel's").errno(), Some(EINVAL));
        assert!(own.pages().expect("counted") > 1000);
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn claims_are_counted_and_end() {
    let xen = xenctrl();
    let domain = bare(&xen, translated(&xen));
    let memory = domain.memory();
    let outstanding = || domain.info().expect("there").outstanding_pages;
    assert_eq!(outstanding(), 0);
    let had = memory.pages().expect("counted");
    memory.claim(had + 100).expect("claimed");
    assert_eq!(outstanding(), 100);
    assert!(xen.host().info().expect("the host").outstanding_pages >= 100);
    memory.populate_exact(&gfns(0x100, 40), Allocation::default()).expect("memory");
    assert_eq!(outstanding(), 60, "what is given counts against the claim");
    memory.claim(0).expect("ended");
    assert_eq!(outstanding(), 0);
    domain.set_max_memory(1 << 40).expect("unlimited");
    assert_eq!(memory.claim(1 << 30).expect_err("4 TiB").errno(), Some(ENOMEM));
}

#[test]
#[ignore = "needs Xen dom0"]
fn pages_move_and_vanish() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    let domain = bare(&xen, translated(&xen));
    let (id, memory) = (domain.id(), domain.memory());
    memory.populate_exact(&gfns(0x100, 8), Allocation::default()).expect("memory");
    (0..8).for_each(|index| put_word(&foreign, id, Gfn::new(0x100 + index), 1000 + index));
    let read = |frame| word(&foreign, id, Gfn::new(frame));

    memory.add_page(PageSource::SharedInfo, Gfn::new(0x200)).expect("the shared page");
    read(0x200).expect("it is there");
    memory.add_page(PageSource::GrantTable(0), Gfn::new(0x201)).expect("the grant table");
    read(0x201).expect("it is there");

    if IS_X86 {
        memory.add_page(PageSource::Frame(Gfn::new(0x100)), Gfn::new(0x300)).expect("moved");
        assert_eq!(read(0x300).expect("it is there"), 1000);
        read(0x100).expect_err("it is not here any more");
        memory.move_range(Gfn::new(0x101), 3, Gfn::new(0x310)).expect("moved");
        assert_eq!([0x310, 0x311, 0x312].map(|frame| read(frame).expect("there")), [1001, 1002, 1003]);
    } else {
        let error = memory.add_page(PageSource::Frame(Gfn::new(0x100)), Gfn::new(0x300));
        assert!(matches!(error, Err(Error::Unsupported { .. } | Error::Refused { .. })), "{error:?}");
    }

    let pages = memory.pages().expect("counted");
    memory.remove_page(Gfn::new(0x107)).expect("away");
    read(0x107).expect_err("it is away");
    if IS_X86 {
        assert_eq!(memory.pages().expect("counted"), pages, "it still is the domain's");
    }
    memory.remove_page(Gfn::new(0x999)).expect_err("nothing is there");
}

#[test]
#[ignore = "needs Xen dom0"]
fn each_page_of_a_batch_has_its_result() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    let kind = translated(&xen);
    let (one, other) = (bare(&xen, kind), bare(&xen, kind));
    other.memory().populate_exact(&gfns(0x50, 1), Allocation::default()).expect("memory");
    put_word(&foreign, other.id(), Gfn::new(0x50), 77);
    let outcomes = one.memory().add_pages(&[
        (PageSource::GrantTable(0), Gfn::new(0x400)),
        (PageSource::GrantTable(1), Gfn::new(0x401)),
        (PageSource::GrantTable(1 << 20), Gfn::new(0x402)),
        (PageSource::ForeignFrame(other.id(), Gfn::new(0x50)), Gfn::new(0x403)),
        (PageSource::ForeignFrame(other.id(), Gfn::new(0x51)), Gfn::new(0x404)),
        (PageSource::SharedInfo, Gfn::new(0x405)),
    ]);
    let outcomes: Vec<_> = outcomes.expect("answered").into_iter().map(|outcome| outcome.is_ok()).collect();
    // only dom0 may have pages of others
    assert_eq!(outcomes, [true, true, false, false, false, true]);
    word(&foreign, one.id(), Gfn::new(0x401)).expect("the grant table");
    word(&foreign, one.id(), Gfn::new(0x402)).expect_err("nothing");
}

#[test]
#[ignore = "needs Xen dom0"]
fn maps_are_set_for_domains_and_told_of_the_host() {
    let xen = xenctrl();
    let domain = bare(&xen, translated(&xen));
    let (memory, host) = (domain.memory(), xen.host().memory());
    let range = |index: u64| MemoryRange { address: index << 20, length: 1 << 20, kind: MemoryKind::Ram };
    let many: Vec<_> = (0..1025).map(range).collect();
    let info = xen.host().info().expect("the host");
    assert_eq!(host.end().expect("known").get(), info.max_frame.get() + 1, "as sysctl says");
    assert_eq!(host.pages_saved_by_sharing().expect("counted"), 0, "nothing is shared");
    assert_eq!(host.shared_pages().expect("counted"), 0);
    if !IS_X86 {
        assert!(matches!(memory.set_map(&many[..3]), Err(Error::Unsupported { .. })));
        assert!(matches!(host.machine_map(), Err(Error::Unsupported { .. })));
        assert!(matches!(host.m2p_extents(), Err(Error::Unsupported { .. })));
        assert!(matches!(host.own_map(), Err(Error::Unsupported { .. })));
        return;
    }
    memory.set_map(&many[..1024]).expect("as many as Xen takes");
    assert_eq!(memory.set_map(&many).expect_err("one more").errno(), Some(EINVAL));
    memory.set_map_limit(16 << 20).expect("a limit");

    let map = host.machine_map().expect("the firmware's");
    assert!(map.is_sorted_by_key(|range| range.address), "{map:?}");
    let ram = map.iter().filter(|range| range.kind == MemoryKind::Ram);
    let pages: u64 = ram.clone().map(|range| range.length / 4096).sum();
    assert!(pages.abs_diff(info.pages) < 1024, "{pages} pages in the map, {} in all", info.pages);
    let end = ram.map(|range| (range.address + range.length) / 4096).max();
    assert_eq!(end, Some(host.end().expect("known").get()));
    assert!(!host.m2p_extents().expect("a table").is_empty());
    match host.m2p_extents_of_32_bit() {
        Ok(extents) => assert_ne!(extents, host.m2p_extents().expect("a table")),
        Err(error) => {
            assert!(matches!(error, Error::Unsupported { .. }), "no PV domains of 32 bits: {error:?}");
        }
    }
    assert!(matches!(host.own_map(), Err(Error::Unsupported { .. })), "a PV dom0 was given none");
    match host.reserved_by_devices(None) {
        Ok(ranges) => assert_eq!(ranges, [], "there is no IOMMU"),
        Err(error) => assert!(matches!(error, Error::Unsupported { .. }), "{error:?}"),
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_on_demand_comes_when_it_is_used() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    let domain = bare(&xen, translated(&xen));
    let memory = domain.memory();
    if !IS_X86 {
        assert!(matches!(memory.population_on_demand(), Err(Error::Unsupported { .. })));
        return;
    }
    let on_demand = Allocation { on_demand: true, ..Allocation::default() };
    memory.populate_exact(&gfns(0x100, 64), on_demand).expect("promised");
    let before = memory.set_population_target(16).expect("16 pages wait");
    assert_eq!((before.waiting, before.unpopulated), (16, 64), "{before:?}");
    assert_eq!(word(&foreign, domain.id(), Gfn::new(0x110)).expect("it comes"), 0);
    let after = memory.population_on_demand().expect("known");
    assert_eq!((after.waiting, after.unpopulated), (15, 63), "{after:?}");
    assert_eq!(after.pages, before.pages);
    let pv = bare(&xen, DomainKind::Pv);
    match pv.memory().population_on_demand() {
        Ok(counts) => {
            assert_eq!((counts.pages, counts.waiting, counts.unpopulated), (0, 0, 0), "before 4.17");
        }
        Err(error) => assert_eq!(error.errno(), Some(EINVAL), "not for PV"),
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn kinds_of_pages_are_told() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("foreign memory");
    let domain = bare(&xen, translated(&xen));
    let memory = domain.memory();
    memory.populate_exact(&gfns(0x100, 1100), Allocation::default()).expect("memory");
    if !IS_X86 {
        assert!(matches!(memory.page_types(&gfns(0x100, 1)), Err(Error::Unsupported { .. })));
        assert!(matches!(memory.mark_broken(Gfn::new(0x100)), Err(Error::Unsupported { .. })));
        memory.flush_caches(Gfn::new(0x100), 1100).expect("flushed");
        memory.flush_caches(Gfn::new(0x100), 1 << 17).expect("frames that are not there have no caches");
        return;
    }
    // more than one hypercall takes
    let types = memory.page_types(&gfns(0x100, 1101)).expect("told");
    assert!(types[..1100].iter().all(|&kind| kind == PageType::Normal), "{types:?}");
    assert_eq!(types[1100], PageType::Missing);

    memory.mark_broken(Gfn::new(0x105)).expect("marked");
    let kinds = memory.page_types(&gfns(0x105, 1)).expect("told");
    assert!(matches!(kinds[..], [PageType::Broken | PageType::Missing]), "4.17 calls it missing: {kinds:?}");
    word(&foreign, domain.id(), Gfn::new(0x105)).expect_err("nobody is to touch it");
    assert_eq!(memory.mark_broken(Gfn::new(0x9999)).expect_err("no page").errno(), Some(EINVAL));
    let pv = bare(&xen, DomainKind::Pv);
    let frames = pv.memory().populate_exact(&gfns(0, 1), Allocation::default()).expect("memory");
    assert_eq!(pv.memory().mark_broken(frames[0]).expect_err("a PV domain").errno(), Some(EINVAL));
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_books_are_in_order() {
    let xen = xenctrl();
    let domain = bare(&xen, translated(&xen));
    domain.memory().populate_exact(&gfns(0x100, 10), Allocation::default()).expect("memory");
    match domain.memory().audit() {
        Ok(audit) => assert_eq!((audit.wrong_in_m2p, audit.wrong_in_p2m), (0, 0), "{audit:?}"),
        Err(Error::Unsupported { .. }) => println!("skipped: this hypervisor was not built for debugging"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_is_told_the_nodes_that_it_was_given() {
    use xen_ctrl::VcpuId;
    use xen_ctrl::domain::VirtualNode;

    let xen = xenctrl();
    let domain = bare(&xen, translated(&xen));
    assert_eq!(domain.memory().virtual_numa().expect("asked"), None);
    let node = |vcpus: &[u32], memory| VirtualNode {
        physical: 0,
        memory: vec![memory],
        vcpus: vcpus.iter().copied().map(VcpuId::new).collect(),
    };
    let nodes = [node(&[0], 0..8 << 20), node(&[], 8 << 20..16 << 20)];
    domain.set_vnuma(&nodes, |from, to| if from == to { 10 } else { 20 }).expect("given");
    let numa = domain.memory().virtual_numa().expect("asked").expect("it has nodes");
    assert_eq!(numa.distances, [[10, 20], [20, 10]]);
    assert_eq!(numa.vcpu_nodes, [0]);
    let ranges: Vec<_> = numa.ranges.iter().map(|range| (range.start, range.end, range.node)).collect();
    assert_eq!(ranges, [(0, 8 << 20, 0), (8 << 20, 16 << 20, 1)]);
}

#[test]
#[ignore = "needs Xen dom0"]
fn what_an_hvm_domain_writes_can_be_logged() {
    let xen = xenctrl();
    let domain = bare(&xen, translated(&xen));
    let memory = domain.memory();
    if !IS_X86 {
        for error in [
            memory.start_log_dirty().expect_err("not on Arm"),
            memory.paging_allocation().expect_err("not on Arm"),
        ] {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        }
        return;
    }
    assert_eq!(memory.start_log_dirty().expect_err("it has no vCPU").errno(), Some(EINVAL));
    domain.set_max_vcpus(1).expect("a vCPU");
    memory.set_paging_allocation(4).expect("memory for page tables");
    assert_eq!(memory.paging_allocation().expect("told"), 4);
    memory.populate_exact(&gfns(0, 100), Allocation::default()).expect("memory");
    let mut dirty = memory.dirty_buffer(100).expect("memory");
    memory.dirty_pages(&mut dirty).expect("read");
    assert_eq!(dirty.iter().count(), 0, "it is not logged: {dirty:?}");
    memory.start_log_dirty().expect("begun");
    memory.take_dirty_pages(&mut dirty, false).expect("taken");
    memory.dirty_pages(&mut dirty).expect("read");
    assert_eq!((dirty.pages(), dirty.iter().count()), (100, 0), "it does not run: {dirty:?}");
    assert_eq!(memory.start_log_dirty().expect_err("it is on").errno(), Some(EINVAL));
    memory.stop_log_dirty().expect("ended");
}
