//! Notifications of a guest: where the kernel can, it signals an eventfd for them, and elsewhere an error says that it cannot. None is
//! lost either way.
#![cfg(target_arch = "x86_64")]

mod common;
mod hvm_guest;

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use common::{kernel_has, xenctrl};
use hvm_guest::code::Code;
use hvm_guest::{Guest, Recorder, Seen};
use rustix::event::{EventfdFlags, eventfd};
use xen_ctrl::devicemodel::{Buffering, DeviceModel, IoreqServer, QueueNotify};
use xen_ctrl::{Error, ForeignMemory, Xenctrl};
use xen_foreignmem::Error as ForeignError;

/// Where the device is.
const DEVICE: u32 = 0x0200_0000;
/// Its register.
const REGISTER: u32 = DEVICE + 0x50;
/// What counts.
const NOTIFY: QueueNotify = QueueNotify { address: DEVICE as u64, size: 4, queue: 1 };
/// How often each of the two vCPUs notifies.
const TIMES: u32 = 30;
const ALL: u64 = TIMES as u64 * 2;
const EBUSY: Option<i32> = Some(16);

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd")
}

/// How many signals nobody has taken yet.
fn signals(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    rustix::io::read(event, &mut count).map_or(0, |_| u64::from_ne_bytes(count))
}

/// Two vCPUs, which notify the queue, and then do twice what is no such notification.
fn guest(xen: &Xenctrl) -> Guest<'_> {
    let begin = Code::new().eax(1).times(TIMES);
    let start = begin.len();
    let notify = begin.store(REGISTER, 4).repeat_from(start);
    let code = notify.store(REGISTER, 2).eax(2).store(REGISTER, 4);
    Guest::new(xen, &[code.clone(), code])
}

fn server(model: &DeviceModel) -> IoreqServer {
    let mut server = model.create_ioreq_server(Buffering::Off).expect("a server");
    server.map_memory(NOTIFY.address..=NOTIFY.address + 0xfff).expect("mapped");
    server.enable().expect("on");
    server
}

/// Has the kernel signal the eventfd. False if it cannot.
fn assign(server: &mut IoreqServer, event: &OwnedFd) -> bool {
    let Err(error) = server.assign_ioeventfd(event.as_fd(), NOTIFY) else { return true };
    assert!(matches!(error, Error::Foreign(ForeignError::Unsupported { .. })), "{error:?}");
    let kind = fs::read_to_string("/sys/hypervisor/guest_type").expect("what this domain is");
    assert!(kind.trim() == "PV" || !kernel_has("ioeventfd_interrupt"), "{error}");
    false
}

/// Lets the guest run. How many notifications the kernel signalled, and how many came to the server.
fn run(guest: &Guest<'_>, server: &IoreqServer, event: &OwnedFd) -> (u64, u64) {
    let mut device = Recorder::default();
    guest.run(server, &mut device);
    let count = |size, queue| {
        let written = Seen::Write(REGISTER.into(), size, queue);
        device.seen.iter().filter(|seen| **seen == written).count()
    };
    assert_eq!([count(2, 1), count(4, 2)], [2, 2], "of another size, of another queue");
    (signals(event), u64::try_from(count(4, 1)).expect("few"))
}

#[test]
#[ignore = "needs Xen dom0"]
fn no_notification_is_lost() {
    let xen = xenctrl();
    let (guest, event) = (guest(&xen), event());
    let mut server = server(&guest.model);
    let is_assigned = assign(&mut server, &event);
    if is_assigned {
        let again = server.assign_ioeventfd(event.as_fd(), QueueNotify { queue: 7, ..NOTIFY });
        let Err(Error::Foreign(ForeignError::Ioeventfd { source, .. })) = again else { panic!("{again:?}") };
        assert_eq!(source.raw_os_error(), EBUSY, "it stands for one");
    }
    let (signalled, came) = run(&guest, &server, &event);
    if is_assigned {
        assert!(signalled > 0, "all came here");
        assert!(signalled + came >= ALL, "{signalled} signalled, {came} came here");
    } else {
        assert_eq!((signalled, came), (0, ALL));
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn what_is_unassigned_comes_to_the_server() {
    let xen = xenctrl();
    let (guest, event) = (guest(&xen), event());
    let mut server = server(&guest.model);
    assign(&mut server, &event);
    server.unassign_ioeventfd(NOTIFY);
    assert_eq!(run(&guest, &server, &event), (0, ALL));
    drop(server);
    // nothing of it is left: another one can have the same ports
    drop(self::server(&guest.model));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_restricted_handle_is_good_for_its_guest_only() {
    let xen = xenctrl();
    let (guest, other, event) = (guest(&xen), self::guest(&xen), event());
    let file = ForeignMemory::open().expect("the device");
    let [mine, others] = [&guest, &other].map(|guest| DeviceModel::new(file.clone(), guest.domain.id()));
    let [mut server, mut no_longer] = [&mine, &others].map(self::server);
    mine.restrict().expect("restricted");
    if assign(&mut server, &event) {
        let error = no_longer.assign_ioeventfd(self::event().as_fd(), NOTIFY).expect_err("another guest's");
        assert!(matches!(error, Error::Foreign(ForeignError::Restricted { .. })), "{error:?}");
        assert!(run(&guest, &server, &event).0 > 0);
    } else {
        assert_eq!(run(&guest, &server, &event), (0, ALL));
    }
    let _ = no_longer.leave(); // it ends with its guest: this file has no power over it any more
}
