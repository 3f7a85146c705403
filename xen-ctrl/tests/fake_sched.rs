//! vCPUs, schedulers and cpupools where the machines of the tests have too few CPUs or another scheduler: the bytes of what is asked,
//! at the offsets that the headers give, and the answers.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use xen_call::Xencall;
use xen_ctrl::sched::{Credit, Reservation, Scheduler, Share, Slot};
use xen_ctrl::vcpu::{ExtendedState, Msr};
use xen_ctrl::{CpuMap, DomId, Domain, Error, VcpuId, Xenctrl};
use xen_sys::linux::fake::{self, Call};

const HYPERCALL: u32 = 0x0030_5000;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EAGAIN: i32 = 11;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

const PHYSINFO: u32 = 3;
const SCHED_ID: u32 = 4;
const CPUPOOL_OP: u32 = 18;
const GETDOMAININFO: u32 = 5;

/// What the hypervisor is asked: a sysctl, or a domctl for domain 7, its number, and the record.
struct Asked<'a> {
    command: u32,
    record: &'a mut [u8],
}

impl Asked<'_> {
    fn u16(&self, offset: usize) -> u16 {
        u16::from_ne_bytes(self.record[offset..offset + 2].try_into().expect("2 bytes"))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.record[offset..offset + 4].try_into().expect("4 bytes"))
    }

    fn u64(&self, offset: usize) -> u64 {
        u64::from_ne_bytes(self.record[offset..offset + 8].try_into().expect("8 bytes"))
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.record[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// Memory whose address the record has.
    fn memory(&mut self, offset: usize, length: usize) -> &mut [u8] {
        let address = usize::try_from(self.u64(offset)).expect("an address");
        // SAFETY: the caller lent at least as much, and nobody else looks at it meanwhile.
        unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), length) }
    }
}

/// Xen 4.17 on a host of 16 CPUs. `sysctl` and `domctl` answer, apart from what opening the handle and sizing the maps takes.
fn xen(
    mut sysctl: impl FnMut(Asked<'_>) -> Result<(), i32> + 'static,
    mut domctl: impl FnMut(Asked<'_>) -> Result<(), i32> + 'static,
) -> (fake::Installed, Xenctrl) {
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let word =
            |index: usize| u64::from_ne_bytes(operand[index * 8..index * 8 + 8].try_into().expect("8 bytes"));
        let structure = |length: usize| {
            let address = usize::try_from(word(1)).expect("an address");
            // SAFETY: the argument of both hypercalls is a structure of so many bytes, which nobody else looks at meanwhile.
            unsafe { std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(address), length) }
        };
        let command = |bytes: &[u8]| u32::from_ne_bytes(bytes[..4].try_into().expect("4 bytes"));
        let answer = match word(0) {
            17 => return Ok(0x4_0011), // xen_version
            35 => {
                let bytes: &mut [u8] = structure(136);
                let mut asked = Asked { command: command(bytes), record: &mut bytes[8..] };
                match asked.command {
                    SCHED_ID => Ok(()),
                    PHYSINFO => {
                        asked.put(12, &15_u32.to_ne_bytes());
                        Ok(())
                    }
                    _ => sysctl(asked),
                }
            }
            36 => {
                let bytes: &mut [u8] = structure(144);
                if command(bytes) == GETDOMAININFO && bytes[8] == 0 {
                    return Ok(0); // asked when the handle is opened
                }
                assert_eq!(bytes[8..16], [7, 0, 0, 0, 0, 0, 0, 0], "the domain");
                domctl(Asked { command: command(bytes), record: &mut bytes[16..] })
            }
            other => panic!("hypercall {other}"),
        };
        answer.map(|()| 0).map_err(io::Error::from_raw_os_error)
    });
    let memfd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    // SAFETY: the fake kernel takes every request. Mappings of one memfd would all be the same memory, so there is none for them.
    let xencall = unsafe { Xencall::from_fds(memfd, None) }.expect("a handle");
    let xen = Xenctrl::new(xencall).expect("Xen 4.17");
    xen.abi().expect("asked for before the test begins");
    (installed, xen)
}

type Log = Rc<RefCell<Vec<String>>>;

fn nobody(Asked { command, .. }: Asked<'_>) -> Result<(), i32> {
    panic!("asked for {command}")
}

fn domain(xen: &Xenctrl) -> Domain<'_> {
    xen.domain(DomId::new(7).expect("ordinary"))
}

/// What the hypervisor notes down, for it and for the test.
fn log() -> (Log, Log) {
    let log = Log::default();
    (Rc::clone(&log), log)
}

#[test]
fn shares_are_read_and_set_with_the_scheduler_that_was_named() {
    let (log, noted) = log();
    let (_fake, xen) = xen(nobody, move |mut asked| {
        assert_eq!(asked.command, 16);
        let words = (asked.u32(0), asked.u32(4), asked.u16(8), asked.u16(10));
        noted.borrow_mut().push(format!("{words:?}"));
        if asked.u32(4) == 1 {
            asked.put(8, &300_u16.to_ne_bytes());
            asked.put(10, &25_u16.to_ne_bytes());
        }
        Ok(())
    });
    let domain = domain(&xen);
    assert_eq!(domain.credit().expect("answered"), Share { weight: 300, cap: Some(25) });
    assert_eq!(domain.credit2().expect("answered"), Share { weight: 300, cap: Some(25) });
    domain.set_credit(Share { weight: 512, cap: Some(50) }).expect("taken");
    domain.set_credit2(Share::default()).expect("taken");
    assert_eq!(*log.borrow(), ["(5, 1, 0, 0)", "(6, 1, 0, 0)", "(5, 0, 512, 50)", "(6, 0, 256, 0)"]);
}

#[test]
fn reservations_are_in_microseconds_and_long_lists_go_on_where_xen_stopped() {
    let (log, noted) = log();
    let (_fake, xen) = xen(nobody, move |mut asked| {
        assert_eq!((asked.command, asked.u32(0)), (16, 8));
        match asked.u32(4) {
            0 => noted.borrow_mut().push(format!("{:?}", [asked.u32(8), asked.u32(12), asked.u32(16)])),
            1 => {
                asked.put(8, &20_000_u32.to_ne_bytes());
                asked.put(12, &5_000_u32.to_ne_bytes());
                asked.put(16, &1_u32.to_ne_bytes());
            }
            cmd => {
                let count = asked.u32(16);
                let list = asked.memory(8, usize::try_from(count).expect("few") * 16);
                noted.borrow_mut().push(format!("{cmd}: {count} from {:?}", &list[..16]));
                for vcpu in list.chunks_mut(16).filter(|_| cmd == 3) {
                    let number = u32::from_ne_bytes(vcpu[12..].try_into().expect("4 bytes"));
                    vcpu[..4].copy_from_slice(&(1000 + number).to_ne_bytes());
                }
                asked.put(16, &count.min(64).to_ne_bytes());
            }
        }
        Ok(())
    });
    let domain = domain(&xen);
    let default = domain.rtds_default().expect("answered");
    let (period, budget) = (Duration::from_millis(20), Duration::from_millis(5));
    assert_eq!(default, Reservation { period, budget, extra_time: true });
    domain.set_rtds(period, budget).expect("taken");

    let vcpus: Vec<_> = (0..100).map(VcpuId::new).collect();
    let answers = domain.rtds(&vcpus).expect("answered");
    assert_eq!(answers.len(), 100);
    for (answer, number) in answers.iter().zip(1000..) {
        assert_eq!(answer.period, Duration::from_micros(number));
    }
    domain.set_rtds_vcpus(&[(VcpuId::new(3), default)]).expect("taken");
    assert_eq!(
        *log.borrow(),
        [
            "[20000, 5000, 0]",
            "3: 100 from [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
            "3: 36 from [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0]",
            "2: 1 from [32, 78, 0, 0, 136, 19, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0]",
        ]
    );
}

#[test]
fn the_schedulers_of_a_cpupool_are_told() {
    let (log, noted) = log();
    let sysctl = move |mut asked: Asked<'_>| {
        assert_eq!((asked.command, asked.u32(0)), (19, 2), "scheduler_op, cpupool 2");
        let (scheduler, cmd) = (asked.u32(4), asked.u32(8));
        if scheduler == 7 {
            let schedule = asked.memory(16, 2064);
            schedule[..8].copy_from_slice(&1_000_000_u64.to_ne_bytes());
            schedule[8] = 1;
            schedule[16..32].fill(9);
            schedule[32..36].copy_from_slice(&2_u32.to_ne_bytes());
            schedule[40..48].copy_from_slice(&400_u64.to_ne_bytes());
        } else if cmd == 1 {
            for (offset, value) in [(16, 30_u32), (20, 1000), (24, 50)] {
                asked.put(offset, &value.to_ne_bytes());
            }
        } else {
            let words = [asked.u32(16), asked.u32(20), asked.u32(24)];
            noted.borrow_mut().push(format!("{scheduler}: {words:?}"));
        }
        Ok(())
    };
    let (_fake, xen) = xen(sysctl, nobody);
    let pool = xen.cpupool(2);
    let credit = pool.credit().expect("answered");
    assert_eq!(credit, Credit { migration_delay: Duration::from_micros(50), ..Credit::default() });
    pool.set_credit(&Credit { timeslice: Duration::from_millis(5), ..credit }).expect("taken");
    assert_eq!(pool.credit2_ratelimit().expect("answered"), Duration::from_micros(30));
    pool.set_credit2_ratelimit(Duration::from_millis(2)).expect("taken");
    assert_eq!(*log.borrow(), ["5: [5, 1000, 50]", "6: [2000, 0, 0]"]);

    let schedule = pool.arinc653_schedule().expect("answered");
    assert_eq!(schedule.major_frame, Duration::from_millis(1));
    let domain = xen_ctrl::domain::Uuid([9; 16]);
    assert_eq!(schedule.slots, [Slot { domain, vcpu: VcpuId::new(2), runtime: Duration::from_nanos(400) }]);
}

#[test]
fn cpupools_are_found_whatever_their_numbers() {
    let sysctl = |mut asked: Asked<'_>| {
        assert_eq!(asked.command, CPUPOOL_OP);
        let (op, id) = (asked.u32(0), asked.u32(4));
        assert_eq!(asked.u32(32), if op == 1 { 0 } else { 16 }, "bits for the CPUs of the host");
        match (op, id) {
            (1, u32::MAX) => {
                assert_eq!(asked.u32(8), 8, "the scheduler");
                asked.put(4, &7_u32.to_ne_bytes());
            }
            (3, 0) => {
                asked.put(8, &6_u32.to_ne_bytes());
                asked.put(20, &3_u32.to_ne_bytes());
                asked.memory(24, 2).copy_from_slice(&[0x0f, 0x80]);
            }
            (3, 1..=7) => {
                asked.put(4, &7_u32.to_ne_bytes());
                asked.put(8, &8_u32.to_ne_bytes());
            }
            (3, _) => return Err(ENOENT),
            (7, _) => asked.memory(24, 2).copy_from_slice(&[0x30, 0]),
            other => panic!("asked for {other:?}"),
        }
        Ok(())
    };
    let (_fake, xen) = xen(sysctl, nobody);
    assert_eq!(xen.create_cpupool(Scheduler::Rtds, None).expect("made").id(), 7);
    let pools = xen.cpupools().expect("a list");
    let seen: Vec<_> =
        pools.iter().map(|pool| (pool.id, pool.scheduler, pool.domains, pool.cpus.to_string())).collect();
    assert_eq!(
        seen,
        [(0, Scheduler::Credit2, 3, "0-3,15".to_owned()), (7, Scheduler::Rtds, 0, String::new())]
    );
    assert_eq!(xen.free_cpus().expect("answered").to_string(), "4-5");
    assert_eq!(xen.cpupool(7).info().expect("there"), pools[1]);
    let error = xen.cpupool(5).info().expect_err("7 is no answer for 5");
    assert_eq!(error.errno(), Some(ENOENT));
}

#[test]
fn xen_is_given_time_but_not_for_ever() {
    let (log, noted) = log();
    let sysctl = move |asked: Asked<'_>| {
        let mut noted = noted.borrow_mut();
        noted.push(format!(
            "op {} pool {} domain {} cpu {}",
            asked.u32(0),
            asked.u32(4),
            asked.u32(12),
            asked.u32(16)
        ));
        match asked.u32(0) {
            5 if noted.len() < 4 => Err(EAGAIN),
            2 => Err(EBUSY),
            _ => Ok(()),
        }
    };
    let (_fake, xen) = xen(sysctl, nobody);
    let pool = xen.cpupool(2);
    pool.remove_cpu(3).expect("at the fourth try");
    assert_eq!(log.borrow().len(), 4);
    pool.add_cpu(4).expect("taken");
    pool.move_domain(DomId::new(7).expect("ordinary")).expect("moved");
    assert_eq!(
        log.borrow()[3..],
        ["op 5 pool 2 domain 0 cpu 3", "op 4 pool 2 domain 0 cpu 4", "op 6 pool 2 domain 7 cpu 0"]
    );
    log.borrow_mut().clear();
    let error = pool.destroy().expect_err("a domain is in it");
    assert_eq!((error.errno(), log.borrow().len()), (Some(EBUSY), 50));
}

#[test]
fn affinities_are_sent_and_come_back_as_what_they_come_to() {
    let (log, noted) = log();
    let domctl = move |mut asked: Asked<'_>| {
        let (vcpu, flags) = (asked.u32(0), asked.u32(4));
        assert_eq!(vcpu, 1);
        match (asked.command, flags) {
            (25, 3) => {
                asked.memory(8, 2).copy_from_slice(&[0xff, 0xff]);
                asked.memory(24, 2).copy_from_slice(&[0x02, 0]);
            }
            (9, _) => {
                let offset = if flags & 1 == 1 { 8 } else { 24 };
                assert_eq!(asked.u32(offset + 8), 16, "bits");
                assert_eq!(asked.u32(40 - offset), 0, "the other one stays");
                let map = asked.memory(offset, 2);
                noted.borrow_mut().push(format!("{flags}: {map:?}"));
                map[0] &= 0x0f;
            }
            other => panic!("asked for {other:?}"),
        }
        Ok(())
    };
    let (_fake, xen) = xen(nobody, domctl);
    let vcpu = domain(&xen).vcpu(VcpuId::new(1));
    let affinity = vcpu.affinity().expect("answered");
    assert_eq!((affinity.hard.to_string(), affinity.soft.to_string()), ("0-15".into(), "1".into()));
    let wanted: CpuMap = "2-5,99".parse().expect("a list");
    assert_eq!(vcpu.set_hard_affinity(&wanted).expect("taken").to_string(), "2-3");
    assert_eq!(vcpu.set_soft_affinity(&wanted).expect("taken").to_string(), "2-3");
    assert_eq!(vcpu.force_hard_affinity(&wanted).expect("taken").to_string(), "2-3");
    assert_eq!(*log.borrow(), ["1: [60, 0]", "2: [60, 0]", "5: [60, 0]"]);
}

#[test]
fn a_vcpu_that_is_not_there_is_no_missing_domain() {
    for is_there in [true, false] {
        let domctl = move |mut asked: Asked<'_>| match asked.command {
            GETDOMAININFO if is_there => {
                asked.put(0, &7_u16.to_ne_bytes());
                Ok(())
            }
            _ => Err(ESRCH),
        };
        let (_fake, xen) = xen(nobody, domctl);
        let error = domain(&xen).vcpu(VcpuId::new(9)).info().expect_err("not there");
        match error {
            Error::Refused { .. } => assert!(is_there && error.errno() == Some(ESRCH), "{error}"),
            Error::NoSuchDomain { .. } => assert!(!is_there, "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn state_that_migrates_is_sized_first() {
    let (log, noted) = log();
    let domctl = move |mut asked: Asked<'_>| {
        let is_query = asked.command == 63 && asked.u64(16) == 0;
        match asked.command {
            63 if is_query => {
                asked.put(8, &7_u64.to_ne_bytes());
                asked.put(16, &40_u64.to_ne_bytes());
            }
            63 => {
                assert_eq!((asked.u64(8), asked.u64(16)), (7, 40));
                let state = asked.memory(24, 40);
                (state[0], state[8], state[16]) = (3, 7, 0xaa);
                asked.put(16, &32_u64.to_ne_bytes());
            }
            72 if asked.u64(8) == 0 => asked.put(4, &3_u32.to_ne_bytes()),
            72 => {
                assert_eq!(asked.u32(4), 3);
                let msrs = asked.memory(8, 16);
                (msrs[0], msrs[8]) = (0x48, 1);
                asked.put(4, &1_u32.to_ne_bytes());
            }
            command => {
                let (length, offset) = if command == 62 { (32, 24) } else { (16, 8) };
                noted.borrow_mut().push(format!("{command}: {:?}", asked.memory(offset, length)));
            }
        }
        Ok(())
    };
    let (_fake, xen) = xen(nobody, domctl);
    let vcpu = domain(&xen).vcpu(VcpuId::new(0));
    let state = vcpu.extended_state().expect("answered");
    let mut area = vec![0; 16];
    area[0] = 0xaa;
    assert_eq!(state, ExtendedState { features: 7, xcr0: 3, xcr0_accumulated: 7, area });
    vcpu.set_extended_state(&state).expect("taken");
    let msrs = vcpu.msrs().expect("answered");
    assert_eq!(msrs, [Msr { index: 0x48, value: 1 }]);
    vcpu.set_msrs(&msrs).expect("taken");
    assert_eq!(
        *log.borrow(),
        [
            format!("62: {:?}", [&[3, 0, 0, 0, 0, 0, 0, 0, 7][..], &[0; 7], &[0xaa], &[0; 15]].concat()),
            format!("73: {:?}", [&[0x48][..], &[0; 7], &[1], &[0; 7]].concat()),
        ]
    );
}

#[test]
fn the_register_that_cannot_be_set_is_told() {
    for is_there in [true, false] {
        let domctl = move |mut asked: Asked<'_>| match asked.command {
            73 if is_there => {
                assert_eq!(asked.u32(4), 3);
                asked.put(4, &1_u32.to_ne_bytes());
                Err(EINVAL)
            }
            _ => Err(ESRCH),
        };
        let (_fake, xen) = xen(nobody, domctl);
        let msrs = [0x48, 0xdead, 0x49].map(|index| Msr { index, value: 1 });
        let error = domain(&xen).vcpu(VcpuId::new(0)).set_msrs(&msrs).expect_err("there is none");
        match error {
            Error::Incomplete { done: 1, asked: 3, .. } => {
                assert!(is_there && error.errno() == Some(EINVAL));
                assert!(error.to_string().ends_with("was possible for 1 of 3 only"), "{error}");
            }
            Error::NoSuchDomain { .. } => assert!(!is_there, "{error}"),
            other => panic!("{other:?}"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn registers_of_a_32_bit_guest_are_not_mistaken() {
    let domctl = |mut asked: Asked<'_>| {
        assert_eq!(asked.command, 36, "the width, and nothing else");
        asked.put(0, &32_u32.to_ne_bytes());
        Ok(())
    };
    let (_fake, xen) = xen(nobody, domctl);
    let error = domain(&xen).vcpu(VcpuId::new(0)).context().expect_err("another form");
    assert!(matches!(error, Error::Unsupported { operation: "XEN_DOMCTL_getvcpucontext", .. }), "{error:?}");
}
