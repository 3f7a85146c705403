//! The cache: what it maps, keeps, drops and tries anew, on a guest that lives in a memfd.

#[path = "common/fake_guest.rs"]
#[expect(dead_code, reason = "other test programs use the rest")]
mod fake_guest;

use fake_guest::*;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use xen_foreignmem::{AccessError, CacheStatistics, Error, MapCache};

/// What the driver was asked to map, by the number of the bucket.
fn buckets(log: &Log) -> Vec<u64> {
    let log = log.borrow();
    let first = log.iter().filter_map(|line| line.strip_prefix("batch 3: ")?.split(' ').next());
    first.map(|frame| u64::from_str_radix(frame, 16).expect("a frame") / 16).collect()
}

fn counts(cache: &MapCache) -> (u64, u64, usize) {
    let CacheStatistics { hits, misses, frames, .. } = cache.statistics();
    (hits, misses, frames)
}

#[test]
fn what_was_used_stays_mapped() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let cache = memory.cache(guest(), 64);
    assert!(log.borrow().is_empty(), "nothing is mapped before it is used");
    for _ in 0..10 {
        assert_eq!(cache.read::<u64>(17 * 4096).expect("memory"), 17);
    }
    assert_eq!(cache.read::<u64>(31 * 4096).expect("memory"), 31, "mapped along with it");
    assert_eq!(
        *log.borrow(),
        ["mmap 0x0+0x10000 rw", "batch 3: 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f at 0"]
    );
    assert_eq!(counts(&cache), (10, 1, 16));
}

#[test]
fn accesses_cross_borders_of_frames_and_of_buckets() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let cache = memory.cache(guest(), 1 << 10);
    let text: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    for address in [0, 4090, 16 * 4096 - 3, 5 * 65536 - 100_000] {
        cache.copy_from_slice(address, &text).expect("memory");
        let mut back = vec![0; text.len()];
        cache.copy_to_slice(address, &mut back).expect("memory");
        assert!(back == text, "at {address:#x}");
    }
    cache.write(2 * 65536 - 3, &0x1122_3344_u32).expect("memory");
    assert_eq!(cache.read::<[u8; 4]>(2 * 65536 - 3).expect("memory"), [0x44, 0x33, 0x22, 0x11]);
    assert_eq!(cache.read::<u8>(2 * 65536).expect("memory"), 0x11);
}

#[test]
fn words_are_atomic_and_aligned() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let cache = memory.cache(guest(), 64);
    cache.store_u32(0x5004, 7).expect("memory");
    assert_eq!(cache.load_u32(0x5004).expect("memory"), 7);
    assert_eq!(cache.compare_exchange_u32(0x5004, 7, 8).expect("memory"), Ok(7));
    assert_eq!(cache.compare_exchange_u32(0x5004, 7, 9).expect("memory"), Err(8));
    let odd = cache.load_u32(0x5006);
    assert!(
        matches!(odd, Err(Error::Access(AccessError::Misaligned { offset: 0x5006, alignment: 4 }))),
        "{odd:?}"
    );
}

#[test]
fn what_was_not_used_for_the_longest_time_goes() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let cache = memory.cache(guest(), 3 * 16);
    let touch = |bucket: u64| assert_eq!(cache.read::<u64>(bucket * 65536).expect("memory"), bucket * 16);
    for bucket in [1, 2, 3, 1, 4, 1, 3, 2] {
        touch(bucket);
    }
    assert_eq!(buckets(&log), [1, 2, 3, 4, 2], "4 drove 2 out, and 2 then 4");
    assert_eq!(counts(&cache).2, 48);
    assert_eq!(log.borrow().iter().filter(|line| line.starts_with("munmap")).count(), 2);
    touch(4);
    assert_eq!(counts(&cache), (3, 6, 48));
    let least = memory.cache(guest(), 0);
    assert_eq!(least.read::<u64>(0).expect("memory"), 0);
    assert_eq!(least.statistics().capacity, 16);
}

#[test]
fn invalidated_memory_is_mapped_anew() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let cache = memory.cache(guest(), 1024);
    let touch_all = || {
        for bucket in 0..4 {
            assert_eq!(cache.read::<u64>(bucket * 65536).expect("memory"), bucket * 16);
        }
    };
    touch_all();
    cache.invalidate(65536 + 5..2 * 65536);
    cache.invalidate(7..7);
    assert_eq!(counts(&cache).2, 48);
    touch_all();
    assert_eq!(buckets(&log), [0, 1, 2, 3, 1]);
    cache.invalidate(0..65537);
    touch_all();
    assert_eq!(buckets(&log), [0, 1, 2, 3, 1, 0, 1]);
    cache.clear();
    assert_eq!(counts(&cache).2, 0);
    touch_all();
    cache.invalidate(0..u64::MAX);
    assert_eq!(counts(&cache).2, 0);
}

#[test]
fn addresses_without_memory_fail_and_are_tried_anew() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let ballooned = Rc::new(RefCell::new(BTreeSet::from([18_u64, 40])));
    let gone = Rc::clone(&ballooned);
    let _fake =
        healthy_driver(&log, ram, move |frame| if gone.borrow().contains(&frame) { -EINVAL } else { 0 });
    let cache = memory.cache(guest(), 1024);
    let missing = |outcome: Result<(), Error>| match outcome {
        Err(Error::NotPresent { address, .. }) => address,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(cache.read::<u8>(18 * 4096 + 9).map(drop)), 18 * 4096 + 9);
    assert_eq!(
        missing(cache.read::<u64>(18 * 4096 - 1).map(drop)),
        18 * 4096,
        "the first byte that is not there"
    );
    assert_eq!(missing(cache.store_u32(18 * 4096, 1)), 18 * 4096);
    assert_eq!(counts(&cache).2, 0, "what failed takes no room");
    assert_eq!(cache.read::<u64>(17 * 4096).expect("its neighbour"), 17);
    assert_eq!(missing(cache.write(18 * 4096, &1_u8)), 18 * 4096);
    assert_eq!(cache.read::<u64>(17 * 4096).expect("which is still mapped"), 17);
    let text = cache.read::<u8>(18 * 4096).expect_err("missing").to_string();
    assert_eq!(text, "domain 3 has no memory at address 0x12000");

    ballooned.borrow_mut().clear();
    assert_eq!(cache.read::<u64>(18 * 4096).expect("it came back"), 18);
    assert_eq!(counts(&cache).2, 16);
    let overflow = cache.read::<u64>(u64::MAX - 3);
    assert!(matches!(overflow, Err(Error::AddressOverflow { length: 8, .. })), "{overflow:?}");
}

#[test]
fn what_the_kernel_refuses_is_told_as_it_is() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, _| errno(ENOMEM));
    let cache = memory.options(guest()).read_only().cache(64);
    let error = cache.read::<u8>(0).expect_err("refused");
    assert!(matches!(error, Error::Map { count: 16, .. }), "{error:?}");
}
