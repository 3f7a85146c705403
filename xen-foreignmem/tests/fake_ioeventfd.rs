//! Eventfds for a guest's writes: the exact bytes, and that the page stays mapped as long as the kernel uses it.
#![expect(unsafe_code, reason = "plays the kernel")]

#[path = "common/fake_guest.rs"]
#[expect(dead_code, reason = "other test programs use the rest")]
mod fake_guest;

use fake_guest::*;
use std::os::fd::AsFd;
use std::sync::Arc;
use xen_foreignmem::{Error, Port, QueueNotify, Resource};

const IOEVENTFD: u32 = 0x4030_5009;
const EOPNOTSUPP: i32 = 95;
const NOTIFY: QueueNotify = QueueNotify { address: 0x0200_0000, size: 4, queue: 1 };

fn word(operand: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(operand[at..at + 4].try_into().expect("4 bytes"))
}

fn long(operand: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(operand[at..at + 8].try_into().expect("8 bytes"))
}

#[test]
fn the_kernel_is_told_what_counts_and_when_it_ends() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let mut flags = vec![0, 1].into_iter();
    let mut mapped = 0;
    let _fake = driver(&log, move |opcode, operand| {
        if opcode == RESOURCE {
            mapped = long(operand, 24);
        }
        if opcode == IOEVENTFD {
            assert_eq!(long(operand, 0), mapped, "the page");
            let ports: usize = usize::try_from(long(operand, 8)).expect("an address");
            // SAFETY: the request says that there are two.
            let ports = unsafe { std::ptr::with_exposed_provenance::<[u32; 2]>(ports).read() };
            assert_eq!(ports, [7, 9]);
            assert_eq!(long(operand, 16), 0x0200_0000);
            assert_eq!([24, 32, 36].map(|at| word(operand, at)), [4, 2, 1], "size, vCPUs, queue");
            assert_eq!(Some(word(operand, 40)), flags.next());
            assert_eq!(operand[44..], [3, 0, 0, 0]);
        }
        Ok(0)
    });
    let page = memory.map_resource(guest(), Resource::IoreqServer { id: 0 }, 1, 1).expect("mapped");
    let page = Arc::new(page);
    let ports = [7, 9].map(Port::new);
    let event = memory.ioeventfd(guest(), &page, &ports, NOTIFY, ram.as_fd()).expect("assigned");
    assert_eq!(event.notify(), NOTIFY);
    drop(page);
    drop(event);
    let expected = [
        "mmap 0x0+0x1000 rw",
        "resource 3 0 0 1 1 0",
        "ioctl 0x40305009",
        "ioctl 0x40305009",
        "munmap 0x1000",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_page_that_the_kernel_goes_on_using_stays() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let mut calls = 0;
    let _fake = driver(&log, move |opcode, _| {
        calls += u32::from(opcode == IOEVENTFD);
        if calls == 2 { errno(EINVAL) } else { Ok(0) }
    });
    let page = memory.map_resource(guest(), Resource::IoreqServer { id: 0 }, 1, 1).expect("mapped");
    let page = Arc::new(page);
    drop(memory.ioeventfd(guest(), &page, &[Port::new(7)], NOTIFY, ram.as_fd()).expect("assigned"));
    drop(page);
    assert_eq!(log.borrow().last().map(String::as_str), Some("ioctl 0x40305009"), "not unmapped");
}

#[test]
fn what_cannot_be_is_refused_before_the_kernel_sees_it() {
    let log = Log::default();
    let (memory, ram) = foreign_memory();
    let _fake = driver(&log, |opcode, _| if opcode == IOEVENTFD { errno(EOPNOTSUPP) } else { Ok(0) });
    let page = memory.map_resource(guest(), Resource::IoreqServer { id: 0 }, 1, 1).expect("mapped");
    let page = Arc::new(page);
    let asked = |ports: &[Port], size| {
        let notify = QueueNotify { size, ..NOTIFY };
        memory.ioeventfd(guest(), &page, ports, notify, ram.as_fd()).expect_err("refused")
    };
    let port = Port::new(7);
    for error in [asked(&[], 4), asked(&[port; 129], 4), asked(&[port], 3), asked(&[port], 0)] {
        assert!(matches!(error, Error::Ioeventfd { address: 0x0200_0000, .. }), "{error:?}");
    }
    assert_eq!(log.borrow().len(), 2);
    let error = asked(&[port; 128], 8);
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    assert_eq!(log.borrow().len(), 3, "and it is not told again");
}
