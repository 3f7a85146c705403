//! The privcmd and evtchn drivers, as a device model sees them; its guest's pages are a memfd.
#![allow(dead_code, reason = "not every test program uses everything")]

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use xen_ctrl::devicemodel::DeviceModel;
use xen_ctrl::{DomId, ForeignMemory};
use xen_evtchn::Evtchn;
use xen_sys::linux::fake::{self, Call};
use xen_sys::zerocopy::FromBytes;

pub(crate) const DOMAIN: u16 = 5;
const DM_OP: u32 = 0x0010_5005;
const RESTRICT: u32 = 0x0002_5006;
const RESOURCE: u32 = 0x0020_5007;
const IRQFD: u32 = 0x4018_5008;
const IOEVENTFD: u32 = 0x4030_5009;
const BIND: u32 = 0x0008_4501;
const UNBIND: u32 = 0x0004_4503;
const NOTIFY: u32 = 0x0004_4504;

/// What a driver was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A device model operation: the record, and the list.
    Operation { record: [u8; 32], list: Option<Vec<u8>> },
    /// `IOCTL_PRIVCMD_RESTRICT`
    Restrict,
    /// A frame of a server.
    Resource { id: u32, frame: u32 },
    /// `IOCTL_PRIVCMD_IRQFD`: the operation, the descriptor, the flags.
    Irqfd { record: [u8; 32], fd: u32, flags: u32 },
    /// `IOCTL_PRIVCMD_IOEVENTFD`
    Ioeventfd { vcpus: u32, queue: u32, flags: u32 },
    /// A binding to a port of the guest's.
    Bind(u32),
    /// The end of it.
    Unbind(u32),
    /// An event.
    Notify(u32),
}

impl Asked {
    /// An operation without a list: its number, and the bytes that its record begins with.
    pub(crate) fn operation(number: u32, bytes: &[u8]) -> Self {
        Self::Operation { record: record(number, bytes), list: None }
    }

    /// An operation with a list.
    pub(crate) fn with_list(number: u32, bytes: &[u8], list: &[u8]) -> Self {
        Self::Operation { record: record(number, bytes), list: Some(list.to_vec()) }
    }
}

pub(crate) fn record(number: u32, bytes: &[u8]) -> [u8; 32] {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&number.to_le_bytes());
    record[8..8 + bytes.len()].copy_from_slice(bytes);
    record
}

/// Integers as bytes, one after the other.
#[allow(unused_macros, reason = "as above")]
macro_rules! bytes {
    ($($integer:expr),* $(,)?) => { [$($integer.to_le_bytes().as_slice()),*].concat() };
}
#[allow(unused_imports, reason = "as above")]
pub(crate) use bytes;

/// What was asked for, in order.
pub(crate) type Log = Rc<RefCell<Vec<Asked>>>;

/// What lies at an address that the kernel was given.
fn at<const N: usize>(address: u64) -> &'static mut [u8; N] {
    // SAFETY: memory of this process that nobody else looks at during the call; the tests use the lengths that were given.
    unsafe { &mut *std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address")) }
}

fn bytes_at(address: u64, length: u64) -> &'static mut [u8] {
    let start = std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"));
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(start, usize::try_from(length).expect("a length")) }
}

fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    std::array::from_fn(|index| u32::from_le_bytes(bytes[index * 4..][..4].try_into().expect("4 bytes")))
}

fn long(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))
}

/// Number, record and list of an operation, to be answered.
pub(crate) struct Operation<'a> {
    pub(crate) number: u32,
    pub(crate) body: &'a mut [u8],
    pub(crate) list: &'a mut [u8],
}

/// Plays both drivers: notes down what they are asked, and answers operations, and eventfds for them, by `answer`.
pub(crate) fn drivers(
    mut answer: impl FnMut(Operation<'_>) -> Result<(), i32> + 'static,
) -> (fake::Installed, Log) {
    let log = Log::default();
    let noted = Rc::clone(&log);
    let mut ports = 100;
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode, operand } = call else { return Ok(0) };
        let note = |asked| noted.borrow_mut().push(asked);
        match opcode {
            DM_OP => {
                let [domain, count] = <[u16; 2]>::read_from_prefix(operand).expect("two numbers").0;
                assert_eq!(domain, DOMAIN);
                let buffers = long(&operand[8..]);
                let [address, length] = [buffers, buffers + 8].map(|place| long(at::<8>(place)));
                assert_eq!(length, 32);
                let record = at::<32>(address);
                let list = if count == 2 {
                    let [address, length] = [buffers + 16, buffers + 24].map(|place| long(at::<8>(place)));
                    bytes_at(address, length)
                } else {
                    assert_eq!(count, 1);
                    &mut []
                };
                note(Asked::Operation { record: *record, list: (count == 2).then(|| list.to_vec()) });
                let [number] = words(record);
                let outcome = answer(Operation { number, body: &mut record[8..], list });
                outcome.map(|()| 0).map_err(io::Error::from_raw_os_error)
            }
            RESTRICT => {
                assert_eq!(operand, DOMAIN.to_le_bytes());
                note(Asked::Restrict);
                Ok(0)
            }
            RESOURCE => {
                let [domain, kind, id, frame, count, _] = words(operand);
                assert_eq!((domain, kind, count), (u32::from(DOMAIN), 0, 1));
                note(Asked::Resource { id, frame });
                Ok(0)
            }
            IRQFD => {
                let [size, fd, flags, domain] = words(&operand[8..]);
                assert_eq!((size, domain), (32, u32::from(DOMAIN)));
                let record = at::<32>(long(operand));
                note(Asked::Irqfd { record: *record, fd, flags });
                let [number] = words(record);
                let outcome = answer(Operation { number, body: &mut record[8..], list: &mut [] });
                outcome.map(|()| 0).map_err(io::Error::from_raw_os_error)
            }
            IOEVENTFD => {
                let [vcpus, queue, flags, domain] = words(&operand[32..]);
                assert_eq!(domain, u32::from(DOMAIN));
                note(Asked::Ioeventfd { vcpus, queue, flags });
                Ok(0)
            }
            BIND => {
                let [domain, port] = words(operand);
                assert_eq!(domain, u32::from(DOMAIN));
                note(Asked::Bind(port));
                ports += 1;
                Ok(ports)
            }
            UNBIND => {
                note(Asked::Unbind(words::<1>(operand)[0]));
                Ok(0)
            }
            NOTIFY => {
                note(Asked::Notify(words::<1>(operand)[0]));
                Ok(0)
            }
            other => panic!("ioctl {other:#x}"),
        }
    });
    (installed, log)
}

fn memfd() -> OwnedFd {
    rustix::fs::memfd_create("pages", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd")
}

/// A device model of the guest; all of its pages are the first one of the memfd.
pub(crate) fn model() -> (DeviceModel, OwnedFd) {
    let page = memfd();
    rustix::fs::ftruncate(&page, 64 << 10).expect("room");
    let seen = page.try_clone().expect("a descriptor");
    // SAFETY: the fake kernel takes every request.
    let memory = unsafe { ForeignMemory::from_fd(page) }.expect("a handle");
    (DeviceModel::new(memory, DomId::new(DOMAIN).expect("ordinary")), seen)
}

/// A file for events.
pub(crate) fn evtchn() -> Evtchn {
    // SAFETY: the fake kernel takes every request.
    unsafe { Evtchn::from_fd(memfd()) }.expect("a handle")
}
