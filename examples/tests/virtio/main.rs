//! The virtio disk and its driver, without Xen: what a good guest gets, and what a bad one does not.

mod machine;

use examples::device_model::state::Saved;
use machine::*;
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};
use xen_ctrl::devicemodel::IoHandler;

#[test]
fn a_driver_finds_its_registers() {
    let mut machine = Machine::new(false);
    let config = &mut machine.function.config;
    assert_eq!((config.read(0, 4), config.read(8, 4)), (0x1042_1af4, 0x0180_0001));
    let mut found = Vec::new();
    let mut at = config.read(0x34, 1);
    while at != 0 {
        if config.read(at, 1) == 9 {
            found.push([3, 4, 8, 12].map(|offset| config.read(at + offset, if offset < 8 { 1 } else { 4 })));
        }
        at = config.read(at + 1, 1);
    }
    found.sort_unstable();
    assert_eq!(found, [[1, 0, 0, 0x38], [2, 0, 0x300, 4], [3, 0, 0x100, 1], [4, 0, 0x200, 24]]);
    assert_eq!(machine.set_up(), 0xf);
    assert_eq!((machine.read(0x200, 8), machine.read(0x20c, 4)), (16, 126));
    assert_eq!((machine.features(0), machine.features(1)), (0x3000_0204, 1));
}

#[test]
fn sectors_are_written_and_read() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.guest.memory.write_slice(&[9; 1024], GuestAddress(DATA)).unwrap();
    assert_eq!(machine.request(1, 3, 1024), (0, 1));
    assert_eq!(machine.interrupts(), [(MESSAGE.0, MESSAGE.1 + 1)]);
    assert_eq!(machine.sectors(), [[7; 3 * 512].as_slice(), &[9; 1024], &[7; 11 * 512]].concat());
    assert_eq!(machine.request(4, 0, 0), (0, 1), "flush");
    assert_eq!(machine.request(0, 4, 1024), (0, 1025));
    assert_eq!(machine.peek::<[u8; 2]>(DATA + 511), [9, 7]);
    assert_eq!(machine.request(8, 0, 20), (0, 21), "its name");
    assert_eq!(&machine.peek::<[u8; 12]>(DATA), b"xen-sdk-disk");
}

#[test]
fn what_makes_no_sense_fails() {
    let mut machine = Machine::new(false);
    machine.set_up();
    for (kind, sector, length) in
        [(0, 16, 512), (0, 15, 1024), (0, u64::MAX, 512), (1, 16, 512), (0, 0, 511), (1, 0, 513), (8, 0, 19)]
    {
        assert_eq!(machine.request(kind, sector, length), (1, 1), "{kind} {sector} {length}");
    }
    assert_eq!(machine.request(11, 0, 16), (2, 1), "discard");
    let malformed: [&[Descriptor]; 6] = [
        &[(HEADER, 16, NEXT, 1), (MEMORY, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
        &[(HEADER, 16, NEXT, 1), (MEMORY - 256, 512, NEXT, 2), (STATUS, 1, WRITE, 0)],
        &[(u64::MAX - 8, 16, NEXT, 1), (DATA, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
        &[(HEADER, 8, NEXT, 1), (DATA, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
        &[(HEADER, 16, NEXT, 1), (STATUS, 1, WRITE, 0)],
        &[(HEADER, 16, NEXT, 1), (DATA, u32::MAX - 32, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)],
    ];
    for descriptors in malformed {
        machine.header(0, 0);
        machine.describe(DESCRIPTORS, descriptors);
        machine.ask();
        assert_eq!(machine.serve(), Some(1), "{descriptors:?}");
        assert_eq!(machine.peek::<u8>(STATUS), 1, "{descriptors:?}");
    }
    assert_eq!(machine.sectors(), [7; 16 * 512]);
    assert_eq!(machine.request(0, 0, 512), (0, 513), "a good one");
}

#[test]
fn without_a_place_for_the_status_there_is_none() {
    let mut machine = Machine::new(false);
    machine.set_up();
    let malformed: [&[Descriptor]; 6] = [
        &[(HEADER, 16, 0, 0)],
        &[(HEADER, 16, NEXT, 1), (DATA, 512, NEXT | WRITE, 0)],
        &[(HEADER, 16, NEXT, 500)],
        &[(HEADER, 16, NEXT, 1), (STATUS, 0, WRITE, 0)],
        &[(HEADER, 16, NEXT, 1), (MEMORY, 1, WRITE, 0)],
        &[(DESCRIPTORS, 16, INDIRECT, 0)],
    ];
    for descriptors in malformed {
        machine.header(0, 0);
        machine.describe(DESCRIPTORS, descriptors);
        machine.ask();
        assert_eq!(machine.serve(), Some(0), "{descriptors:?}");
    }
}

#[test]
fn a_table_of_descriptors_may_be_elsewhere() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.header(0, 1);
    machine.describe(0x6000, &[(HEADER, 16, NEXT, 1), (DATA, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)]);
    machine.describe(DESCRIPTORS, &[(0x6000, 48, INDIRECT, 0)]);
    machine.ask();
    assert_eq!((machine.serve(), machine.peek::<u8>(STATUS)), (Some(513), 0));
}

#[test]
fn a_read_only_disk_stays_as_it_is() {
    let mut machine = Machine::new(true);
    machine.set_up();
    assert_eq!(machine.features(0) & 0x20, 0x20);
    assert_eq!(machine.request(1, 0, 512), (1, 1));
    assert_eq!(machine.request(0, 0, 512), (0, 513));
}

#[test]
fn a_ring_that_makes_no_sense_needs_a_reset() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.poke(ASKED + 2, 129_u16);
    assert_eq!(machine.serve(), None);
    assert_eq!(machine.read(0x14, 1), 0x4f);
    assert_eq!(machine.interrupts(), [MESSAGE], "about the configuration");
    machine.poke(ASKED + 2, 0_u16);
    assert_eq!(machine.serve(), None);
    machine.write(0x14, 1, 0);
    assert_eq!(machine.read(0x14, 1), 0);
    assert_eq!(machine.set_up(), 0xf);
    assert_eq!(machine.request(0, 0, 512), (0, 513));
}

#[test]
fn a_driver_that_is_not_ready_gets_nothing() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.write(0x14, 1, 0);
    machine.write(0x08, 4, 1);
    machine.write(0x14, 1, 0xb);
    assert_eq!(machine.read(0x14, 1), 3, "without version 1");
    machine.set_up();
    machine.configure(0x04, 2, 2);
    machine.header(0, 0);
    machine.ask();
    assert_eq!(machine.serve(), None, "may not write to memory");
}

#[test]
fn an_interrupt_that_is_masked_waits() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.write(0x81c, 4, 1);
    assert_eq!(machine.request(0, 0, 512), (0, 513));
    assert_eq!((machine.interrupts().len(), machine.read(0xc00, 4)), (0, 2));
    machine.write(0x81c, 4, 0);
    assert_eq!((machine.interrupts().len(), machine.read(0xc00, 4)), (1, 0));
    machine.configure(0x42, 2, 0xc000);
    machine.request(0, 0, 512);
    assert!(machine.interrupts().is_empty(), "all are masked");
    machine.configure(0x42, 2, 0x8000);
    assert_eq!(machine.interrupts().len(), 1);
    for (address, data) in [(0xfed0_0000, 0x41), (0xfee0_0000, 0x0f), (0xfee0_0000, 0x241)] {
        machine.write(0x810, 8, address);
        machine.write(0x818, 4, data);
        machine.request(0, 0, 512);
        assert!(machine.interrupts().is_empty(), "{address:x} {data:x} is none");
    }
    machine.configure(0x42, 2, 0);
    machine.request(0, 0, 512);
    assert_eq!((machine.read(0x100, 1), machine.read(0x100, 1)), (1, 0), "told otherwise");
}

#[test]
fn another_process_goes_on_where_the_first_one_died() {
    let mut machine = Machine::new(false);
    machine.set_up();
    let before = machine.saved();
    machine.guest.memory.write_slice(&[9; 512], GuestAddress(DATA)).unwrap();
    assert_eq!(machine.request(1, 3, 512), (0, 1));
    machine.interrupts();
    // It was answered, and that was not saved; then the guest asked for something else.
    machine.header(1, 5);
    machine.ask();
    machine.replace(&before);
    assert_eq!((machine.answered(), machine.peek::<u8>(STATUS)), (2, 0));
    assert_eq!(machine.interrupts(), [(MESSAGE.0, MESSAGE.1 + 1)], "in any case");
    assert_eq!(machine.sectors()[5 * 512..6 * 512], [9; 512]);
    assert_eq!(machine.request(0, 5, 512), (0, 513));
    let state = machine.saved();
    for length in 0..state.len() {
        assert_eq!(machine.function.restore(&mut &state[..length]), None, "half a state");
    }
}

#[test]
fn a_guest_that_goes_on_asking_is_served_in_parts() {
    let mut machine = Machine::new(false);
    machine.set_up();
    machine.header(0, 0);
    machine
        .describe(DESCRIPTORS, &[(HEADER, 16, NEXT, 1), (DATA, 512, NEXT | WRITE, 2), (STATUS, 1, WRITE, 0)]);
    for _ in 0..128 {
        machine.ask();
    }
    machine.write(0x300, 2, 0);
    assert_eq!(machine.answered(), 128);
    machine.ask(); // without telling: it was told not to
    assert_eq!(machine.peek::<u16>(ANSWERED), 1);
    assert!(!machine.function.registers.as_mut().unwrap().go_on());
    assert_eq!((machine.answered(), machine.peek::<u16>(ANSWERED)), (129, 0));
}

/// An address that is likely to mean something.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![0..2 * MEMORY, Just(DESCRIPTORS), Just(ASKED), Just(ANSWERED), Just(HEADER), any::<u64>()]
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let length = prop_oneof![0_u32..4096, Just(512), any::<u32>()];
    (address(), length, prop_oneof![0_u16..8, any::<u16>()], prop_oneof![0_u16..8, any::<u16>()])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_descriptors_are_survived(
        descriptors in prop::collection::vec(descriptor(), 1..8),
        kind in prop_oneof![0_u32..12, any::<u32>()],
        sector in prop_oneof![0_u64..20, any::<u64>()],
        index: u16,
    ) {
        let mut machine = Machine::new(false);
        machine.set_up();
        machine.header(kind, sector);
        machine.describe(DESCRIPTORS, &descriptors);
        machine.ask();
        machine.write(0x300, 2, 0);
        machine.poke(ASKED + 2, index);
        machine.write(0x300, 2, 0);
        while machine.function.registers.as_mut().unwrap().go_on() {}
        prop_assert_eq!(machine.sectors().len(), 16 * 512);
    }

    #[test]
    fn any_accesses_are_survived(
        accesses in prop::collection::vec(
            (prop_oneof![0_u64..0x40, 0_u64..0x1008, any::<u64>()], 0_u32..4, prop_oneof![0_u64..16, address()]), 0..64,
        ),
    ) {
        let mut machine = Machine::new(false);
        machine.set_up();
        for (offset, width, value) in accesses {
            machine.read(offset, 1 << width);
            machine.write(offset, 1 << width, value);
        }
        machine.write(0x300, 2, 0);
        machine.function.registers.as_mut().unwrap().go_on();
        let saved = machine.saved();
        machine.replace(&saved);
        machine.write(0x14, 1, 0);
        prop_assert_eq!(machine.set_up(), 0xf);
    }
}
