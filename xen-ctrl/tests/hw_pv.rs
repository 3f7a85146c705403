//! Page tables and frame lists of a bare PV domain on real Xen. They are written into its memory; what Xen makes of them shows in
//! the kinds of its pages, in the tables, and in the host's table of frames.

mod common;

use common::xenctrl;
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind};
use xen_ctrl::memory::{Allocation, PageType};
use xen_ctrl::pv::{M2p, MemoryInfo, P2m, TableLevel, TableUpdate};
use xen_ctrl::{DomId, Error, ForeignMemory, Gfn, Mfn, Xenctrl};

/// As the test bed wants it.
const NO_PV: &str = "skipped: there are no PV domains on Arm";
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
/// Bits of an entry that the processor sets: accessed, dirty; and Xen: global.
const SET_BY_OTHERS: u64 = 0x160;
/// Of an entry: present, writable, for the user.
const PRESENT: u64 = 7;
const READ_ONLY: u64 = 5;
const PAGE_SIZE: u64 = 4096;
/// Where `shared_info` has what x86 adds.
const ARCH: usize = 3088;

/// A PV domain with as many frames of its own as `frames`, from 0 on; none on Arm.
struct Bare<'a> {
    domain: CreatedDomain<'a>,
    frames: Vec<Gfn>,
    foreign: ForeignMemory,
}

impl<'a> Bare<'a> {
    fn new(xen: &'a Xenctrl, count: u64) -> Option<Self> {
        if !cfg!(target_arch = "x86_64") {
            return None;
        }
        let domain = xen.create_domain(&CreateDomain::new(DomainKind::Pv)).expect("a domain");
        domain.set_max_memory(16 << 10).expect("limited");
        domain.set_max_vcpus(1).expect("a vCPU");
        let places: Vec<_> = (0..count).map(Gfn::new).collect();
        let frames = domain.memory().populate_exact(&places, Allocation::default()).expect("memory");
        let foreign = ForeignMemory::open().expect("foreign memory");
        let bare = Self { domain, frames, foreign };
        for &frame in &bare.frames {
            bare.domain.memory().clear_pages(&bare.foreign, frame, 1).expect("cleared");
        }
        Some(bare)
    }

    fn mfn(&self, index: usize) -> Mfn {
        Mfn::new(self.frames[index].get())
    }

    fn address(&self, index: usize) -> u64 {
        self.frames[index].get() * PAGE_SIZE
    }

    fn write(&self, frame: Gfn, offset: usize, words: &[u64]) {
        let page = self.foreign.map(self.domain.id(), &[frame]).expect("mapped");
        for (index, word) in words.iter().enumerate() {
            page.write(offset + index * 8, word).expect("inside");
        }
    }

    fn read(&self, index: usize, offset: usize) -> u64 {
        let page = self.foreign.map_read_only(self.domain.id(), &self.frames[index..=index]).expect("mapped");
        page.read(offset).expect("inside")
    }

    fn types(&self) -> Vec<PageType> {
        self.domain.memory().page_types(&self.frames).expect("told")
    }

    /// Frames 0 to 3 become tables of levels 4 to 1, which map frame 4 at address 0.
    fn make_tables(&self) {
        for index in 0..3 {
            self.write(self.frames[index], 0, &[self.address(index + 1) | PRESENT]);
        }
        self.write(self.frames[3], 0, &[self.address(4) | PRESENT]);
    }
}

const fn table(level: u8, pinned: bool) -> PageType {
    PageType::PageTable { level, pinned }
}

#[test]
#[ignore = "needs Xen dom0"]
fn tables_are_pinned_and_changed_and_unpinned() {
    let xen = xenctrl();
    let Some(bare) = Bare::new(&xen, 8) else { return println!("{NO_PV}") };
    let tables = bare.domain.page_tables();
    assert!(bare.types().iter().all(|&kind| kind == PageType::Normal));
    bare.make_tables();
    tables.pin(TableLevel::Four, bare.mfn(0)).expect("pinned");
    let expected = [table(4, true), table(3, false), table(2, false), table(1, false), PageType::Normal];
    assert_eq!(bare.types()[..5], expected);
    assert_eq!(tables.pin(TableLevel::Two, bare.mfn(0)).expect_err("it is of level 4").errno(), Some(EINVAL));
    bare.foreign.map(bare.domain.id(), &bare.frames[3..4]).expect_err("nobody writes to it now");

    let entry = |slot: u64, value| TableUpdate::Entry { address: bare.address(3) + slot * 8, value };
    let data = bare.address(5) | PRESENT;
    tables.update(&[entry(1, data), entry(2, bare.address(6) | READ_ONLY)]).expect("changed");
    assert_eq!(bare.read(3, 8) & !SET_BY_OTHERS, data);
    assert_eq!(bare.read(3, 16) & !SET_BY_OTHERS, bare.address(6) | READ_ONLY);

    // the second would map a page table for writing
    let error = tables.update(&[entry(3, data), entry(4, bare.address(0) | PRESENT), entry(5, data)]);
    let error = error.expect_err("that would be the end of all checks");
    assert!(matches!(error, Error::Incomplete { done: 1, asked: 3, .. }), "{error:?}");
    assert!(matches!(error.errno(), Some(EBUSY | EINVAL)), "{error:?}");
    assert_eq!((bare.read(3, 24) & !SET_BY_OTHERS, bare.read(3, 32), bare.read(3, 40)), (data, 0, 0));
    let kept = TableUpdate::EntryKeepingUse { address: bare.address(3) + 24, value: data };
    let plain = TableUpdate::EntryUntranslated { address: bare.address(3) + 40, value: data };
    tables.update(&[kept, plain]).expect("changed");
    assert_eq!(bare.read(3, 40) & !SET_BY_OTHERS, data);

    tables.unpin(bare.mfn(0)).expect("unpinned");
    // old Xens remember what they were until they become something else
    let is_free = |kind: &_| matches!(kind, PageType::Normal | PageType::PageTable { pinned: false, .. });
    assert!(bare.types().iter().all(is_free), "{:?}", bare.types());
    assert_eq!(tables.unpin(bare.mfn(0)).expect_err("it is not pinned").errno(), Some(EINVAL));
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_hosts_table_follows() {
    let xen = xenctrl();
    let Some(bare) = Bare::new(&xen, 3) else { return println!("{NO_PV}") };
    let m2p = M2p::map(xen.host().memory(), &bare.foreign).expect("mapped");
    assert_eq!(m2p.frames().end, xen.host().memory().end().expect("known"));
    for index in 0..3 {
        assert_eq!(m2p.gfn(bare.mfn(index)), Some(Gfn::new(index as u64)), "as it was populated");
    }
    assert_eq!(m2p.gfn(m2p.frames().end), None);
    bare.domain.page_tables().set_gfn(bare.mfn(1), Gfn::new(0x1234)).expect("changed");
    assert_eq!(m2p.gfn(bare.mfn(1)), Some(Gfn::new(0x1234)), "the mapping shows it at once");

    let kernels = bare.domain.page_tables().set_gfn(Mfn::new(0), Gfn::new(0)).expect_err("not the domain's");
    assert_eq!(kernels.errno(), Some(EINVAL), "{kernels}");
    assert_eq!(m2p.gfn(bare.mfn(0)), Some(Gfn::new(0)));

    let gone = bare.mfn(2);
    let low = bare.domain.memory().move_below_4g(bare.frames[2]).expect("another frame");
    assert!(low.get() < 1 << 20);
    let types = bare.domain.memory().page_types(&[low]).expect("told");
    assert_eq!(types, [PageType::Normal], "it is the domain's");
    assert!(m2p.gfn(gone).is_none() || gone.get() == low.get(), "nobody's now");
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_is_exchanged() {
    let xen = xenctrl();
    let Some(bare) = Bare::new(&xen, 4) else { return println!("{NO_PV}") };
    let memory = bare.domain.memory();
    let pages = memory.pages().expect("counted");
    let one = Allocation::default();
    let error = memory.exchange(&bare.frames[..2], 0, &mut [Gfn::new(1)], one).expect_err("sizes differ");
    assert_eq!(error.errno(), Some(EINVAL));
    let m2p = M2p::map(xen.host().memory(), &bare.foreign).expect("mapped");
    let number = |frame: Gfn| m2p.gfn(Mfn::new(frame.get()));

    let nowhere = Gfn::new(1 << 35);
    let [first, second, ..] = bare.frames[..] else { panic!("four frames") };
    let mut places = [Gfn::new(0), Gfn::new(1), Gfn::new(2)];
    let error = memory.exchange(&[first, second, nowhere], 0, &mut places, one).expect_err("no such frame");
    assert!(matches!(error, Error::Incomplete { done: 2, asked: 3, .. }), "{error:?}");
    assert_eq!(error.errno(), Some(EINVAL));
    let [first, second, untouched] = places;
    assert_eq!((number(first), number(second)), (Some(Gfn::new(0)), Some(Gfn::new(1))));
    assert_eq!(untouched, Gfn::new(2));
    assert_eq!(memory.pages().expect("counted"), pages);

    let mut place = [Gfn::new(0)];
    let given = [first, second, bare.frames[2], bare.frames[3]];
    memory.exchange(&given, 0, &mut place, Allocation::of_order(2)).expect("exchanged");
    assert_eq!(place[0].get() % 4, 0, "four in a row: {place:?}");
    assert_eq!(memory.pages().expect("counted"), pages);
    let numbers = (0..4).map(|index| number(Gfn::new(place[0].get() + index)));
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2, 3].map(|index| Some(Gfn::new(index))));
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_domains_own_table_is_found_in_both_forms() {
    let xen = xenctrl();
    let Some(bare) = Bare::new(&xen, 10) else { return println!("{NO_PV}") };
    let domain = *bare.domain;
    let list = |bare: &Bare<'_>| P2m::map(*bare.domain, &bare.foreign);
    assert!(matches!(list(&bare), Err(Error::NoFrameList { .. })), "it has made none yet");

    // the table in frames 6 and 7: 600 entries, of which 10 are memory
    let machine: Vec<u64> = (0..10).map(|index| bare.mfn(index).get()).collect();
    bare.write(bare.frames[6], 0, &machine);
    bare.write(bare.frames[6], 10 * 8, &[u64::MAX; 502]);
    bare.write(bare.frames[7], 0, &[u64::MAX; 88]);
    let table = [bare.frames[6].get(), bare.frames[7].get()];
    let shared = Gfn::new(domain.info().expect("there").shared_info_frame);
    let check = |p2m: &P2m| {
        assert_eq!(p2m.len(), 600);
        assert_eq!(
            (0..10).map(|index| p2m.mfn(Gfn::new(index)).expect("memory").get()).collect::<Vec<_>>(),
            machine
        );
        assert_eq!([10, 511, 599, 600].map(|index| p2m.mfn(Gfn::new(index))), [None; 4]);
    };

    // as a tree: frame 8 is the root, frame 9 below it
    bare.write(bare.frames[8], 0, &[bare.frames[9].get()]);
    bare.write(bare.frames[9], 0, &table);
    bare.write(shared, ARCH, &[600, bare.frames[8].get()]);
    check(&list(&bare).expect("the tree"));
    assert_eq!(domain.memory().max_gfn().expect("told"), Gfn::new(599));

    // as a range of addresses: the tables map it at 2 MiB - 4 KiB, across a border of tables of level 1
    let vaddr = (2 << 20) - PAGE_SIZE;
    bare.make_tables();
    bare.write(bare.frames[2], 8, &[bare.address(5) | PRESENT]);
    bare.write(bare.frames[3], 511 * 8, &[bare.address(6) | PRESENT]);
    bare.write(bare.frames[5], 0, &[bare.address(7) | PRESENT]);
    bare.write(shared, ARCH + 8, &[u64::MAX, 0, bare.address(0), vaddr]);
    check(&list(&bare).expect("the range"));

    let writable = P2m::map_writable(domain, &bare.foreign).expect("the range");
    writable.set(Gfn::new(20), Mfn::new(0x77)).expect("an entry");
    writable.set(Gfn::new(600), Mfn::new(0x77)).expect_err("no entry");
    assert_eq!(list(&bare).expect("the range").mfn(Gfn::new(20)), Some(Mfn::new(0x77)));
    drop(writable);

    bare.domain.page_tables().pin(TableLevel::Four, bare.mfn(0)).expect("pinned");
    let info = MemoryInfo::read(domain, &bare.foreign).expect("all of it");
    check(&info.p2m);
    assert_eq!(info.page_type(Gfn::new(0)), PageType::PageTable { level: 4, pinned: true });
    assert_eq!(info.page_type(Gfn::new(4)), PageType::Normal);
    assert_eq!(info.page_type(Gfn::new(10)), PageType::Missing);

    bare.write(shared, ARCH + 32, &[1 << 39]);
    assert!(matches!(list(&bare), Err(Error::NoFrameList { .. })), "nothing is mapped there");
    bare.write(shared, ARCH, &[1 << 60]);
    assert!(matches!(list(&bare), Err(Error::NoFrameList { .. })), "too much to believe");
}

#[test]
#[ignore = "needs Xen dom0"]
fn what_a_pv_domain_writes_is_logged() {
    let xen = xenctrl();
    let Some(bare) = Bare::new(&xen, 8) else { return println!("{NO_PV}") };
    let memory = bare.domain.memory();
    if let Err(error) = memory.start_log_dirty() {
        assert!(matches!(error, Error::Unsupported { .. } | Error::Refused { .. }), "{error:?}");
        println!("skipped: no log for PV domains: {error}");
        return;
    }
    memory.set_paging_allocation(1).expect("memory for the log");
    let mut dirty = memory.dirty_buffer(64).expect("memory");
    memory.take_dirty_pages(&mut dirty, false).expect("taken");
    // what Xen changes for the domain counts as written by it
    bare.domain.page_tables().set_gfn(bare.mfn(5), Gfn::new(5)).expect("changed");
    memory.dirty_pages(&mut dirty).expect("read");
    assert!(dirty.contains(Gfn::new(5)) && !dirty.contains(Gfn::new(4)), "{dirty:?}");
    assert_eq!(dirty.iter().collect::<Vec<_>>(), [Gfn::new(5)]);
    assert_eq!(dirty.total(), 1);
    memory.take_dirty_pages(&mut dirty, true).expect("taken");
    assert_eq!(dirty.iter().count(), 1, "they were not forgotten before");
    memory.dirty_pages(&mut dirty).expect("read");
    assert_eq!(dirty.iter().count(), 0, "but now");
    memory.stop_log_dirty().expect("ended");
}

#[test]
#[ignore = "needs Xen dom0"]
fn own_tables_and_those_of_others_are_out_of_reach() {
    let xen = xenctrl();
    let update = TableUpdate::Entry { address: 0, value: 0 };
    for own in [DomId::ZERO, DomId::SELF].map(|id| xen.domain(id).page_tables()) {
        assert_eq!(own.pin(TableLevel::One, Mfn::new(0)).expect_err("own").errno(), Some(EINVAL));
        assert_eq!(own.update(&[update]).expect_err("own").errno(), Some(EINVAL));
        assert_eq!(own.set_gfn(Mfn::new(0), Gfn::new(0)).expect_err("own").errno(), Some(EINVAL));
    }
    let nobody = xen.domain(DomId::new(4321).expect("ordinary")).page_tables();
    let error = nobody.pin(TableLevel::One, Mfn::new(0)).expect_err("nobody");
    if cfg!(target_arch = "x86_64") {
        assert!(matches!(error, Error::NoSuchDomain { .. }), "{error:?}");
    } else {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        let error = nobody.update(&[update]).expect_err("there are none");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
}
