//! Memory of a guest, on real Xen: its frames (of a PV guest, by machine number), its grant table, and what is refused.

#[expect(dead_code, reason = "other test programs use the rest")]
mod common;

use common::{Guest, field, stop_after_us};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use xen_foreignmem::{
    DomId, Error, ForeignMemory, Gfn, GrantTableFrames, PartialMapping, ReadOnly, Resource, ResourceMapping,
    VcpuId,
};
use xen_gnttab::{Gnttab, GrantRef};

const ESRCH: i32 = 3;
const EPERM: i32 = 1;
const GRANT_TABLE: Resource = Resource::GrantTable(GrantTableFrames::Shared);

fn memory() -> ForeignMemory {
    ForeignMemory::open().expect("privcmd")
}

fn nobody() -> DomId {
    DomId::new(4321).expect("a number")
}

/// An entry of a grant table of version 1: flags, the domain that it is for, and the frame.
fn entry(table: &[ResourceMapping<ReadOnly>], reference: u32) -> (u16, u16, Gfn) {
    let reference = usize::try_from(reference).expect("small");
    let (frame, offset) = (&table[reference / 512], reference % 512 * 8);
    let [flags, domain] = frame.read(offset).expect("inside");
    (flags, domain, Gfn::new(frame.read::<u32>(offset + 4).expect("inside").into()))
}

/// Frames of a guest's grant table, each mapped for itself: kernels with larger pages than Xen's cannot do more.
fn grant_table(domain: DomId) -> Vec<ResourceMapping<ReadOnly>> {
    let memory = memory();
    let frame = |index| memory.options(domain).read_only().map_resource(GRANT_TABLE, index, 1);
    (0..2).map(|index| frame(index).expect("a frame of its grant table")).collect()
}

/// A guest, its grant table, and the frames of the pool that it granted.
struct Pool {
    guest: Guest,
    table: Vec<ResourceMapping<ReadOnly>>,
    first: u32,
    frames: Vec<Gfn>,
    control: GrantRef,
}

impl Pool {
    /// The guest that the tests of this program share, with each page of its pool numbered: to start one takes most of a
    /// second.
    fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<(Mutex<Pool>, Child)> = OnceLock::new();
        let start = || (Mutex::new(Pool::start("shared")), stop_after_us("shared"));
        let (pool, _) = SHARED.get_or_init(start);
        let pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
        let pages = memory().map(pool.guest.domain, &pool.frames).expect("mapped");
        for index in 0..pool.frames.len() {
            pages.write(index * 4096, &(index as u64)).expect("inside");
        }
        pool
    }

    fn start(name: &str) -> Self {
        let (guest, line) = Guest::mini(name);
        let table = grant_table(guest.domain);
        let (first, count) = field(&line, "pool").split_once('+').expect("FIRST+COUNT");
        let (first, count): (u32, u32) = (first.parse().expect("a number"), count.parse().expect("a number"));
        let frames = (first..first + count).map(|reference| entry(&table, reference).2).collect();
        let control = field(&line, "control").parse().expect("a reference");
        Self { guest, table, first, frames, control }
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_console_ring_of_a_pv_guest_is_a_machine_frame() {
    let pool = Pool::shared();
    let guest = &pool.guest;
    let ring = memory().map_read_only(guest.domain, &[guest.console_ring()]).expect("mapped");
    // Behind 1024 bytes of input: what the guest printed.
    let output: [u8; 2048] = ring.read(1024).expect("inside");
    let text = String::from_utf8_lossy(&output);
    assert!(text.starts_with("minipv ready port="), "{}", &text[..64]);
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_grant_table_that_xen_keeps_is_the_one_that_the_guest_filled() {
    let pool = Pool::shared();
    let (flags, domain, control) = entry(&pool.table, pool.control.get());
    assert_eq!((flags & 7, domain), (1, 0), "access permitted, to dom0");
    assert_eq!(entry(&pool.table, 9).0 & 7, 5, "the read-only one");
    assert_eq!(entry(&pool.table, 1000).0, 0, "one that is not in use");
    let by_number = memory().map(pool.guest.domain, &[control]).expect("mapped");
    assert_eq!(&by_number.read::<[u8; 4]>(0).expect("inside"), b"MINI");
    let by_grant = Gnttab::open().expect("gntdev").map(pool.guest.domain, &[pool.control]).expect("mapped");
    assert_ne!(entry(&pool.table, pool.control.get()).0 & 0x18, 0, "Xen marks the grant as in use");
    by_number.write(2000, &0x1234_5678_u32).expect("inside");
    assert_eq!(by_grant.load_u32(2000).expect("inside"), 0x1234_5678, "the same memory");
}

#[test]
#[ignore = "needs Xen dom0"]
fn hundreds_of_machine_frames_are_mapped_at_once() {
    let pool = Pool::shared();
    for count in [1, 64, pool.frames.len()] {
        let mapping = memory().map(pool.guest.domain, &pool.frames[..count]).expect("mapped");
        for index in 0..count {
            assert_eq!(mapping.read::<u64>(index * 4096).expect("inside"), index as u64);
        }
    }
    let split = memory().options(pool.guest.domain).split(100).map(&pool.frames).expect("mapped");
    let text: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    split.copy_from_slice(99 * 4096 + 5, &text).expect("inside"); // across the border of two pieces
    let whole = memory().map_read_only(pool.guest.domain, &pool.frames[99..105]).expect("mapped");
    let mut back = vec![0; text.len()];
    whole.copy_to_slice(5, &mut back).expect("inside");
    assert_eq!(back, text);
    let pieces = fs::read_to_string("/proc/self/maps").expect("maps");
    let pieces = pieces.lines().filter(|line| line.contains("/dev/xen/privcmd")).count();
    assert_eq!(pieces, 9, "6 pieces, the other mapping, and two of the table");
    let grants: Vec<_> = (pool.first..).take(600).map(GrantRef::new).collect();
    let granted = Gnttab::open().expect("gntdev").map(pool.guest.domain, &grants).expect("mapped");
    granted.copy_to_slice(99 * 4096 + 5, &mut back).expect("inside");
    assert_eq!(back, text);
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_frame_that_fails_is_named() {
    let pool = Pool::shared();
    for bad in [Gfn::new(0), Gfn::new(0xff_ffff), Gfn::new(u64::MAX >> 12)] {
        for place in [0, 37, 63] {
            let mut frames = pool.frames[..64].to_vec();
            frames[place] = bad;
            let error = memory().map(pool.guest.domain, &frames).expect_err("one is bad");
            assert!(
                matches!(error, Error::Frame { index, gfn, .. } if (index, gfn) == (place, bad)),
                "{error:?}"
            );
            let partial = memory().map_partial(pool.guest.domain, &frames).expect("in part");
            let failed: Vec<_> = (0..64).filter(|&index| !partial.is_mapped(index)).collect();
            assert_eq!(failed, [place]);
            assert!(
                matches!(partial.read::<u8>(place * 4096), Err(Error::NotMapped { index, .. }) if index == place)
            );
            assert_eq!(partial.read::<u64>(17 * 4096).expect("a good one"), 17);
        }
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn domains_that_are_not_there_are_named() {
    let error = memory().map(nobody(), &[Gfn::new(1)]).expect_err("nobody");
    let Error::Frame { index: 0, source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.raw_os_error(), Some(ESRCH));
    let error = memory().map_resource(nobody(), GRANT_TABLE, 0, 1).expect_err("nobody");
    let Error::Resource { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.raw_os_error(), Some(ESRCH));
}

#[test]
#[ignore = "needs Xen dom0"]
fn own_frames_are_mapped_as_self_only() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: only a PV domain maps its own frames");
        return;
    }
    let frames: Vec<_> = (0..1 << 17).map(Gfn::new).collect();
    let of_self = memory().options(DomId::SELF).read_only().map_partial(&frames).expect("in part");
    let mapped = (0..frames.len()).filter(|&index| of_self.is_mapped(index)).count();
    assert!(mapped > 10_000, "dom0 has more than {mapped} frames");
    let of_zero = memory().options(DomId::ZERO).read_only().map_partial(&frames[..64]).expect("in part");
    let statuses: BTreeSet<_> = of_zero.statuses().iter().map(|status| status.errno()).collect();
    assert_eq!(statuses, [Some(ESRCH)].into(), "Xen wants dom0 to say DOMID_SELF");
}

#[test]
#[ignore = "needs Xen dom0"]
fn several_frames_of_a_resource_are_one_mapping_or_refused() {
    let pool = Pool::shared();
    let both = memory().options(pool.guest.domain).read_only().map_resource(GRANT_TABLE, 0, 2);
    if rustix::param::page_size() > 4096 {
        let error = both.expect_err("the kernel would damage its page tables");
        assert!(error.to_string().contains("map them one by one"), "{error}");
        return;
    }
    let both = both.expect("its grant table");
    for (index, frame) in pool.table.iter().enumerate() {
        let (mut one, mut other) = ([0; 4096], [0; 4096]);
        both.copy_to_slice(index * 4096, &mut one).expect("inside");
        frame.copy_to_slice(0, &mut other).expect("inside");
        assert!(one == other, "frame {index}");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn resources_have_sizes() {
    let pool = Pool::shared();
    let guest = &pool.guest;
    let memory = memory();
    let frames = memory.resource_size(guest.domain, GRANT_TABLE).expect("a size");
    assert!(frames >= 2, "{frames}");
    let beyond = memory.map_resource(guest.domain, GRANT_TABLE, 100_000, 1).expect_err("beyond the end");
    assert!(matches!(beyond, Error::Resource { .. }), "{beyond:?}");
    let server = memory.map_resource(guest.domain, Resource::IoreqServer { id: 0 }, 0, 1).expect_err("none");
    assert!(matches!(server, Error::Resource { .. } | Error::Unsupported { .. }), "{server:?}");
    let trace = Resource::VmtraceBuffer { vcpu: VcpuId::new(0) };
    let trace = memory.map_resource(guest.domain, trace, 0, 1).expect_err("no such processor");
    assert!(matches!(trace, Error::Resource { .. } | Error::Unsupported { .. }), "{trace:?}");
    let own = memory.map_resource(DomId::ZERO, GRANT_TABLE, 0, 1).expect_err("Xen does not allow that");
    let Error::Resource { source, .. } = own else { panic!("the file is not restricted: {own:?}") };
    assert_eq!(source.raw_os_error(), Some(EPERM));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_restricted_handle_is_refused_other_domains() {
    let pool = Pool::shared();
    let guest = pool.guest.domain;
    let restricted = memory().restrict(guest).expect("restricted");
    let mapping = restricted.map(&pool.frames[..3]).expect("its own domain");
    assert_eq!(mapping.read::<u64>(8192).expect("inside"), 2);
    assert!(restricted.resource_size(GRANT_TABLE).expect("a size") > 0);
    drop(restricted.map_resource(GRANT_TABLE, 0, 1).expect("its own domain"));

    // The guest is the other domain to this one.
    let memory = memory();
    let clone = memory.clone();
    let ring = [pool.guest.console_ring()];
    let before = memory.map(guest, &ring).expect("mapped");
    let restricted = memory.restrict(nobody()).expect("restricted");
    let error = restricted.map(&ring).expect_err("allowed, but nobody is there");
    assert!(matches!(error, Error::Frame { .. }), "{error:?}");
    let refusals = [
        clone.map(guest, &ring).map(drop),
        clone.map_partial(guest, &ring).map(drop),
        clone.map(DomId::SELF, &[Gfn::new(1)]).map(drop),
        clone.map_resource(guest, GRANT_TABLE, 0, 1).map(drop),
        clone.resource_size(guest, GRANT_TABLE).map(drop),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(Error::Restricted { .. })), "{refusal:?}");
    }
    let error = clone.clone().restrict(guest).expect_err("once only");
    assert!(error.to_string().contains("restricted to another one already"), "{error}");
    clone.restrict(nobody()).expect("the same again");
    assert_eq!(before.read::<[u8; 6]>(1024).expect("inside"), *b"minipv", "what was mapped stays mapped");
}

#[test]
#[ignore = "needs Xen dom0"]
fn threads_share_a_handle() {
    let pool = Pool::shared();
    let memory = memory();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (memory, pool) = (&memory, &pool);
            scope.spawn(move || {
                for round in 0..50 {
                    let first = (thread * 131 + round * 7) % 500;
                    let mapping =
                        memory.map(pool.guest.domain, &pool.frames[first..first + 40]).expect("mapped");
                    for page in 0..40 {
                        assert_eq!(mapping.read::<u64>(page * 4096).expect("inside"), (first + page) as u64);
                    }
                }
            });
        }
    });
}

#[test]
#[ignore = "needs Xen dom0"]
#[expect(unsafe_code, reason = "runs code in a forked child")]
fn a_child_that_drops_a_mapping_unmaps_nothing() {
    let pool = Pool::shared();
    let mapping = memory().map(pool.guest.domain, &pool.frames[..8]).expect("mapped");
    let mapping = Arc::new(Mutex::new(Some(mapping)));
    let of_child = Arc::clone(&mapping);
    let mut child = Command::new("true");
    // SAFETY: nobody holds the lock, and to drop a mapping in a child does nothing.
    unsafe {
        child.pre_exec(move || {
            drop(of_child.lock().expect("nobody panicked").take());
            Ok(())
        });
    }
    assert!(child.status().expect("forked").success());
    let mapping = mapping.lock().expect("nobody panicked").take().expect("the child took its own");
    assert_eq!(mapping.read::<u64>(7 * 4096).expect("still mapped"), 7);
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_outlives_its_domain() {
    let pool = Pool::start("outlive");
    let mapping = memory().map(pool.guest.domain, &pool.frames[..4]).expect("mapped");
    common::run("guest", &["stop", "outlive"]);
    assert_eq!(mapping.read::<u64>(3 * 4096).expect("inside"), 3);
    let again: PartialMapping = memory().map_partial(pool.guest.domain, &pool.frames[4..8]).expect("in part");
    assert!(!(0..4).any(|index| again.is_mapped(index)), "the domain is dying");
}
