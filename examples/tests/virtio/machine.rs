//! A guest in this process, with a driver of its own.

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
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};
use xen_ctrl::devicemodel::IoHandler;
use xen_ctrl::host::PciAddress;

pub(crate) const MEMORY: u64 = 1 << 20;
pub(crate) const DESCRIPTORS: u64 = 0x1000;
pub(crate) const ASKED: u64 = 0x2000;
pub(crate) const ANSWERED: u64 = 0x3000;
pub(crate) const HEADER: u64 = 0x4000;
pub(crate) const STATUS: u64 = 0x5000;
pub(crate) const DATA: u64 = 0x8000;
/// A message that an APIC takes.
pub(crate) const MESSAGE: (u64, u32) = (0xfee0_0000, 0x4041);

/// Flags of descriptors.
pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// Address, length, flags, next one.
pub(crate) type Descriptor = (u64, u32, u16, u16);

#[derive(Clone, Debug)]
pub(crate) struct TestGuest {
    pub(crate) memory: GuestMemoryMmap<()>,
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
pub(crate) struct Machine {
    pub(crate) guest: TestGuest,
    pub(crate) function: Function,
    image: PathBuf,
    read_only: bool,
    asked: u16,
}

impl Machine {
    pub(crate) fn new(read_only: bool) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let image = std::env::temp_dir().join(format!("virtio-{}-{number}", std::process::id()));
        fs::write(&image, [7; 16 * 512]).unwrap();
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 1 << 20)]).unwrap();
        let guest = TestGuest { memory, interrupts: Rc::default() };
        let function = Self::function(&guest, &image, read_only);
        Self { guest, function, image, read_only, asked: 0 }
    }

    pub(crate) fn function(guest: &TestGuest, image: &Path, read_only: bool) -> Function {
        let disk = Block::new(Disk::open(image, read_only).unwrap());
        pci::function(PciAddress::new(0, 0, 2, 0).unwrap(), 0xe000_0000, disk, guest.clone())
    }

    /// Another process takes over.
    pub(crate) fn replace(&mut self, saved: &[u8]) {
        self.function.registers = None; // the file is locked
        self.function = Self::function(&self.guest, &self.image, self.read_only);
        let mut from = saved;
        self.function.restore(&mut from).unwrap();
        assert!(from.is_empty());
        while self.function.registers.as_mut().unwrap().go_on() {}
    }

    pub(crate) fn saved(&self) -> Vec<u8> {
        let mut saved = Vec::new();
        self.function.save(&mut saved);
        saved
    }

    pub(crate) fn read(&mut self, offset: u64, size: u8) -> u64 {
        let value = self.function.registers.as_mut().unwrap().read(offset, size);
        if size == 8 { value } else { value & ((1 << (8 * size)) - 1) }
    }

    pub(crate) fn write(&mut self, offset: u64, size: u8, value: u64) {
        self.function.registers.as_mut().unwrap().write(offset, size, value);
    }

    pub(crate) fn configure(&mut self, offset: u64, size: u8, value: u64) {
        self.function.config.write(offset, size, value);
        self.function.configure();
    }

    /// What a driver does at first. Answers the status.
    pub(crate) fn set_up(&mut self) -> u64 {
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

    pub(crate) fn features(&mut self, select: u64) -> u64 {
        self.write(0x00, 4, select);
        self.read(0x04, 4)
    }

    pub(crate) fn describe(&self, table: u64, descriptors: &[Descriptor]) {
        let mut address = GuestAddress(table);
        for (place, length, flags, next) in descriptors {
            let parts =
                [&place.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()];
            self.guest.memory.write_slice(&parts.concat(), address).unwrap();
            address.0 += 16;
        }
    }

    /// Puts the request whose first descriptor is number 0 into the ring.
    pub(crate) fn ask(&mut self) {
        self.poke(ASKED + 4 + 2 * u64::from(self.asked % 128), 0_u16);
        self.asked = self.asked.wrapping_add(1);
        self.poke(ASKED + 2, self.asked);
    }

    /// Has the request served, and answers how many bytes of it were written, if it came back.
    pub(crate) fn serve(&mut self) -> Option<u32> {
        let answered = self.answered();
        self.write(0x300, 2, 0);
        let element = ANSWERED + 4 + 8 * u64::from(answered % 128);
        (self.answered() == answered.wrapping_add(1)).then(|| self.peek(element + 4))
    }

    pub(crate) fn answered(&self) -> u16 {
        self.peek(ANSWERED + 2)
    }

    pub(crate) fn poke<T: ByteValued>(&self, address: u64, value: T) {
        self.guest.memory.write_obj(value, GuestAddress(address)).unwrap();
    }

    pub(crate) fn peek<T: ByteValued>(&self, address: u64) -> T {
        self.guest.memory.read_obj(GuestAddress(address)).unwrap()
    }

    /// A request for one piece of data, as a driver makes it. Answers the status, and how many bytes were written.
    pub(crate) fn request(&mut self, kind: u32, sector: u64, length: u32) -> (u8, u32) {
        self.header(kind, sector);
        let direction = if kind == 1 { NEXT } else { NEXT | WRITE };
        let data = if length == 0 { (DATA, 1, NEXT, 2) } else { (DATA, length, direction, 2) };
        self.describe(DESCRIPTORS, &[(HEADER, 16, NEXT, 1), data, (STATUS, 1, WRITE, 0)]);
        self.ask();
        let written = self.serve().expect("an answer");
        (self.peek(STATUS), written)
    }

    pub(crate) fn header(&self, kind: u32, sector: u64) {
        self.poke(HEADER, u64::from(kind));
        self.poke(HEADER + 8, sector);
        self.poke(STATUS, 0xee_u8);
    }

    pub(crate) fn interrupts(&self) -> Vec<(u64, u32)> {
        self.guest.interrupts.take()
    }

    pub(crate) fn sectors(&self) -> Vec<u8> {
        fs::read(&self.image).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}
