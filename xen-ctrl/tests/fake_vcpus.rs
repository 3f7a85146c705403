//! Exact bytes of requests about vCPUs, and what is asked in which order.
#![cfg(target_arch = "x86_64")]
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use xen_call::Xencall;
use xen_ctrl::vcpu::{Callback, ExtendedContext, MachineCheck};
use xen_ctrl::{DomId, Error, VcpuId, Xenctrl};
use xen_sys::linux::fake::{self, Call};

const HYPERCALL: u32 = 0x0030_5000;
const ENODATA: i32 = 61;
const EINVAL: i32 = 22;

const HVM_OP: u64 = 34;
const SET_CONTEXT: u32 = 12;
const GET_CONTEXT: u32 = 13;
const GET_INFO: u32 = 5;
const GET_VCPU_INFO: u32 = 14;
const RESUME: u32 = 27;
const GET_ADDRESS_SIZE: u32 = 36;
const SET_EXTENDED: u32 = 42;
const GET_EXTENDED: u32 = 43;
const GET_HVM_RECORD: u32 = 55;

/// Where the operation's own record is in a domctl's.
const OWN: usize = 16;
/// Where a context has RAX, and how many bytes it has.
const RAX: usize = 600;
const CONTEXT: usize = 5168;

/// The caller's memory at an address that a request has.
fn memory<'a>(address: u64, length: usize) -> &'a mut [u8] {
    let address = std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"));
    // SAFETY: lent by a request, and at least that long; nobody else looks at it meanwhile.
    unsafe { std::slice::from_raw_parts_mut(address, length) }
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_ne_bytes(bytes[offset..offset + 4].try_into().expect("4 bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_ne_bytes(bytes[offset..offset + 8].try_into().expect("8 bytes"))
}

fn put(record: &mut [u8], offset: usize, bytes: &[u8]) {
    record[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Xen 4.20, whose answers `answer` gives: to a domctl, whose record it gets, or to another hypercall of this number.
fn xen(mut answer: impl FnMut(u64, &mut [u8]) -> Result<(), i32> + 'static) -> (fake::Installed, Xenctrl) {
    let mut probes = 3;
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let words: Vec<u64> = operand.chunks(8).map(|word| u64_at(word, 0)).collect();
        if probes > 0 {
            probes -= 1;
            return Ok(if words[0] == 17 { 0x4_0014 } else { 0 });
        }
        let record = match words[0] {
            36 => memory(words[1], 144),
            HVM_OP => memory(words[2], 16),
            other => panic!("hypercall {other}"),
        };
        answer(words[0], record).map(|()| 0).map_err(io::Error::from_raw_os_error)
    });
    let memfd = || -> OwnedFd {
        let fd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
        rustix::fs::ftruncate(&fd, 1 << 22).expect("room");
        fd
    };
    // SAFETY: the fake kernel takes every request.
    let xencall = unsafe { Xencall::from_fds(memfd(), Some(memfd())) }.expect("a handle");
    let xen = Xenctrl::new(xencall).expect("a known hypervisor");
    xen.abi().expect("asked for before the test begins");
    (installed, xen)
}

fn domain() -> DomId {
    DomId::new(7).expect("an ordinary number")
}

#[test]
fn an_extended_context_has_its_places() {
    let context = ExtendedContext {
        syscall32: Callback { address: 0x1111, code_segment: 0x22, disables_events: true },
        sysenter: Callback { address: 0x3333, code_segment: 0x44, disables_events: false },
        machine_check: MachineCheck { capabilities: 2, bank_control: [5, 6], extended_control: 1 },
    };
    let kept = Rc::new(RefCell::new(Vec::new()));
    let (_fake, xen) = xen(move |_, record| {
        assert_eq!(u32_at(record, OWN), 3, "the vCPU");
        match u32_at(record, 0) {
            SET_EXTENDED => *kept.borrow_mut() = record[OWN..OWN + 64].to_vec(),
            GET_EXTENDED => put(record, OWN, &kept.borrow()),
            other => panic!("domctl {other}"),
        }
        let own = &record[OWN..];
        assert_eq!((u32_at(own, 4), u64_at(own, 8), u64_at(own, 16)), (64, 0x1111, 0x3333));
        assert_eq!(own[24..32], [0x22, 0, 0x44, 0, 1, 0, 0, 0]);
        assert_eq!([32, 40, 48, 56].map(|offset| u64_at(own, offset)), [2, 5, 6, 1]);
        Ok(())
    });
    let vcpu = xen.domain(domain()).vcpu(VcpuId::new(3));
    vcpu.set_extended_context(&context).expect("set");
    assert_eq!(vcpu.extended_context().expect("there"), context);
}

#[test]
fn a_short_record_of_registers_is_taken_and_one_that_is_off_has_none() {
    let (_fake, xen) = xen(|_, record| {
        match u32_at(record, 0) {
            GET_VCPU_INFO => record[OWN + 4] = u8::from(u32_at(record, OWN) == 2),
            GET_HVM_RECORD => {
                let asked = (u32_at(record, OWN), u32_at(record, OWN + 4), u64_at(record, OWN + 8));
                assert_eq!(asked, (2, 2, 4096), "registers of vCPU 2, and room");
                let room = memory(u64_at(record, OWN + 16), 4096);
                put(room, 640, &0x1234_u64.to_ne_bytes());
                put(room, 672, &0x5000_u64.to_ne_bytes());
                put(record, OWN + 8, &680_u64.to_ne_bytes());
            }
            other => panic!("domctl {other}"),
        }
        Ok(())
    });
    let cpu = xen.domain(domain()).vcpu(VcpuId::new(2)).hvm_context().expect("there");
    assert_eq!((cpu.rip, cpu.cr3, cpu.cr4, cpu.msr_efer), (0x1234, 0x5000, 0, 0));
    let error = xen.domain(domain()).vcpu(VcpuId::new(1)).hvm_context().expect_err("off");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == Some(ENODATA), "{error:?}");
}

/// What is asked to resume a domain with these flags, whose callback is this; the RAX that it goes on with.
fn resume(flags: u32, callback: u64) -> (Vec<u32>, Option<u64>, Result<(), Error>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let rax = Rc::new(RefCell::new(None));
    let (log, set) = (Rc::clone(&asked), Rc::clone(&rax));
    let (_fake, xen) = xen(move |number, record| {
        if number == HVM_OP {
            assert_eq!((u32_at(record, 0), u32_at(record, 4)), (7, 0), "domain and parameter");
            put(record, 8, &callback.to_ne_bytes());
            log.borrow_mut().push(0);
            return Ok(());
        }
        let command = u32_at(record, 0);
        log.borrow_mut().push(command);
        let context = u64_at(record, OWN + 8);
        match command {
            GET_INFO => {
                put(record, OWN, &7_u16.to_ne_bytes());
                put(record, OWN + 4, &flags.to_ne_bytes());
            }
            GET_ADDRESS_SIZE => put(record, OWN, &64_u32.to_ne_bytes()),
            GET_CONTEXT => memory(context, CONTEXT).fill(0x77),
            SET_CONTEXT => {
                let context = memory(context, CONTEXT);
                let others = context[..RAX].iter().chain(&context[RAX + 8..]);
                assert!(others.copied().all(|byte| byte == 0x77), "the rest is as it was");
                *set.borrow_mut() = Some(u64_at(context, RAX));
            }
            _ => {}
        }
        Ok(())
    });
    let outcome = xen.domain(domain()).resume_cancelled();
    (asked.take(), rax.take(), outcome)
}

/// Shut down to suspend.
const SUSPENDED: u32 = 2 << 16 | 1 << 2;
const HVM: u32 = 1 << 1;
const ANSWERED: [u32; 4] = [GET_ADDRESS_SIZE, GET_CONTEXT, GET_ADDRESS_SIZE, SET_CONTEXT];

#[test]
fn a_cancelled_suspend_returns_1_to_who_has_asked() {
    let (asked, rax, outcome) = resume(SUSPENDED, 0);
    outcome.expect("resumed");
    assert_eq!((asked, rax), ([&[GET_INFO][..], &ANSWERED, &[RESUME]].concat(), Some(1)));
    let (asked, rax, outcome) = resume(SUSPENDED | HVM, 0xf3);
    outcome.expect("resumed");
    assert_eq!((asked, rax), ([&[GET_INFO, 0][..], &ANSWERED, &[RESUME]].concat(), Some(1)));
    let (asked, rax, outcome) = resume(SUSPENDED | HVM, 0);
    outcome.expect("resumed");
    assert_eq!((asked, rax), (vec![GET_INFO, 0, RESUME], None), "nobody has asked");
}

#[test]
fn registers_of_a_guest_that_has_not_suspended_are_left_alone() {
    const CRASHED: u32 = 3 << 16 | 1 << 2;
    for flags in [0, HVM, CRASHED] {
        let (asked, _, outcome) = resume(flags, 0xf3);
        assert_eq!(outcome.expect_err("not suspended").errno(), Some(EINVAL));
        assert_eq!(asked, [GET_INFO]);
    }
}
