//! Exact bytes of requests about domains, for hypervisors that no machine here runs, and answers that a healthy one does not give.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use xen_call::Xencall;
use xen_ctrl::domain::{
    Altp2m, Altp2mMode, ArmOptions, Binding, CreateDomain, CreateFlags, DomainCapabilities, DomainKind,
    GrantVersion, StateFlags, Trigger, Uuid, X86Emulation, X86Options,
};
#[cfg(target_arch = "x86_64")]
use xen_ctrl::host::{CpuPolicy, MsrValue};
use xen_ctrl::{DomId, Error, Pirq, Port, VcpuId, Virq, Xenctrl};
use xen_sys::linux::fake::{self, Call};

const HYPERCALL: u32 = 0x0030_5000;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EAGAIN: i32 = 11;

/// The versions of domctl and sysctl of Xen 4.14 to 4.22.
const INTERFACES: [(u32, u32); 9] = [
    (0x12, 0x13),
    (0x13, 0x13),
    (0x14, 0x14),
    (0x15, 0x15),
    (0x16, 0x15),
    (0x17, 0x15),
    (0x17, 0x15),
    (0x17, 0x16),
    (0x18, 0x16),
];

/// A hypercall: its number, the command of those that have one in front of the record, and the record.
struct Asked<'a> {
    number: u64,
    command: u64,
    record: &'a mut [u8],
}

impl Asked<'_> {
    fn u16(&self, offset: usize) -> u16 {
        u16::from_ne_bytes(self.record[offset..offset + 2].try_into().expect("2 bytes"))
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from_ne_bytes(self.record[offset..offset + 4].try_into().expect("4 bytes"))
    }

    fn put<const N: usize>(&mut self, offset: usize, bytes: [u8; N]) {
        self.record[offset..offset + N].copy_from_slice(&bytes);
    }
}

/// Xen 4.`minor`, whose hypercalls `answer` gives, apart from those that [`Xenctrl::new`] probes with.
fn xen(
    minor: u16,
    mut answer: impl FnMut(Asked<'_>) -> Result<usize, i32> + 'static,
) -> (fake::Installed, Xenctrl) {
    let mut probes = 3;
    let installed = fake::install(move |call| {
        let Call::Ioctl { opcode: HYPERCALL, operand } = call else { return Ok(0) };
        let words: Vec<u64> =
            operand.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes"))).collect();
        if probes > 0 {
            probes -= 1;
            return Ok(if words[0] == 17 { 0x4_0000 | usize::from(minor) } else { 0 });
        }
        let (command, address, length) = match words[0] {
            36 => (0, words[1], 144),
            35 => (0, words[1], 136),
            20 | 29 | 32 => (words[1], words[2], 24),
            other => panic!("hypercall {other}"),
        };
        let address = std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address"));
        // SAFETY: the record of this hypercall, or the unit of 256 bytes that it is in; nobody else looks at it meanwhile.
        let record = unsafe { std::slice::from_raw_parts_mut(address, length) };
        answer(Asked { number: words[0], command, record }).map_err(io::Error::from_raw_os_error)
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

fn domain(id: u16) -> DomId {
    DomId::new(id).expect("an ordinary number")
}

/// Everything that this hypervisor's record has a place for.
fn full_options(minor: u16) -> CreateDomain {
    let mut flags = CreateFlags::IOMMU | CreateFlags::XENSTORE;
    let mut options = CreateDomain::new(DomainKind::Hvm)
        .uuid(Uuid(*b"0123456789abcdef"))
        .ssidref(5)
        .own_iommu_tables()
        .max_vcpus(3)
        .max_port(99)
        .max_grant_frames(7);
    if minor >= 15 {
        flags |= CreateFlags::NESTED_VIRT;
        options = options.vmtrace(4096).x86(X86Options { emulation: None, relaxed_msrs: true });
    }
    if minor >= 16 {
        flags |= CreateFlags::VPMU;
        options = options.grant_version(GrantVersion::V1);
    }
    if minor >= 17 {
        options = options.cpupool(6);
    }
    if minor >= 19 {
        let views = (minor >= 21).then_some(20);
        options = options.altp2m(Altp2m { mode: Altp2mMode::External, views });
    }
    options.flags(flags).id(domain(77))
}

/// The words behind the part that all versions have, from byte 44 on.
fn expected_tail(minor: u16) -> &'static [u32] {
    match minor {
        14 => &[1],
        15 => &[4096, 1, 1],
        16 => &[1, 4096, 1, 1],
        17 | 18 => &[1, 4096, 6, 1, 1],
        19 | 20 => &[1, 2, 4096, 6, 1, 1],
        _ => &[1, 20 << 16 | 2, 4096, 6, 1, 1],
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn every_version_gets_its_form_of_createdomain() {
    for (minor, (domctl, _)) in (14..=22).zip(INTERFACES) {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&seen);
        let (_fake, xen) = xen(minor, move |mut asked| {
            let words: Vec<u32> = (0..36).map(|index| asked.u32(index * 4)).collect();
            if words[0] == 1 {
                asked.put(8, 78_u16.to_ne_bytes());
            }
            log.borrow_mut().push(words);
            Ok(0)
        });
        let created = xen.create_domain(&full_options(minor)).expect("created");
        assert_eq!(created.id(), domain(78), "4.{minor}: Xen says which one it is");
        assert_eq!((created.gic(), created.clock_frequency()), (None, None));
        drop(created);

        let seen = seen.borrow();
        let [create, destroy] = &seen[..] else { panic!("4.{minor}: {} hypercalls", seen.len()) };
        assert_eq!(create[..4], [1, domctl, 77, 0], "4.{minor}");
        assert_eq!(destroy[..4], [2, domctl, 78, 0], "4.{minor}: dropping destroys");
        let flags = match minor {
            14 => 0b11_0011,
            15 => 0b111_0011,
            _ => 0b1111_0011,
        };
        let uuid = [0x3332_3130, 0x3736_3534, 0x6261_3938, 0x6665_6463];
        assert_eq!(create[4], 5, "4.{minor}: ssidref");
        assert_eq!(create[5..9], uuid, "4.{minor}");
        assert_eq!(create[9..15], [flags, 1, 3, 99, 7, u32::MAX], "4.{minor}");
        let tail = expected_tail(minor);
        assert_eq!(create[15..15 + tail.len()], *tail, "4.{minor}");
        assert_eq!(create[15 + tail.len()..].iter().find(|word| **word != 0), None, "4.{minor}");
    }
}

#[test]
fn what_a_version_has_no_place_for_is_refused_before_the_hypercall() {
    let plain = CreateDomain::default;
    let views = |views| Altp2m { mode: Altp2mMode::Mixed, views };
    let cases = [
        (15, plain().flags(CreateFlags::NESTED_VIRT)),
        (15, plain().vmtrace(4096)),
        (16, plain().flags(CreateFlags::VPMU)),
        (16, plain().grant_version(GrantVersion::V2)),
        (17, plain().cpupool(0)),
        (19, plain().altp2m(views(None))),
        (21, plain().altp2m(views(Some(4)))),
        (21, plain().flags(CreateFlags::TRAP_UNMAPPED_ACCESSES)),
    ];
    for (needs, options) in cases {
        let (_fake, xen) = xen(needs - 1, |_| panic!("nothing is to be asked"));
        let error = xen.create_domain(&options).expect_err("not there");
        let Error::Unsupported { needs: Some(version), running, .. } = &error else { panic!("{error:?}") };
        assert_eq!((version.minor, running.minor), (needs, needs - 1), "{error}");
    }
    let (_fake, xen) = xen(20, |_| panic!("nothing is to be asked"));
    let foreign = if cfg!(target_arch = "x86_64") {
        plain().arm(ArmOptions { shared_interrupts: 32, ..ArmOptions::default() })
    } else {
        plain().x86(X86Options { emulation: Some(X86Emulation::PVH), relaxed_msrs: false })
    };
    let error = xen.create_domain(&foreign).expect_err("of another architecture");
    assert!(matches!(error, Error::Unsupported { needs: None, .. }), "{error:?}");
}

#[test]
fn a_kept_domain_lives_on_and_a_number_that_is_none_is_not_believed() {
    let (_fake, kept) = xen(14, |mut asked| {
        assert_eq!(asked.u32(0), 1, "it is created, and no more");
        asked.put(8, 5_u16.to_ne_bytes());
        Ok(0)
    });
    assert_eq!(kept.create_domain(&CreateDomain::default()).expect("created").keep().id(), domain(5));
    let (_fake, wrong) = xen(14, |mut asked| {
        asked.put(8, 0x7ff0_u16.to_ne_bytes());
        Ok(0)
    });
    let error = wrong.create_domain(&CreateDomain::default()).expect_err("an odd answer");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[test]
fn the_state_of_a_domain_has_no_version() {
    let (_fake, xen) = xen(21, |mut asked| {
        assert_eq!((asked.number, asked.u32(0), asked.u32(4)), (36, 90, 0));
        assert_eq!(asked.record[10..], [0; 134]);
        if asked.u16(8) == 0x7ff4 {
            asked.put(8, 9_u16.to_ne_bytes());
        }
        asked.put(16, 0b101_u16.to_ne_bytes());
        asked.put(18, 0b100_u16.to_ne_bytes());
        asked.put(24, 0x1234_5678_9abc_u64.to_ne_bytes());
        Ok(0)
    });
    let state = xen.domain(domain(3)).state().expect("there");
    assert_eq!((state.id, state.unique_id), (domain(3), 0x1234_5678_9abc));
    assert_eq!(state.flags, StateFlags::EXISTS | StateFlags::DYING);
    assert_eq!(state.capabilities, DomainCapabilities::XENSTORE);
    let changed = xen.next_changed_domain().expect("allowed").expect("one has changed");
    assert_eq!(changed.id, domain(9));
}

#[test]
fn no_changed_domain_is_no_error_and_an_old_hypervisor_is() {
    let (_fake, new) = xen(22, |_| Err(ENOENT));
    assert_eq!(new.next_changed_domain().expect("allowed"), None);
    let (_fake, old) = xen(20, |_| panic!("nothing is to be asked"));
    for error in
        [old.next_changed_domain().expect_err("too old"), old.domain(domain(3)).state().expect_err("too old")]
    {
        assert!(error.to_string().ends_with("this Xen 4.20: it needs Xen 4.21"), "{error}");
    }
    let (_fake, older) = xen(16, |_| panic!("nothing is to be asked"));
    let error = older.domain(domain(3)).paging_memory().expect_err("too old");
    assert!(error.to_string().ends_with("this Xen 4.16: it needs Xen 4.17"), "{error}");
}

#[test]
fn a_reset_of_ports_is_tried_again_but_not_for_ever() {
    let count = Rc::new(RefCell::new(0));
    let counted = Rc::clone(&count);
    let (_fake, xen) = xen(17, move |asked| {
        assert_eq!((asked.number, asked.command, asked.u16(0)), (32, 10, 3));
        *counted.borrow_mut() += 1;
        if *counted.borrow() == 3 { Ok(0) } else { Err(EAGAIN) }
    });
    xen.domain(domain(3)).reset_ports().expect("the third time");
    assert_eq!(*count.borrow(), 3);
    let error = xen.domain(domain(3)).reset_ports().expect_err("it goes on");
    assert_eq!((error.errno(), *count.borrow()), (Some(EAGAIN), 3 + 16));
}

#[test]
fn a_port_is_told_by_its_status() {
    let (_fake, xen) = xen(17, |mut asked| {
        assert_eq!((asked.number, asked.command, asked.u16(0)), (32, 5, 3));
        let status = asked.u32(4);
        asked.put(8, status.to_ne_bytes());
        asked.put(12, 2_u32.to_ne_bytes());
        asked.put(16, 0x1_0005_u32.to_ne_bytes());
        asked.put(20, 70_u32.to_ne_bytes());
        Ok(0)
    });
    let bindings = [
        Binding::Closed,
        Binding::Unbound { remote: Some(domain(5)) },
        Binding::Interdomain { remote: domain(5), port: Port::new(70) },
        Binding::Pirq(Pirq::new(0x1_0005)),
        Binding::Virq(Virq::new(0x1_0005)),
        Binding::Ipi,
        Binding::Other(6),
    ];
    for (port, expected) in (0..).zip(bindings) {
        let info = xen.domain(domain(3)).port_info(Port::new(port)).expect("there");
        assert_eq!((info.binding, info.vcpu), (expected, VcpuId::new(2)));
    }
}

#[test]
fn the_status_of_a_grant_operation_is_an_error() {
    let (_fake, xen) = xen(17, |mut asked| {
        assert_eq!((asked.number, asked.command), (20, 6));
        let status = [-2_i16, -8, -13, -1][usize::from(asked.u16(0))];
        asked.put(12, status.to_ne_bytes());
        Ok(0)
    });
    let errors = [0, 1, 2, 3].map(|id| xen.domain(domain(id)).grant_table_size().expect_err("refused"));
    assert!(matches!(&errors[0], Error::NoSuchDomain { operation: "GNTTABOP_query_size", .. }), "{errors:?}");
    assert!(matches!(&errors[1], Error::Denied { .. }), "{errors:?}");
    assert_eq!((errors[2].errno(), errors[3].errno()), (Some(28), Some(22)));
}

#[test]
fn a_watchdog_is_never_set_to_nothing_but_to_end_it() {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&asked);
    let (_fake, xen) = xen(17, move |asked| {
        assert_eq!((asked.number, asked.command), (29, 6));
        log.borrow_mut().push((asked.u32(0), asked.u32(4)));
        Ok(2)
    });
    let watchdog = xen.start_watchdog(Duration::from_millis(1)).expect("started");
    watchdog.feed(Duration::ZERO).expect("fed");
    watchdog.feed(Duration::from_millis(2001)).expect("fed");
    watchdog.feed(Duration::MAX).expect("fed");
    watchdog.stop().expect("stopped");
    assert_eq!(*asked.borrow(), [(0, 1), (2, 1), (2, 3), (2, u32::MAX), (2, 0)]);
}

#[test]
fn a_missing_vcpu_is_told_from_a_missing_domain() {
    let (_fake, xen) = xen(20, |mut asked| match (asked.u32(0), asked.u16(8)) {
        (28, _) => {
            assert_eq!((asked.u32(16), asked.u32(20)), (3, 8), "the power button, and the vCPU");
            Err(ESRCH)
        }
        (5, 3) => {
            asked.put(16, 3_u16.to_ne_bytes());
            Ok(0)
        }
        _ => Err(ESRCH),
    });
    let send = |id| xen.domain(domain(id)).send_trigger(Trigger::Power, VcpuId::new(8)).expect_err("none");
    let vcpu = send(3);
    assert!(matches!(vcpu, Error::Refused { .. }) && vcpu.errno() == Some(ESRCH), "{vcpu:?}");
    assert!(matches!(send(4), Error::NoSuchDomain { .. }));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_xen_objects_to_in_a_cpu_policy_is_named() {
    const EINVAL: i32 = 22;
    const EEXIST: i32 = 17;
    /// Where the record has leaf, sub-leaf and MSR.
    const NAMED: [usize; 3] = [16 + 24, 16 + 28, 16 + 32];
    let nothing = u32::MAX;
    for (errno, named, message) in [
        (EINVAL, [7, 1, nothing], "Xen objects to CPUID leaf 0x7, sub-leaf 0x1"),
        (EINVAL, [0x8000_0002, nothing, nothing], "Xen objects to CPUID leaf 0x80000002"),
        (EINVAL, [nothing, nothing, 0xce], "Xen objects to MSR 0xce"),
        (EEXIST, [nothing; 3], "XEN_DOMCTL_set_cpu_policy on domain 3 failed"),
    ] {
        let (_fake, xen) = xen(17, move |mut asked| {
            assert_eq!((asked.u32(0), asked.u32(16), asked.u32(20)), (83, 0, 1), "no leaf, one MSR");
            for (offset, number) in NAMED.into_iter().zip(named) {
                assert_eq!(asked.u32(offset), nothing, "so that it shows what Xen has not named");
                asked.put(offset, number.to_ne_bytes());
            }
            Err(errno)
        });
        let policy = CpuPolicy { leaves: Vec::new(), msrs: vec![MsrValue { number: 0xce, value: 1 }] };
        let error = xen.domain(domain(3)).set_cpu_policy(&policy).expect_err("refused");
        assert!(error.to_string().ends_with(message), "{error}");
        assert_eq!(error.errno(), Some(errno));
    }
}
