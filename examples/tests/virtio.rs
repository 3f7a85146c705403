//! The virtio disk and its driver, without Xen: what a good guest gets, and what a bad one does not.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use examples::blkback::disk::Disk;
use examples::device_model::pci::Function;
use examples::device_model::state::Saved;
use examples::device_model::virtio::block::Block;
use examples::device_model::virtio::{Guest, pci};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use xen_ctrl::devicemodel::IoHandler;
use xen_ctrl::host::PciAddress;

const MEMORY: u64 = 1 << 20;
const DESCRIPTORS: u64 = 0x1000;
const ASKED: u64 = 0x2000;
const ANSWERED: u64 = 0x3000;
const HEADER: u64 = 0x4000;
const STATUS: u64 = 0x5000;
const DATA: u64 = 0x8000;
/// A message that an APIC takes.
const MESSAGE: (u64, u32) = (0xfee0_0000, 0x4041);

/// Flags of descriptors.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// Address, length, flags, next one.
type Descriptor = (u64, u32, u16, u16);

#[derive(Clone, Debug)]
struct TestGuest {
    memory: GuestMemoryMmap<()>,
    interrupts: Rc<RefCell<Vec<(u64, u32)>>>,
}

impl Guest for TestGuest {
    type Memory = GuestMemoryMmap<()>;

    fn memory(&self) -> &Self::Memory {
        &self.memory
    }

    fn interrupt(&self, address: u64, data: u32) {
        self.interrupts.borrow_mut().push((address, data));
    }
}

/// A guest with its driver, and the disk of 16 sectors.
struct Machine {
    guest: TestGuest,
    function: Function,
    image: PathBuf,
    read_only: bool,
    asked: u16,
}

impl Machine {
    fn new(read_only: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let image = std::env::temp_dir().join(format!("virtio-{}-{number}", std::process::id()));
        fs::write(&image, [7; 16 * 512]).unwrap();
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let guest = TestGuest { memory, interrupts: Rc::default() };
        let function = Self::function(&guest, &image, read_only);
        Self { guest, function, image, read_only, asked: 0 }
    }

    fn function(guest: &TestGuest, image: &Path, read_only: bool) -> Function {
        let disk = Block::new(Disk::open(image, read_only).unwrap());
        pci::function(PciAddress::new(0, 0, 2, 0).unwrap(), 0xe000_0000, disk, guest.clone())
    }

    /// Another process takes over.
    fn replace(&mut self, saved: &[u8]) {
        self.function.registers = None; // the file is locked
        self.function = Self::function(&self.guest, &self.image, self.read_only);
        let mut from = saved;
        self.function.restore(&mut from).unwrap();
        assert!(from.is_empty());
        while self.function.registers.as_mut().unwrap().go_on() {}
    }

    fn saved(&self) -> Vec<u8> {
        let mut saved = Vec::new();
        self.function.save(&mut saved);
        saved
    }

    fn read(&mut self, offset: u64, size: u8) -> u64 {
        let value = self.function.registers.as_mut().unwrap().read(offset, size);
        if size == 8 { value } else { value & ((1 << (8 * size)) - 1) }
    }

    fn write(&mut self, offset: u64, size: u8, value: u64) {
        self.function.registers.as_mut().unwrap().write(offset, size, value);
    }

    fn configure(&mut self, offset: u64, size: u8, value: u64) {
        self.function.config.write(offset, size, value);
        self.function.configure();
    }

    /// What a driver does at first. Answers the status.
    fn set_up(&mut self) -> u64 {
        self.configure(0x04, 2, 6);
        self.configure(0x40 + 2, 2, 0x8000); // MSI-X on
        for vector in [0, 1] {
            self.write(0x800 + 16 * vector, 8, MESSAGE.0);
            self.write(0x808 + 16 * vector, 8, u64::from(MESSAGE.1) + vector);
        }
        self.write(0x14, 1, 3);
        for (select, features) in [(0, 0x1000_0000), (1, 1)] {
            self.write(0x08, 4, select);
            self.write(0x0c, 4, features);
        }
        self.write(0x14, 1, 0xb);
        self.write(0x10, 2, 0);
        self.write(0x16, 2, 0);
        self.write(0x1a, 2, 1);
        for (offset, address) in [(0x20, DESCRIPTORS), (0x28, ASKED), (0x30, ANSWERED)] {
            self.write(offset, 4, address);
            self.write(offset + 4, 4, 0);
        }
        self.write(0x1c, 2, 1);
        self.write(0x14, 1, 0xf);
        self.read(0x14, 1)
    }

    fn features(&mut self, select: u64) -> u64 {
        self.write(0x00, 4, select);
        self.read(0x04, 4)
    }

    fn describe(&self, table: u64, descriptors: &[Descriptor]) {
        let mut address = GuestAddress(table);
        for (place, length, flags, next) in descriptors {
            let parts =
                [&place.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()];
            self.guest.memory.write_slice(&parts.concat(), address).unwrap();
            address.0 += 16;
        }
    }

    /// Puts the request whose first descriptor is number 0 into the ring.
    fn ask(&mut self) {
        self.poke(ASKED + 4 + 2 * u64::from(self.asked % 128), 0_u16);
        self.asked = self.asked.wrapping_add(1);
        self.poke(ASKED + 2, self.asked);
    }

    /// Has the request served, and answers how many bytes of it were written, if it came back.
    fn serve(&mut self) -> Option<u32> {
        let answered = self.answered();
        self.write(0x300, 2, 0);
        let element = ANSWERED + 4 + 8 * u64::from(answered % 128);
        (self.answered() == answered.wrapping_add(1)).then(|| self.peek(element + 4))
    }

    fn answered(&self) -> u16 {
        self.peek(ANSWERED + 2)
    }

    fn poke<T: vm_memory::ByteValued>(&self, address: u64, value: T) {
        self.guest.memory.write_obj(value, GuestAddress(address)).unwrap();
    }

    fn peek<T: vm_memory::ByteValued>(&self, address: u64) -> T {
        self.guest.memory.read_obj(GuestAddress(address)).unwrap()
    }

    /// A request for one piece of data, as a driver makes it. Answers the status, and how many bytes were written.
    fn request(&mut self, kind: u32, sector: u64, length: u32) -> (u8, u32) {
        self.header(kind, sector);
        let direction = if kind == 1 { NEXT } else { NEXT | WRITE };
        let data = if length == 0 { (DATA, 1, NEXT, 2) } else { (DATA, length, direction, 2) };
        self.describe(DESCRIPTORS, &[(HEADER, 16, NEXT, 1), data, (STATUS, 1, WRITE, 0)]);
        self.ask();
        let written = self.serve().expect("an answer");
        (self.peek(STATUS), written)
    }

    fn header(&self, kind: u32, sector: u64) {
        self.poke(HEADER, u64::from(kind));
        self.poke(HEADER + 8, sector);
        self.poke(STATUS, 0xee_u8);
    }

    fn interrupts(&self) -> Vec<(u64, u32)> {
        self.guest.interrupts.take()
    }

    fn sectors(&self) -> Vec<u8> {
        fs::read(&self.image).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}

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
