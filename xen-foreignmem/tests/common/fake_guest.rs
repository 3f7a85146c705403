//! A guest that lives in a memfd, and the privcmd driver in front of it.
//!
//! Frames that the driver maps are pages of the memfd; where it maps none, an access ends the test program.
#![expect(unsafe_code, reason = "puts a memfd in the device's place, and plays the kernel")]

use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use xen_foreignmem::{DomId, ForeignMemory};
use xen_sys::linux::fake::{self, Call};

pub(crate) const BATCH: u32 = 0x0020_5004;
pub(crate) const RESTRICT: u32 = 0x0002_5006;
pub(crate) const RESOURCE: u32 = 0x0020_5007;

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const ESRCH: i32 = 3;
pub(crate) const ENOMEM: i32 = 12;
pub(crate) const EINVAL: i32 = 22;

/// How many frames the guest has.
pub(crate) const FRAMES: u64 = 1 << 16;

/// What the driver was asked for: names and numbers.
pub(crate) type Log = Rc<RefCell<Vec<String>>>;

pub(crate) fn errno<T>(number: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(number))
}

pub(crate) fn guest() -> DomId {
    DomId::new(3).expect("a domain")
}

/// A handle whose device is the guest's memory. Each frame begins with its number.
pub(crate) fn foreign_memory() -> (ForeignMemory, OwnedFd) {
    let fd = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    rustix::fs::ftruncate(&fd, FRAMES * 4096).expect("room");
    for number in 0..256_u64 {
        rustix::io::pwrite(&fd, &number.to_le_bytes(), number * 4096).expect("written");
    }
    let ram = fd.try_clone().expect("a descriptor");
    // SAFETY: the fake kernel takes every request.
    (unsafe { ForeignMemory::from_fd(fd) }.expect("a handle"), ram)
}

/// A request to map frames, as the driver sees it.
pub(crate) struct Batch {
    pub(crate) count: usize,
    pub(crate) domain: u16,
    pub(crate) address: usize,
    frames: usize,
    errors: usize,
}

impl Batch {
    pub(crate) fn of(operand: &[u8]) -> Self {
        let word = |at: usize| usize::from_le_bytes(operand[at..at + 8].try_into().expect("8 bytes"));
        Self {
            count: u32::from_le_bytes(operand[..4].try_into().expect("4 bytes")) as usize,
            domain: u16::from_le_bytes(operand[4..6].try_into().expect("2 bytes")),
            address: word(8),
            frames: word(16),
            errors: word(24),
        }
    }

    pub(crate) fn frame(&self, index: usize) -> u64 {
        assert!(index < self.count);
        let frames = std::ptr::with_exposed_provenance::<u64>(self.frames);
        // SAFETY: the request says that there are `count` of them.
        let frame = unsafe { frames.add(index) };
        // SAFETY: as above.
        unsafe { frame.read() }
    }

    pub(crate) fn set_error(&self, index: usize, error: i32) {
        assert!(index < self.count);
        let errors = std::ptr::with_exposed_provenance_mut::<i32>(self.errors);
        // SAFETY: the request says that there are `count` of them, to be written.
        let place = unsafe { errors.add(index) };
        // SAFETY: as above.
        unsafe { place.write(error) };
    }

    /// Does what the driver does: a page of `ram` for each frame whose status is 0, and nothing for others.
    pub(crate) fn serve(&self, ram: &OwnedFd, writable: bool, mut status: impl FnMut(u64) -> i32) {
        for index in 0..self.count {
            let frame = self.frame(index);
            let status = status(frame);
            self.set_error(index, status);
            let place = std::ptr::with_exposed_provenance_mut(self.address + index * 4096);
            let flags = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
            if status == 0 {
                // SAFETY: the place is a page of the mapping that is being filled.
                unsafe { mmap(place, 4096, flags, MapFlags::SHARED | MapFlags::FIXED, ram, frame * 4096) }
            } else {
                let none = ProtFlags::empty();
                // SAFETY: as above.
                unsafe { mmap_anonymous(place, 4096, none, MapFlags::PRIVATE | MapFlags::FIXED) }
            }
            .expect("mapped");
        }
    }
}

/// The driver: notes calls down by short names, and gives `answer` the requests. Other calls succeed.
pub(crate) fn driver(
    log: &Log,
    mut answer: impl FnMut(u32, &mut [u8]) -> io::Result<usize> + 'static,
) -> fake::Installed {
    let log = Rc::clone(log);
    let mut base = 0;
    fake::install(move |call| {
        let (line, outcome) = match call {
            Call::Ioctl { opcode, operand } => {
                let line = name(opcode, operand, &mut base);
                (line, answer(opcode, operand))
            }
            Call::Mmap { offset, length, writable } => {
                base = 0;
                let access = if writable { "rw" } else { "ro" };
                (format!("mmap {offset:#x}+{length:#x} {access}"), Ok(0))
            }
            Call::Munmap { length } => (format!("munmap {length:#x}"), Ok(0)),
            other => (format!("{other:?}"), Ok(0)),
        };
        log.borrow_mut().push(line);
        outcome
    })
}

/// A driver that gives each frame the status that `status` says, and succeeds.
pub(crate) fn healthy_driver(
    log: &Log,
    ram: OwnedFd,
    mut status: impl FnMut(u64) -> i32 + 'static,
) -> fake::Installed {
    driver(log, move |opcode, operand| {
        if opcode == BATCH {
            Batch::of(operand).serve(&ram, true, &mut status);
        }
        Ok(0)
    })
}

/// `batch DOMAIN: FRAMES at PAGE`, where the page counts from the first one that was filled since the last `mmap`.
fn name(opcode: u32, operand: &[u8], base: &mut usize) -> String {
    match opcode {
        BATCH => {
            let batch = Batch::of(operand);
            if *base == 0 {
                *base = batch.address;
            }
            let frames = (0..batch.count).map(|index| format!("{:x}", batch.frame(index)));
            let frames = frames.collect::<Vec<_>>().join(" ");
            format!("batch {}: {frames} at {}", batch.domain, batch.address.wrapping_sub(*base) / 4096)
        }
        RESOURCE => {
            let words = operand.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")));
            let words: Vec<_> = words.take(6).map(|word| format!("{word:x}")).collect();
            format!("resource {}", words.join(" "))
        }
        RESTRICT => format!("restrict {operand:?}"),
        _ => format!("ioctl {opcode:#x}"),
    }
}
