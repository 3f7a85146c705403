//! Parameters and hardware state of HVM guests, on real Xen.

mod common;
#[cfg(target_arch = "x86_64")]
mod hvm_guest;

use common::xenctrl;
use xen_ctrl::Error;
use xen_ctrl::domain::CreateDomain;
use xen_ctrl::hvm::{Param, SaveCode};

const EINVAL: Option<i32> = Some(22);

#[test]
#[ignore = "needs Xen dom0"]
fn parameters_are_kept() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    let hvm = domain.hvm();
    for (param, value) in
        [(Param::STORE_PFN, 0xf_effc), (Param::CONSOLE_PFN, 0xf_efff), (Param::STORE_EVTCHN, 7)]
    {
        assert_eq!(hvm.param(param).expect("told"), 0);
        hvm.set_param(param, value).expect("set");
        assert_eq!(hvm.param(param).expect("told"), value);
    }
    for number in [39, 1000] {
        assert_eq!(hvm.param(Param(number)).expect_err("no such parameter").errno(), EINVAL);
        assert_eq!(hvm.set_param(Param(number), 1).expect_err("no such parameter").errno(), EINVAL);
    }
    let id = domain.id();
    domain.destroy().expect("destroyed");
    let gone = xen.domain(id).hvm().param(Param::STORE_PFN).expect_err("it is gone");
    assert!(matches!(gone, Error::NoSuchDomain { .. }), "{gone:?}");
}

#[cfg(target_arch = "aarch64")]
#[test]
#[ignore = "needs Xen dom0"]
fn there_is_no_such_state_on_arm() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    domain.set_max_vcpus(1).expect("a vCPU");
    let hvm = domain.hvm();
    let context = xen_ctrl::hvm::HvmContext::default();
    for error in [
        hvm.context().expect_err("x86 only"),
        hvm.set_context(&context).expect_err("x86 only"),
        hvm.record(SaveCode(2), 0).expect_err("x86 only"),
    ] {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::hvm_guest::code::Code;
    use super::hvm_guest::{DATA, Guest};
    use super::*;
    use xen_ctrl::VcpuId;
    use xen_ctrl::domain::{DomainKind, X86Emulation};
    use xen_ctrl::hvm::{HvmContext, HvmRecord, SleepState};
    use xen_ctrl::vcpu::HvmCpu;

    const ENODATA: Option<i32> = Some(61);
    const EEXIST: Option<i32> = Some(17);

    #[test]
    #[ignore = "needs Xen dom0"]
    fn some_parameters_are_set_once() {
        let xen = xenctrl();
        let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
        let hvm = domain.hvm();
        let param = Param::IOREQ_SERVER_PFN;
        hvm.set_param(param, 5).expect("set");
        hvm.set_param(param, 5).expect("the same again");
        assert_eq!(hvm.set_param(param, 6).expect_err("another one").errno(), EEXIST);
        assert_eq!(hvm.param(param).expect("told"), 5);
        assert_eq!(hvm.set_param(Param::TIMER_MODE, 9).expect_err("0 to 3").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_guest_sleeps_and_wakes() {
        let xen = xenctrl();
        let guest = Guest::with(&xen, X86Emulation::HVM, &[Code::new()]);
        let hvm = guest.domain.hvm();
        assert_eq!(hvm.sleep_state().expect("told"), SleepState::Awake);
        hvm.set_sleep_state(SleepState::SuspendedToRam).expect("asleep");
        assert_eq!(hvm.sleep_state().expect("told"), SleepState::SuspendedToRam);
        hvm.set_sleep_state(SleepState::Awake).expect("awake");
        assert_eq!(hvm.sleep_state().expect("told"), SleepState::Awake);
        assert_eq!(hvm.set_param(Param::ACPI_S_STATE, 4).expect_err("no such state").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn the_state_of_one_guest_goes_on_in_another() {
        let xen = xenctrl();
        let code = Code::new().ebx(0x1234_5678).edi(DATA).raw(&[0x89, 0x1f, 0xeb, 0xfe]); // mov [edi], ebx; jmp
        let first = Guest::new(&xen, &[code]);
        first.domain.unpause().expect("it begins");
        while first.word(DATA) != 0x1234_5678 {
            std::thread::yield_now();
        }
        first.domain.pause().expect("paused");

        let state = first.domain.hvm().context().expect("its state");
        let registers: HvmCpu = state.find(SaveCode::CPU, 0).expect("the vCPU's").contents();
        assert_eq!((registers.rbx, registers.rdi), (0x1234_5678, DATA.into()));
        let alone = first.domain.hvm().record(SaveCode::CPU, 0).expect("the vCPU's");
        assert_eq!(alone.contents::<HvmCpu>().rbx, 0x1234_5678);
        for code in [SaveCode::HEADER, SaveCode::LAPIC, SaveCode::LAPIC_REGS, SaveCode::MTRR] {
            assert!(state.find(code, 0).is_some(), "{code:?}");
        }
        assert_eq!(HvmContext::from_bytes(&state.to_bytes()), Ok(state.clone()));
        let lapic = first.domain.hvm().record(SaveCode::LAPIC, 0).expect("a record");
        assert_eq!(Some(lapic.data.len()), state.find(SaveCode::LAPIC, 0).map(|record| record.data.len()));

        // the second one goes on where the first is, with other code there
        let second = Guest::new(&xen, &[Code::new()]);
        let mut state = state;
        let index = state.records.iter().position(|record| record.code == SaveCode::CPU).expect("there");
        let moved = HvmCpu { rip: u64::from(DATA) + 0x800, ..registers };
        state.records[index] = HvmRecord::new(SaveCode::CPU, 0, &moved);
        second.domain.hvm().set_context(&state).expect("taken");
        second.write(u64::from(DATA) + 0x800, &Code::new().raw(&[0x89, 0x5f, 4]).end()); // mov [edi + 4], ebx
        second.domain.unpause().expect("it goes on");
        second.wait_for_end();
        assert_eq!([second.word(DATA), second.word(DATA + 4)], [0, 0x1234_5678]);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn what_is_emulated_has_a_record() {
        let xen = xenctrl();
        let guest = Guest::with(&xen, X86Emulation::HVM, &[Code::new(), Code::new()]);
        let state = guest.domain.hvm().context().expect("its state");
        for (code, instance) in [
            (SaveCode::PIC, 0),
            (SaveCode::PIC, 1),
            (SaveCode::IOAPIC, 0),
            (SaveCode::PIT, 0),
            (SaveCode::RTC, 0),
            (SaveCode::HPET, 0),
            (SaveCode::PMTIMER, 0),
            (SaveCode::CPU, 1),
        ] {
            let record = state.find(code, instance).unwrap_or_else(|| panic!("{code:?} {instance}"));
            if code == SaveCode::PIC || code == SaveCode::CPU || code == SaveCode::IOAPIC {
                let alone = guest.domain.hvm().record(code, instance).expect("a record");
                assert_eq!(alone.data.len(), record.data.len(), "{code:?}");
            }
        }
        assert_eq!(guest.domain.vcpu(VcpuId::new(1)).hvm_context().expect("on").cr0, 0x11);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn what_has_no_state_says_so() {
        let xen = xenctrl();
        let empty = xen.create_domain(&CreateDomain::default()).expect("a domain");
        assert_eq!(empty.hvm().context().expect_err("no vCPU").errno(), ENODATA);
        assert_eq!(empty.hvm().record(SaveCode::PIC, 0).expect_err("no vCPU").errno(), ENODATA);
        let pv = xen.create_domain(&CreateDomain::new(DomainKind::Pv)).expect("a domain");
        pv.set_max_vcpus(1).expect("a vCPU");
        assert_eq!(pv.hvm().context().expect_err("a PV domain").errno(), EINVAL);
        assert_eq!(pv.hvm().param(Param::STORE_PFN).expect_err("a PV domain").errno(), EINVAL);
        empty.set_max_vcpus(1).expect("a vCPU");
        let nonsense = HvmContext { records: vec![HvmRecord::new(SaveCode(999), 0, &[1_u8; 8])] };
        assert_eq!(empty.hvm().set_context(&nonsense).expect_err("no header").errno(), EINVAL);
        let header = empty.hvm().context().expect("its state").records.swap_remove(0);
        let nonsense = HvmContext { records: [&[header], &nonsense.records[..]].concat() };
        let error = empty.hvm().set_context(&nonsense).expect_err("no such record");
        assert!(matches!(error, Error::Refused { .. } | Error::Denied { .. }), "{error:?}");
    }
}
