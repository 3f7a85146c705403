//! What a healthy kernel never does, exact bytes, and the number of calls.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use xen_call::{Error, HypercallBuffer, HypercallNumber, Multicall, Operation, Xencall, version};
use xen_sys::linux::fake::{self, Call};
use xen_sys::xen_public::multicall::MulticallEntry;
use xen_sys::xen_public::version::{FeatureInfo, PageSize, Version};
use xen_sys::{DomId, OtherDomain};

const HYPERCALL: u32 = 0x0030_5000;
const EPERM: i32 = 1;
const EFAULT: i32 = 14;
const ENOSYS: i32 = 38;

fn memfd() -> OwnedFd {
    let fd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    rustix::fs::ftruncate(&fd, 1 << 22).expect("room");
    fd
}

fn xencall() -> Xencall {
    // Each mapping of it is memory of its own.
    let zeros = File::options().read(true).write(true).open("/dev/zero").expect("always there");
    // SAFETY: the fake kernel takes every request.
    unsafe { Xencall::from_fds(memfd(), Some(zeros.into())) }.expect("a handle")
}

/// A hypervisor: gets number and arguments, gives a result or an errno; the calls that were made are noted down.
fn xen(
    mut answer: impl FnMut(u64, [u64; 5]) -> Result<usize, i32> + 'static,
) -> (fake::Installed, Rc<RefCell<Vec<String>>>) {
    let log = Rc::<RefCell<Vec<String>>>::default();
    let noted = Rc::clone(&log);
    let installed = fake::install(move |call| match call {
        Call::Ioctl { opcode: HYPERCALL, operand } => {
            let words: Vec<u64> =
                operand.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes"))).collect();
            noted.borrow_mut().push(format!("hypercall {}", words[0]));
            let arguments = words[1..].try_into().expect("five");
            answer(words[0], arguments).map_err(io::Error::from_raw_os_error)
        }
        Call::Mmap { length, .. } => {
            noted.borrow_mut().push(format!("mmap {length}"));
            Ok(0)
        }
        Call::Munmap { length } => {
            noted.borrow_mut().push(format!("munmap {length}"));
            Ok(0)
        }
        _ => Ok(0),
    });
    (installed, log)
}

/// What lies at an address that the hypervisor was given.
fn at<T>(address: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"))
}

#[test]
fn an_operation_is_one_call_in_pooled_memory() {
    let (_fake, log) = xen(|number, [command, record, ..]| {
        assert_eq!((number, command), (17, 6));
        // SAFETY: the record of this command.
        let record = unsafe { &mut *at::<FeatureInfo>(record) };
        record.submap = record.submap_idx + 40;
        Ok(0)
    });
    let xencall = xencall();
    assert_eq!(version::features(&xencall, 2).expect("answered"), 42);
    assert_eq!(version::features(&xencall, 3).expect("answered"), 43);
    assert_eq!(*log.borrow(), ["mmap 16384", "hypercall 17", "hypercall 17"]);
}

#[test]
fn an_attempt_keeps_the_record_of_a_refused_operation() {
    let (_fake, log) = xen(|_, [_, record, ..]| {
        // SAFETY: the record of this command.
        unsafe { (*at::<FeatureInfo>(record)).submap = 42 };
        Err(ENOSYS)
    });
    let xencall = xencall();
    let attempt = xencall.attempt(&FeatureInfo { submap_idx: 2, submap: 0 }).expect("issued");
    assert_eq!(attempt.record.submap, 42);
    assert_eq!(attempt.result.expect_err("refused").errno(), Some(ENOSYS));
    assert_eq!(*log.borrow(), ["mmap 16384", "hypercall 17"]);
}

#[test]
fn errors_name_operation_and_errno() {
    let (_fake, _) = xen(|_, _| Err(ENOSYS));
    let error = version::page_size(&xencall()).expect_err("refused");
    assert_eq!(error.to_string(), "XENVER_pagesize failed");
    assert_eq!(error.errno(), Some(ENOSYS));
    // SAFETY: a number that Xen does not know; no memory.
    let error = unsafe { xencall().hypercall(HypercallNumber::DOMCTL, [0; 5]) }.expect_err("refused");
    assert_eq!(error.to_string(), "__HYPERVISOR_domctl failed");
}

#[test]
fn a_kernel_that_blocks_everything_is_not_taken_for_xen() {
    let (_fake, _) = xen(|_, _| Err(EPERM));
    let error = version::page_size(&xencall()).expect_err("blocked");
    // On this machine, which is not dom0.
    assert!(matches!(error, Error::LockedDown { operation: "XENVER_pagesize" }), "{error:?}");
    assert!(error.to_string().contains("xen_privcmd.unrestricted=1"), "{error}");
}

#[test]
fn xens_own_refusal_stays_one() {
    let (_fake, _) = xen(|number, _| if number == 17 { Ok(0x4_0011) } else { Err(EPERM) });
    // SAFETY: refused.
    let error = unsafe { xencall().hypercall(HypercallNumber::DOMCTL, [0; 5]) }.expect_err("refused");
    assert!(matches!(error, Error::Hypercall { .. }) && error.errno() == Some(EPERM), "{error:?}");
}

#[test]
fn spurious_faults_are_repeated_only_where_they_can_be() {
    let (_fake, log) = xen(|_, _| Err(EFAULT));
    let never_faults = xencall();
    assert!(never_faults.buffers_never_fault());
    assert_eq!(version::features(&never_faults, 0).expect_err("a fault").errno(), Some(EFAULT));
    assert_eq!(*log.borrow(), ["mmap 16384", "hypercall 17"]);

    if std::path::Path::new("/dev/xen/hypercall").exists() {
        return;
    }
    log.borrow_mut().clear();
    // SAFETY: the fake kernel takes every request.
    let may_fault = unsafe { Xencall::from_fds(memfd(), None) }.expect("a handle");
    assert!(!may_fault.buffers_never_fault());
    assert_eq!(version::features(&may_fault, 0).expect_err("a fault").errno(), Some(EFAULT));
    assert_eq!(*log.borrow(), ["hypercall 17", "hypercall 17", "hypercall 17"]);
}

#[test]
fn results_of_64_bits_go_through_a_multicall() {
    let (_fake, log) = xen(|number, [list, count, ..]| {
        assert_eq!((number, count), (13, 1));
        // SAFETY: a list of one entry.
        let entry = unsafe { &mut *at::<MulticallEntry>(list) };
        assert_eq!((entry.op, entry.args), (12, [2, 0, 7, 0, 0, 0]));
        entry.result = 0x12_3456_789a;
        Ok(0)
    });
    let xencall = xencall();
    // SAFETY: no memory is in the arguments.
    let result = unsafe { xencall.hypercall_wide(HypercallNumber::MEMORY_OP, [2, 0, 7, 0, 0]) };
    assert_eq!(result.expect("answered"), 0x12_3456_789a);
    assert_eq!(log.borrow().len(), 2);
}

#[test]
fn a_multicall_keeps_results_apart() {
    let (_fake, log) = xen(|_, [list, count, ..]| {
        // SAFETY: a list of `count` entries.
        let list = unsafe {
            std::slice::from_raw_parts_mut(at::<MulticallEntry>(list), usize::try_from(count).expect("few"))
        };
        for entry in list {
            entry.result = match entry.args[0] {
                0 => 0x4_0014,
                6 => -22,
                _ => 4096,
            };
        }
        Ok(0)
    });
    let xencall = xencall();
    let mut calls = Multicall::new(&xencall);
    let version = calls.push(Version).expect("pushed");
    let features = calls.push(FeatureInfo { submap_idx: 9, submap: 0 }).expect("pushed");
    let size = calls.push(PageSize).expect("pushed");
    assert_eq!(calls.len(), 3);
    let mut answers = calls.issue().expect("issued");
    assert_eq!(answers.take(version).expect("answered").value, 0x4_0014);
    let error = answers.take(features).expect_err("refused");
    assert_eq!((error.errno(), error.to_string().as_str()), (Some(22), "XENVER_get_features failed"));
    assert_eq!(answers.take(size).expect("answered").value, 4096);
    assert_eq!(log.borrow().iter().filter(|line| line.starts_with("hypercall")).count(), 1);
    drop(Multicall::new(&xencall).issue().expect("nothing to do"));
    assert_eq!(log.borrow().iter().filter(|line| line.starts_with("hypercall")).count(), 1);
}

#[test]
fn without_multicalls_operations_go_one_by_one() {
    let (_fake, log) = xen(|number, [first, ..]| match (number, first) {
        (13, _) => Err(38),
        (12, 2) => Ok(0x7fff_ffff),
        (17, 0) => Ok(0x4_000e),
        (17, 6) => Err(22),
        (17, _) => Ok(4096),
        other => panic!("{other:?}"),
    });
    let xencall = xencall();
    // SAFETY: no memory is in the arguments.
    let result = unsafe { xencall.hypercall_wide(HypercallNumber::MEMORY_OP, [2, 0, 7, 0, 0]) };
    assert_eq!(result.expect("answered"), 0x7fff_ffff);
    let mut calls = Multicall::new(&xencall);
    let version = calls.push(Version).expect("pushed");
    let features = calls.push(FeatureInfo { submap_idx: 9, submap: 0 }).expect("pushed");
    let size = calls.push(PageSize).expect("pushed");
    let mut answers = calls.issue().expect("issued");
    assert_eq!(answers.take(version).expect("answered").value, 0x4_000e);
    let error = answers.take(features).expect_err("refused");
    assert_eq!((error.errno(), error.to_string().as_str()), (Some(22), "XENVER_get_features failed"));
    assert_eq!(answers.take(size).expect("answered").value, 4096);
    let log = log.borrow();
    let calls: Vec<_> = log.iter().filter_map(|line| line.strip_prefix("hypercall ")).collect();
    assert_eq!(calls, ["13", "12", "13", "17", "17", "17"]);
}

#[test]
#[should_panic(expected = "another multicall")]
fn a_ticket_is_good_for_its_own_list() {
    let (_fake, _) = xen(|_, _| Ok(0));
    let xencall = xencall();
    let mut first = Multicall::new(&xencall);
    let ticket = first.push(Version).expect("pushed");
    let mut second = Multicall::new(&xencall);
    second.push(FeatureInfo { submap_idx: 0, submap: 0 }).expect("pushed");
    let mut answers = second.issue().expect("issued");
    let _ = answers.take(ticket);
}

#[test]
fn buffers_are_whole_apart_and_given_back() {
    let (_fake, log) = xen(|_, _| Ok(0));
    let xencall = xencall();
    let mut first = xencall.buffer([0x11_u8; 300]).expect("memory");
    let second = xencall.buffer([0x22_u8; 256]).expect("memory");
    first[299] = 0x33;
    assert_eq!(*second, [0x22; 256], "no overlap");
    drop((first, second));
    let zeroed: HypercallBuffer<[u64]> = xencall.zeroed_buffer(100).expect("memory");
    assert!(zeroed.iter().all(|&word| word == 0), "nothing of an earlier one shows");
    assert_eq!(zeroed.len(), 100);
    let copied = xencall.buffer_from(&[1_u32, 2, 3]).expect("memory");
    assert_eq!(*copied, [1, 2, 3]);
    assert_eq!(copied.address() % 256, 0);
    let empty: HypercallBuffer<[u64]> = xencall.zeroed_buffer(0).expect("memory");
    assert!(empty.is_empty());
    assert_eq!(*log.borrow(), ["mmap 16384"], "all of it from the pool");

    let large: HypercallBuffer<[u8]> = xencall.zeroed_buffer(20_000).expect("memory");
    drop(large);
    assert_eq!(log.borrow()[1..], ["mmap 20480", "munmap 20480"]);
    let refused: Result<HypercallBuffer<[u64]>, _> = xencall.zeroed_buffer(usize::MAX);
    assert!(matches!(refused, Err(Error::Memory { .. })), "{refused:?}");
}

#[test]
fn a_full_pool_is_no_obstacle() {
    let (_fake, log) = xen(|_, _| Ok(0));
    let xencall = xencall();
    let buffers: Vec<_> = (0..512_u64).map(|number| xencall.buffer([number; 32]).expect("memory")).collect();
    assert_eq!(*log.borrow(), ["mmap 16384"; 8], "a slab at a time");
    assert!(buffers.iter().zip(0..).all(|(buffer, number)| **buffer == [number; 32]));
    let beyond = xencall.buffer(7_u64).expect("memory of its own");
    assert_eq!(log.borrow().last().map(String::as_str), Some("mmap 4096"));
    drop((buffers, beyond));
    let sizes = [16_384, 1, 256, 257, 16_384, 5000];
    let buffers: Vec<HypercallBuffer<[u8]>> =
        sizes.iter().map(|&size| xencall.zeroed_buffer(size).expect("memory")).collect();
    assert_eq!(log.borrow().iter().filter(|line| line.starts_with("mmap")).count(), 9, "all was given back");
    drop(buffers);
}

#[test]
fn threads_take_and_give_back_without_losing_any() {
    let xencall = xencall();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let xencall = &xencall;
            scope.spawn(move || {
                for round in 0..2000_usize {
                    let mark = thread << 32 | round as u64;
                    let buffer = xencall.buffer([mark; 40]).expect("memory");
                    std::hint::black_box(&buffer);
                    assert_eq!(*buffer, [mark; 40], "nobody else wrote here");
                }
            });
        }
    });
    let (_fake, log) = xen(|_, _| Ok(0));
    let all: Vec<_> = (0..512).map(|_| xencall.buffer([0_u8; 256]).expect("memory")).collect();
    assert!(log.borrow().iter().all(|line| line == "mmap 16384"), "every unit of the pool is free again");
    drop(all);
}

#[test]
fn all_strings_come_by_either_call() {
    // Xen 4.17: no new calls.
    let (fake, _) = xen(|_, [command, record, ..]| match command {
        1 => {
            // SAFETY: the record of this command has 16 bytes.
            unsafe { at::<[u8; 16]>(record).write(*b".7-pre\0leftovers") };
            Ok(0)
        }
        _ => Err(ENOSYS),
    });
    assert_eq!(version::extra_version(&xencall()).expect("answered"), ".7-pre");
    drop(fake);
    // Xen 4.20.
    let (_fake, log) = xen(|_, [command, record, ..]| {
        assert_eq!(command, 11);
        // SAFETY: the record begins with the room for bytes behind it.
        let length = unsafe { at::<u32>(record).read() };
        assert_eq!(length, 2044);
        // SAFETY: so there is room for these.
        unsafe { at::<[u8; 26]>(record + 4).write(*b"-a-very-long-extra-version") };
        Ok(26)
    });
    let xencall = xencall();
    assert_eq!(version::extra_version(&xencall).expect("answered"), "-a-very-long-extra-version");
    assert_eq!(*log.borrow(), ["mmap 16384", "hypercall 17"]);
}

#[test]
fn handles_and_buffers_go_to_other_threads() {
    fn shared_between_threads<T: Send + Sync + 'static>() {}
    shared_between_threads::<Xencall>();
    shared_between_threads::<HypercallBuffer<[u64]>>();
    shared_between_threads::<Error>();
    assert_eq!(FeatureInfo::NAME, "XENVER_get_features");
}

#[test]
fn the_own_domain_is_asked_for_once_with_a_port_that_is_closed_again() {
    let (_fake, log) = xen(|number, [command, record, ..]| {
        assert_eq!(number, 32);
        let words: &mut [u32; 6] = match command {
            // SAFETY: of a length of 24 bytes
            5 => unsafe { &mut *at(record) },
            command => {
                // SAFETY: this one is shorter
                let word = unsafe { &mut *at::<u32>(record + if command == 6 { 4 } else { 0 }) };
                if command == 6 {
                    *word = 33;
                } else {
                    assert_eq!((command, *word), (3, 33), "the same port");
                }
                return Ok(0);
            }
        };
        assert_eq!(words[..2], [0x7ff0, 33]);
        words[4] = 7;
        Ok(0)
    });
    let xencall = xencall();
    let seven = DomId::new(7).expect("ordinary");
    assert_eq!(xencall.own_domain().expect("told"), seven);
    assert_eq!(xencall.other_domain(seven).expect("told"), None);
    assert_eq!(xencall.other_domain(DomId::SELF).expect("told"), None);
    assert_eq!(xencall.other_domain(DomId::ZERO).expect("told").map(OtherDomain::id), Some(DomId::ZERO));
    assert_eq!(log.borrow().iter().filter(|call| *call == "hypercall 32").count(), 3);
}

#[test]
fn the_port_is_closed_even_if_nothing_is_told() {
    let (_fake, log) = xen(|_, [command, ..]| if command == 5 { Err(EPERM) } else { Ok(0) });
    let error = xencall().own_domain().expect_err("not told");
    assert!(matches!(error, Error::Restricted { .. } | Error::LockedDown { .. }), "{error:?}");
    assert_eq!(log.borrow().iter().filter(|call| *call == "hypercall 32").count(), 3);
}
