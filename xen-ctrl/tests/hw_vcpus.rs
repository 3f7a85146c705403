//! vCPUs on real Xen: of bare domains, which have no memory, and of minipv, which is alive.

mod common;

use common::{output, xenctrl};
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind};
use xen_ctrl::{CpuMap, DomId, Error, VcpuId, Xenctrl};

const ESRCH: Option<i32> = Some(3);
const EINVAL: Option<i32> = Some(22);
const ENODATA: Option<i32> = Some(61);

/// A domain of this kind that has its two vCPUs, and no memory.
fn bare(xen: &Xenctrl, kind: DomainKind) -> CreatedDomain<'_> {
    let domain = xen.create_domain(&CreateDomain::new(kind).max_vcpus(2)).expect("a domain");
    domain.set_max_vcpus(2).expect("vCPUs");
    domain
}

/// The columns that `xl vcpu-list` prints for a vCPU: number of the vCPU, CPU, state, seconds, hard affinity, soft affinity.
fn xl_vcpu(domain: DomId, vcpu: u32) -> [String; 6] {
    let text = output("xl", &["vcpu-list", &domain.to_string()]);
    let line = text.lines().filter(|line| !line.starts_with("Name")).nth(usize::try_from(vcpu).expect("few"));
    let mut words: Vec<_> = line.expect("a line for the vCPU").split_whitespace().rev().collect();
    words.retain(|word| *word != "/");
    let mut columns: [String; 6] = std::array::from_fn(|index| words[index].to_owned());
    columns.reverse();
    columns
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_vcpu_that_runs_this_is_described_as_xl_does() {
    let xen = xenctrl();
    let vcpu = xen.domain(DomId::ZERO).vcpu(VcpuId::new(0));
    let before = vcpu.info().expect("there");
    let [number, cpu, state, seconds, ..] = xl_vcpu(DomId::ZERO, 0);
    let after = vcpu.info().expect("there");
    assert_eq!(number, "0");
    assert!(before.online && after.cpu_time > before.cpu_time, "{before:?} {after:?}");
    let seconds: f64 = seconds.parse().expect("seconds");
    assert!(seconds >= before.cpu_time.as_secs_f64() - 0.1, "{seconds} {before:?}");
    assert!(seconds <= after.cpu_time.as_secs_f64() + 0.1, "{seconds} {after:?}");
    if xen.host().info().expect("the host").cpus == 1 {
        assert!(after.running && !after.blocked && after.cpu == 0, "who else could run? {after:?}");
        assert_eq!((cpu.as_str(), state.as_str()), ("0", "r--"));
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn vcpus_that_are_not_there_are_told_from_domains_that_are_not() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    let error = domain.vcpu(VcpuId::new(0)).info().expect_err("not made yet");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == ESRCH, "{error:?}");
    domain.set_max_vcpus(1).expect("made");
    let info = domain.vcpu(VcpuId::new(0)).info().expect("there");
    assert!(!info.online && !info.running && info.cpu_time.is_zero(), "{info:?}");
    let error = domain.vcpu(VcpuId::new(1)).affinity().expect_err("one too many");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == EINVAL, "{error:?}");
    let nobody = xen.domain(DomId::new(4321).expect("ordinary")).vcpu(VcpuId::new(0));
    assert!(matches!(nobody.info(), Err(Error::NoSuchDomain { .. })));
}

#[test]
#[ignore = "needs Xen dom0"]
fn affinities_are_what_xl_shows() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let vcpu = domain.vcpu(VcpuId::new(1));
    let affinity = vcpu.affinity().expect("there");
    let pool = xen.cpupool(0).info().expect("the first cpupool").cpus;
    assert!(pool.is_subset(&affinity.hard) && pool.is_subset(&affinity.soft), "{affinity:?} {pool}");
    assert_eq!(xl_vcpu(domain.id(), 1)[4..], ["all", "all"]);

    let only: CpuMap = [0].into_iter().collect();
    let wanted: CpuMap = "0,40-60".parse().expect("a list");
    assert_eq!(vcpu.set_hard_affinity(&wanted).expect("CPU 0 is there"), only);
    assert_eq!(vcpu.affinity().expect("there").hard.first(), Some(0));
    assert_eq!(xl_vcpu(domain.id(), 1)[5], "all", "the soft one is not changed");
    assert_eq!(vcpu.set_soft_affinity(&only).expect("taken"), only);
    assert_eq!(vcpu.force_hard_affinity(&only).expect("taken"), only);
    let affinity = vcpu.affinity().expect("there");
    assert_eq!((&affinity.hard, &affinity.soft), (&only, &only));
    let other = domain.vcpu(VcpuId::new(0)).affinity().expect("there");
    assert!(pool.is_subset(&other.hard), "the other vCPU is not touched: {other:?}");
    if pool.len() > 1 {
        assert_eq!(xl_vcpu(domain.id(), 1)[4..], ["0", "0"]);
    }

    for none in ["", "70"] {
        let cpus = none.parse().expect("a list");
        assert_eq!(vcpu.set_hard_affinity(&cpus).expect_err("nowhere").errno(), EINVAL);
    }
    assert_eq!(vcpu.affinity().expect("there").hard, only, "a refusal changes nothing");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::process::Command;

    use super::*;
    use xen_ctrl::vcpu::{Callback, ExtendedContext, Msr, flags};

    const EPERM: Option<i32> = Some(1);
    const ENXIO: Option<i32> = Some(6);

    /// minipv, destroyed when dropped.
    struct Mini(DomId);

    impl Mini {
        fn start() -> Self {
            let told = output("guest", &["mini", "vcpus"]);
            let id =
                told.split_whitespace().find_map(|word| word.strip_prefix("domid=")).expect("its number");
            Self(id.parse().expect("a number"))
        }
    }

    impl Drop for Mini {
        fn drop(&mut self) {
            // a failure here is seen by the next test that starts it
            let _ = Command::new("guest").args(["stop", "vcpus"]).output();
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn registers_of_a_pv_guest_are_read_and_set() {
        let xen = xenctrl();
        let mini = Mini::start();
        let domain = xen.domain(mini.0);
        let vcpu = domain.vcpu(VcpuId::new(0));
        domain.pause().expect("paused");
        let context = vcpu.context().expect("it has been set");
        assert!(context.flags & flags::VGCF_ONLINE != 0, "{:#x}", context.flags);
        assert_eq!(context.user_regs.cs & 3, 3, "64-bit PV kernels run in ring 3");
        assert!(context.user_regs.rip != 0 && context.ctrlreg[3] >> 12 != 0, "{:?}", context.user_regs);
        assert_eq!(*vcpu.context().expect("still"), *context, "nothing moves while it is paused");

        let mut changed = context.clone();
        changed.user_regs.r15 = 0x1234_5678_9abc_def0;
        changed.debugreg[0] = 0x1000;
        vcpu.set_context(&changed).expect("taken");
        let now = vcpu.context().expect("there");
        assert_eq!((now.user_regs.r15, now.debugreg[0]), (0x1234_5678_9abc_def0, 0x1000));
        assert_eq!(now.user_regs.rip, context.user_regs.rip);

        changed.ctrlreg[3] = 0;
        let error = vcpu.set_context(&changed).expect_err("it has begun with others");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        vcpu.set_context(&context).expect("taken");
        domain.unpause().expect("goes on");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn callbacks_and_machine_checks_are_read_and_set() {
        let xen = xenctrl();
        let domain = bare(&xen, DomainKind::Pv);
        let [first, second] = [0, 1].map(|id| domain.vcpu(VcpuId::new(id)));
        let before = first.extended_context().expect("there");
        assert_eq!(before.machine_check.capabilities & 0xff, 2, "banks: {before:?}");
        let mut changed = ExtendedContext {
            syscall32: Callback { address: 0x1000, code_segment: 0xe023, disables_events: true },
            sysenter: Callback { address: u64::MAX << 47, code_segment: 0xe033, disables_events: false },
            machine_check: before.machine_check,
        };
        changed.machine_check.bank_control = [0x4000_0001, 0x4000_0002];
        first.set_extended_context(&changed).expect("taken");
        assert_eq!(first.extended_context().expect("there"), changed);
        assert_eq!(second.extended_context().expect("there"), before, "the other vCPU is not touched");

        let mut wrong = changed;
        wrong.sysenter.address = 1 << 47;
        assert_eq!(first.set_extended_context(&wrong).expect_err("no such address").errno(), EINVAL);
        let mut wrong = changed;
        wrong.machine_check.capabilities |= 1 << 63;
        let error = first.set_extended_context(&wrong).expect_err("Xen has not that");
        assert!([EINVAL, EPERM].contains(&error.errno()), "{error:?}");
        let missing = domain.vcpu(VcpuId::new(2)).extended_context().expect_err("one too many");
        assert!(matches!(missing, Error::Refused { .. }) && missing.errno() == ESRCH, "{missing:?}");

        let hvm = bare(&xen, DomainKind::Hvm);
        let vcpu = hvm.vcpu(VcpuId::new(0));
        let none = vcpu.extended_context().expect("there");
        assert_eq!((none.syscall32, none.sysenter), (Callback::default(), Callback::default()));
        assert_eq!(vcpu.set_extended_context(&changed).expect_err("it has no callbacks").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn registers_that_nobody_has_set_are_not_there() {
        let xen = xenctrl();
        let domain = bare(&xen, DomainKind::Pv);
        let error = domain.vcpu(VcpuId::new(0)).context().expect_err("nothing yet");
        assert_eq!(error.errno(), ENODATA, "{error:?}");
        let own = xen.domain(DomId::ZERO).vcpu(VcpuId::new(0));
        assert_eq!(own.context().expect_err("nobody sees himself").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn what_a_migration_takes_along_comes_back() {
        let xen = xenctrl();
        let mini = Mini::start();
        let domain = xen.domain(mini.0);
        let vcpu = domain.vcpu(VcpuId::new(0));
        domain.pause().expect("paused");

        let state = vcpu.extended_state().expect("a PV guest has it");
        vcpu.set_extended_state(&state).expect("its own");
        assert_eq!(vcpu.extended_state().expect("still"), state);
        if state.features == 0 {
            assert_eq!(state.area, [], "no features, no registers");
        } else {
            assert_eq!(state.xcr0 & !state.features, 0, "{state:?}");
            let mut foreign = state.clone();
            foreign.xcr0 |= 1 << 62;
            foreign.xcr0_accumulated |= 1 << 62;
            foreign.area.resize(576, 0);
            assert_eq!(vcpu.set_extended_state(&foreign).expect_err("no host has it").errno(), EINVAL);
        }

        let msrs = vcpu.msrs().expect("a list");
        vcpu.set_msrs(&msrs).expect("its own");
        assert_eq!(vcpu.msrs().expect("still"), msrs);
        let unknown = Msr { index: 0xdead_beef, value: 1 };
        let error = vcpu.set_msrs(&[unknown]).expect_err("there is none");
        assert!([EINVAL, ENXIO].contains(&error.errno()), "{error:?}");
        assert!(matches!(error, Error::Incomplete { done: 0, asked: 1, .. }), "{error:?}");
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::*;
    use xen_ctrl::domain::GuestWidth;
    use xen_ctrl::vcpu::flags;
    use xen_sys::xen_public::domctl::{VcpuContext, VcpuContext414};

    /// The guest's kernel runs, with all interrupts masked.
    const KERNEL: u64 = 0x3c5;

    #[test]
    #[ignore = "needs Xen dom0"]
    fn registers_are_set_and_read() {
        let xen = xenctrl();
        let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
        let error = domain.set_guest_width(GuestWidth::Bits64).expect_err("the vCPU would not hear of it");
        assert_eq!(error.errno(), EINVAL);
        domain.set_max_vcpus(1).expect("a vCPU");
        domain.set_guest_width(GuestWidth::Bits64).expect("64 bits");
        let vcpu = domain.vcpu(VcpuId::new(0));
        assert_eq!(vcpu.context().expect_err("nothing yet").errno(), ENODATA);

        let mut context =
            VcpuContext { flags: flags::VGCF_ONLINE, sctlr: 0xc5_0838, ..VcpuContext::default() };
        context.user_regs.pc = 0x4008_0000;
        context.user_regs.cpsr = KERNEL;
        for (register, value) in context.user_regs.x.iter_mut().zip(0x1111_0000_0000_0000..) {
            *register = value;
        }
        vcpu.set_context(&context).expect("taken");
        let now = vcpu.context().expect("there");
        assert_eq!(now.user_regs, context.user_regs);
        assert_eq!((now.flags, now.sctlr), (context.flags, context.sctlr));
        assert!(vcpu.info().expect("there").online, "as the flags say");

        context.user_regs.cpsr = 0x3c9; // the hypervisor's own mode
        assert_eq!(vcpu.set_context(&context).expect_err("not for guests").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Arm, where Xen is"]
    fn registers_of_older_hypervisors_come_back() {
        let mut context = VcpuContext { flags: 1, ttbr1: 7, ..VcpuContext::default() };
        context.user_regs.x[30] = 5;
        context.user_regs.cpsr = KERNEL;
        context.user_regs.elr_el1 = 6;
        let old = VcpuContext414::try_from(context).expect("32 bits");
        assert_eq!(VcpuContext::from(old), context);
        context.user_regs.spsr_el1 = 1 << 32;
        assert!(VcpuContext414::try_from(context).is_err());
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn what_x86_alone_has_is_unsupported() {
        let xen = xenctrl();
        let domain = bare(&xen, DomainKind::Hvm);
        let vcpu = domain.vcpu(VcpuId::new(0));
        assert!(matches!(vcpu.msrs(), Err(Error::Unsupported { .. })));
        assert!(matches!(vcpu.extended_state(), Err(Error::Unsupported { .. })));
        assert!(matches!(vcpu.extended_context(), Err(Error::Unsupported { .. })));
        let foreign = xen_ctrl::ForeignMemory::open().expect("the device");
        assert!(matches!(vcpu.translate(&foreign, 0), Err(Error::Unsupported { .. })));
    }
}
