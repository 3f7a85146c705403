//! Code that knows rust-vmm's traits only works on a Xen guest.
#![cfg(feature = "vm-memory")]

#[path = "common/fake_guest.rs"]
#[expect(dead_code, reason = "other test programs use the rest")]
mod fake_guest;

use fake_guest::*;
use std::sync::atomic::Ordering;
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionCollection, MemoryRegionAddress,
};
use xen_foreignmem::{Error, Gfn};

/// What a device backend of rust-vmm does.
fn upper_case(memory: &impl GuestMemoryBackend, address: GuestAddress, length: usize) {
    let mut text = vec![0; length];
    memory.read_slice(&mut text, address).expect("memory");
    text.make_ascii_uppercase();
    memory.write_slice(&text, address).expect("memory");
}

#[test]
fn a_guests_memory_is_guest_memory() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |_| 0);
    let options = memory.options(guest());
    let low = options.map_region(Gfn::new(0x10), 4).expect("mapped");
    let high = options.map_region(Gfn::new(0x14), 16).expect("mapped");
    let second = options.map_region(Gfn::new(0x80), 1).expect("mapped");
    let guest = GuestRegionCollection::from_regions(vec![low, high, second]).expect("sorted");
    assert_eq!(guest.num_regions(), 3);
    assert_eq!(guest.last_addr(), GuestAddress(0x80_fff));
    assert_eq!(guest.read_obj::<u64>(GuestAddress(0x15_000)).expect("memory"), 0x15);

    let border = GuestAddress(0x14_000 - 4); // of two regions
    guest.write_slice(b"xen guest", border).expect("memory");
    upper_case(&guest, border, 9);
    let mut text = [0; 9];
    guest.read_slice(&mut text, border).expect("memory");
    assert_eq!(&text, b"XEN GUEST");

    guest.store(7_u32, GuestAddress(0x80_008), Ordering::Release).expect("memory");
    assert_eq!(guest.load::<u32>(GuestAddress(0x80_008), Ordering::Acquire).expect("memory"), 7);
    assert!(guest.read_obj::<u8>(GuestAddress(0x24_000)).is_err(), "between two regions");
    assert!(guest.read_obj::<u64>(GuestAddress(0x80_ffc)).is_err(), "beyond the end");

    let region = guest.find_region(GuestAddress(0x80_010)).expect("a region");
    assert_eq!(region.mapping().read::<u32>(8).expect("inside"), 7);
    let address = region.get_host_address(MemoryRegionAddress(8)).expect("inside");
    assert_eq!(Some(address), region.mapping().page_ptr(0).map(|page| page.wrapping_add(8)));
    assert!(region.get_host_address(MemoryRegionAddress(4096)).is_err());
}

#[test]
fn slices_of_partial_mappings_mind_the_holes() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = healthy_driver(&log, ram, |frame| if frame == 2 { -EINVAL } else { 0 });
    let frames: Vec<_> = (0..4).map(Gfn::new).collect();
    let mapping = memory.map_partial(guest(), &frames).expect("in part");
    assert_eq!(mapping.volatile_slice(0, 8192).expect("mapped").len(), 8192);
    let hole = mapping.volatile_slice(0, 8193).map(drop);
    assert!(matches!(hole, Err(Error::NotMapped { index: 2, .. })), "{hole:?}");
}

#[test]
fn a_region_beyond_all_addresses_is_refused() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, _| Ok(0));
    let error = memory.options(guest()).map_region(Gfn::new(1 << 52), 1).expect_err("too high");
    assert!(matches!(error, Error::AddressOverflow { .. }), "{error:?}");
    assert!(log.borrow().is_empty());
}
