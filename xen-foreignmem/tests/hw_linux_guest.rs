//! Memory of a Linux guest whose frames Xen translates, on real Xen: guest-physical addresses, huge maps, the cache.
#![expect(clippy::print_stdout, reason = "figures for whoever reads the log")]

#[expect(dead_code, reason = "other test programs use the rest")]
mod common;

use common::{Guest, run};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use xen_foreignmem::{Error, ForeignMemory, Gfn, MapCache, PartialMapping, ReadOnly};

/// How many frames the guest has: 256 MiB.
const FRAMES: usize = 65536;
/// The first of them.
const FIRST: u64 = if cfg!(target_arch = "aarch64") { 0x4_0000 } else { 0 };
/// Its address.
const BASE: u64 = FIRST * 4096;

fn memory() -> ForeignMemory {
    ForeignMemory::open().expect("privcmd")
}

fn all_of(guest: &Guest) -> PartialMapping<ReadOnly> {
    let frames: Vec<_> = (FIRST..FIRST + FRAMES as u64).map(Gfn::new).collect();
    let began = Instant::now();
    let all = memory().options(guest.domain).read_only().split(4096).map_partial(&frames).expect("in part");
    println!("65536 frames in {:?}", began.elapsed());
    all
}

fn mapped(all: &PartialMapping<ReadOnly>) -> Vec<usize> {
    (0..all.frames().len()).filter(|&index| all.is_mapped(index)).collect()
}

/// Where random accesses go, counted from the first frame: always the same.
fn offsets() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x1234_5678_9abc_def1_u64), |state| {
        let state = state ^ (state << 13);
        let state = state ^ (state >> 7);
        Some(state ^ (state << 17))
    })
    .map(|state| (state >> 20) % (FRAMES as u64 * 4096 - 64))
}

fn page_of<'a>(all: &PartialMapping<ReadOnly>, buffer: &'a mut [u8], offset: u64) -> Result<&'a [u8], Error> {
    let offset = usize::try_from(offset).expect("64 bits");
    all.copy_to_slice(offset, buffer)?;
    Ok(buffer)
}

/// Reads the same bytes through the cache and through a mapping of everything.
fn compare(cache: &MapCache<ReadOnly>, all: &PartialMapping<ReadOnly>, count: usize) {
    let (mut direct, mut cached) = ([0; 64], [0; 64]);
    for offset in offsets().take(count) {
        let outcome = cache.copy_to_slice(BASE + offset, &mut cached);
        match (page_of(all, &mut direct, offset), outcome) {
            (Ok(direct), Ok(())) => assert_eq!(direct, cached, "at {offset:#x}"),
            (Err(Error::NotMapped { .. }), Err(Error::NotPresent { .. })) => {}
            (direct, cached) => panic!("at {offset:#x}: {:?} and {cached:?}", direct.map(drop)),
        }
    }
}

// One guest for all: to boot one takes many seconds.
#[test]
#[ignore = "needs Xen dom0"]
fn a_linux_guests_memory_is_mapped_cached_written_and_given_back() {
    let guest = Guest::linux();
    guest.paused(|| {
        mapping_and_cache_agree(&guest);
        what_is_written_through_the_cache_is_in_the_guest(&guest);
    });
    what_the_guest_gives_back_is_not_present(&guest);
}

fn mapping_and_cache_agree(guest: &Guest) {
    let all = all_of(guest);
    let good = mapped(&all);
    println!("{} frames are there", good.len());
    assert!(good.len() > 60_000, "{}", good.len());
    let errors: Vec<_> = all.statuses().iter().filter_map(|status| status.errno()).collect();
    println!("the others: {:?}", errors.first());

    let run = good.windows(1024).find(|run| run[1023] - run[0] == 1023).expect("a run of 1024 frames");
    for count in [1, 64, 1024] {
        let first = all.frames()[run[0]];
        let mapping = memory().map_range(guest.domain, first, count).expect("mapped");
        let (mut one, mut other) = (vec![0; count * 4096], vec![0; count * 4096]);
        mapping.copy_to_slice(0, &mut one).expect("inside");
        all.copy_to_slice(run[0] * 4096, &mut other).expect("inside");
        assert!(one == other, "{count} frames");
    }

    let cache = memory().options(guest.domain).read_only().cache(1024);
    compare(&cache, &all, 1000);
    let counts = cache.statistics();
    assert!(counts.frames <= 1024 && counts.misses > 500, "random accesses miss: {counts:?}");
    let large = memory().options(guest.domain).read_only().cache(FRAMES);
    std::thread::scope(|scope| {
        let readers = [(&large, 2000), (&cache, 500)].map(|(cache, count)| {
            let all = &all;
            scope.spawn(move || compare(cache, all, count))
        });
        while !readers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            large.invalidate(BASE + 0x100_0000..BASE + 0x800_0000);
            cache.clear();
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    compare(&large, &all, 2000);
    let before = large.statistics();
    println!("{before:?}");
    compare(&large, &all, 2000);
    let after = large.statistics();
    assert_eq!(after.misses, before.misses, "there is room for all");
    assert!(after.hits >= before.hits + 2000, "{after:?}");
}

fn what_is_written_through_the_cache_is_in_the_guest(guest: &Guest) {
    let cache = memory().cache(guest.domain, 64);
    // What is there is put back before the guest goes on.
    let address = BASE + 0x20_1000 - 3;
    let before: [u8; 8] = cache.read(address).expect("memory");
    cache.write(address, &[0xa5_u8; 8]).expect("memory");
    let frames = [Gfn::new(FIRST + 0x200), Gfn::new(FIRST + 0x201)];
    let direct = memory().map(guest.domain, &frames).expect("mapped");
    assert_eq!(direct.read::<[u8; 8]>(4093).expect("inside"), [0xa5; 8]);
    direct.write(4093, &before).expect("inside");
    assert_eq!(cache.read::<[u8; 8]>(address).expect("memory"), before);
    let word = cache.load_u32(BASE + 0x20_1004).expect("memory");
    assert_eq!(cache.compare_exchange_u32(BASE + 0x20_1004, word, word).expect("memory"), Ok(word));
    assert_eq!(cache.statistics().misses, 1, "one group of frames");
}

fn what_the_guest_gives_back_is_not_present(guest: &Guest) {
    let before = mapped(&all_of(guest));
    let cache = memory().cache(guest.domain, FRAMES);
    // One group of 16 frames in eight: to read one frame maps its group.
    let cached = |frame: &usize| frame / 16 % 8 == 0;
    for &frame in before.iter().filter(|&frame| cached(frame) && frame % 16 == 0) {
        cache.read::<u8>(BASE + frame as u64 * 4096).expect("memory");
    }
    // what `xl mem-set` does, which fails in Debian's libxl for Arm
    let target = format!("/local/domain/{}/memory/target", guest.domain);
    let all = run("xenstore-read", &[&target]);
    let less = all.parse::<u32>().expect("KiB") - (16 << 10);
    run("xenstore-write", &[&target, &less.to_string()]);
    let end = Instant::now() + Duration::from_secs(60);
    let gone = loop {
        let after: HashSet<_> = mapped(&all_of(guest)).into_iter().collect();
        if after.len() + 2000 < before.len() {
            let mut gone = before.iter().copied().filter(|frame| !after.contains(frame));
            break gone.find(cached).expect("one of those that are cached");
        }
        assert!(Instant::now() < end, "{} of {} frames are still there", after.len(), before.len());
        std::thread::sleep(Duration::from_millis(100)); // the guest needs the processor for it
    };
    let address = BASE + gone as u64 * 4096;
    cache.read::<u64>(address).expect("the old frame is still mapped, and no access faults");
    cache.invalidate(address..address + 1);
    let error = cache.read::<u64>(address).expect_err("given back");
    assert!(matches!(error, Error::NotPresent { address: at, .. } if at == address), "{error:?}");
    run("xenstore-write", &[&target, &all]);
}
