//! Page tables as processors take them, written by hand.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const PG: u64 = CR0_PG | 1;
const ROOT: u64 = 0x10_0000;

/// Physical memory, in words of 8 bytes.
#[derive(Default)]
struct Memory(HashMap<u64, u64>);

impl Memory {
    fn put(&mut self, address: u64, entry: u64) {
        assert_eq!(address % 8, 0);
        self.0.insert(address, entry);
    }

    fn put_half(&mut self, address: u64, entry: u32) {
        let word = self.0.entry(address & !7).or_default();
        let shift = address % 8 * 8;
        *word = *word & !(0xffff_ffff << shift) | u64::from(entry) << shift;
    }

    /// The number of the frame at an address.
    fn look(&self, paging: Paging, address: u64) -> Option<u64> {
        let read = |_, at| Ok::<_, Infallible>(self.0.get(&at).copied().unwrap_or(0));
        paging.translate(address, read).expect("memory is read").map(Gfn::get)
    }
}

#[test]
fn without_paging_addresses_are_physical() {
    let paging = Paging::of_processor(1, 0x5000, CR4_PAE, 0);
    let memory = Memory::default();
    assert_eq!(memory.look(paging, 0x1234_5678), Some(0x12345));
    assert_eq!(memory.look(paging, 0xffff_ffff), Some(0xfffff));
    assert_eq!(memory.look(paging, 1 << 32), None, "there is no such address");
}

#[test]
fn two_levels_have_entries_of_32_bits() {
    let paging = Paging::of_processor(PG, ROOT | 0x18, CR4_PSE, 0);
    let mut memory = Memory::default();
    // 0x00c0_1000: entry 3 of the root, entry 1 of the next
    memory.put_half(ROOT + 12, 0x0020_0007);
    memory.put_half(0x0020_0004, 0xabcd_e007);
    assert_eq!(memory.look(paging, 0x00c0_1fff), Some(0xabcde));
    assert_eq!(memory.look(paging, 0x00c0_0000), None, "the half beside it is empty");
    memory.put_half(0x0020_0004, 0xabcd_e006);
    assert_eq!(memory.look(paging, 0x00c0_1000), None, "not present");
    assert_eq!(memory.look(paging, 0x1_00c0_1000), None);

    // 4 MiB, above 4 GiB: bits 13 to 20 of the entry are bits 32 to 39 of the address
    memory.put_half(ROOT + 4092, 0x8000_0087 | 0x5a << 13);
    assert_eq!(memory.look(paging, 0xffc1_2345), Some(0x5a_8001_2345 >> 12));
    let small_only = Paging::of_processor(PG, ROOT, 0, 0);
    memory.put_half(0x800b_4000 + 0x48, 0x0077_7007);
    assert_eq!(memory.look(small_only, 0xffc1_2345), Some(0x777), "without PSE, the bit means nothing");
}

#[test]
fn three_levels_begin_with_a_quarter_of_a_page() {
    let paging = Paging::of_processor(PG, ROOT | 0x7e7, CR4_PAE, 0);
    let mut memory = Memory::default();
    // 0xc020_3000: entry 3, entry 1, entry 3; the lower five bits of CR3 are no address
    memory.put(ROOT + 0x7e0 + 24, 0x2_0000_0081);
    memory.put(0x2_0000_0008, 0x3_0000_0007);
    memory.put(0x3_0000_0018, 0x8000_0004_5678_9067);
    assert_eq!(memory.look(paging, 0xc020_3abc), Some(0x45_6789));
    memory.put(0x2_0000_0008, 0x3_0020_1087);
    assert_eq!(
        memory.look(paging, 0xc020_3abc),
        Some(0x3_0020_3abc >> 12),
        "2 MiB, whose bit 12 is no address"
    );
    assert_eq!(memory.look(paging, 0x8020_3abc), None);
}

#[test]
fn four_levels_have_pages_of_three_sizes() {
    let paging = Paging::of_processor(PG, ROOT | 0x8000_0000_0000_0fff, CR4_PAE, EFER_LMA);
    assert_eq!(paging, Paging::of_pv(ROOT));
    let mut memory = Memory::default();
    let address = 0xffff_8000_4020_5123;
    memory.put(ROOT + 256 * 8, 0x20_0007);
    memory.put(0x20_0008, 0x30_0007);
    memory.put(0x30_0008, 0x40_0007);
    memory.put(0x40_0028, 0x8000_0000_0050_0087); // bit 7 has another meaning here
    assert_eq!(memory.look(paging, address), Some(0x500));
    memory.put(0x30_0008, 0x60_0087);
    assert_eq!(memory.look(paging, address), Some(0x605));
    memory.put(0x20_0008, 0x8_0000_1087);
    assert_eq!(memory.look(paging, address), Some(0x8_0020_5123 >> 12), "1 GiB");
    memory.put(ROOT + 256 * 8, 0x20_0006);
    assert_eq!(memory.look(paging, address), None);
}

#[test]
fn five_levels_have_more_addresses() {
    let mut memory = Memory::default();
    memory.put(ROOT + 256 * 8, 0x20_0007);
    for table in [0x20_0000, 0x30_0000, 0x40_0000] {
        memory.put(table, table + 0x10_0007);
    }
    memory.put(0x50_0000, 0x77_7007);
    let five = Paging::of_processor(PG, ROOT, CR4_PAE | CR4_LA57, EFER_LMA);
    assert_eq!(memory.look(five, 0xff00 << 48), Some(0x777));
    assert_eq!(memory.look(five, 1 << 56), None, "no such address");
    let four = Paging::of_processor(PG, ROOT, CR4_PAE, EFER_LMA);
    assert_eq!(memory.look(four, 0xff00 << 48), None, "no such address");
    assert_eq!(memory.look(four, 1 << 47), None, "no such address");
}

proptest! {
    #[test]
    fn nothing_that_a_guest_writes_makes_it_panic(
        cr0: u64, cr3: u64, cr4: u64, efer: u64, address: u64, entries in proptest::array::uniform5(any::<u64>()),
    ) {
        let paging = Paging::of_processor(cr0 | CR0_PG, cr3, cr4, efer);
        for address in [address, address >> 32, address >> 17] {
            let mut reads = Vec::new();
            let frame = paging.translate(address, |level, at| {
                reads.push((level, at));
                Ok::<_, Infallible>(entries[level] | PRESENT | PRESENT << 32)
            });
            prop_assert!(reads.iter().all(|(_, at)| at % 8 == 0 && *at < 1 << 52), "{:x?}", reads);
            prop_assert!(reads.iter().map(|(level, _)| *level).eq(0..reads.len()), "{:x?}", reads);
            prop_assert_eq!(frame.expect("memory is read").is_some(), paging.mode.has(address));
        }
    }
}
