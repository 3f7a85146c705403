//! Guests that suspend themselves, on real Xen: what their hypercall returns when they are resumed.

mod common;
mod guest_code;

use common::xenctrl;
use guest_code::{DATA, Guest, PAGE_SIZE, REASON, UNTOUCHED, eventually};
use xen_ctrl::Error;

const EINVAL: Option<i32> = Some(22);

/// A guest that begins; it suspends itself for ever, and writes what each hypercall has returned.
fn begin(guest: &Guest<'_>) {
    let error = guest.domain.resume_cancelled().expect_err("it has not shut down");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == EINVAL, "{error:?}");
    guest.domain.unpause().expect("it begins");
    eventually("it suspends itself", || guest.has_suspended());
}

/// What the guest is told when it is resumed.
fn answer(guest: &Guest<'_>, index: u64, resume: impl FnOnce() -> Result<(), Error>) -> u64 {
    assert_eq!(guest.word(index), UNTOUCHED, "it still waits");
    resume().expect("resumed");
    eventually("it suspends itself again", || guest.has_suspended());
    guest.word(index)
}

/// From answer `first` on.
fn both_are_told_apart(guest: &Guest<'_>, first: u64) {
    let domain = &guest.domain;
    assert_eq!(answer(guest, first, || domain.resume_cancelled()), 1, "cancelled");
    assert_eq!(answer(guest, first + 1, || domain.resume()), 0, "restored");
    assert_eq!(answer(guest, first + 2, || domain.resume_cancelled()), 1, "cancelled");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use guest_code::CODE;
    use guest_code::x86::{PV_BASE, flat, hvm, hypercall_instruction, pv};
    use xen_ctrl::vcpu::HvmCpu;
    use xen_sys::xen_public::hvm::{Param, SetHvmParam};

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_pv_guest_is_told_that_its_suspend_was_cancelled() {
        let code = [
            &[0xb8, 29, 0, 0, 0][..], // mov eax, 29: sched_op
            &[0xbf, 2, 0, 0, 0],      // mov edi, 2: shutdown
            &[0x4c, 0x89, 0xe6],      // mov rsi, r12: the reason
            &[0x0f, 0x05],            // syscall
            &[0x48, 0x89, 0x03],      // mov [rbx], rax
            &[0x48, 0x83, 0xc3, 8],   // add rbx, 8
            &[0xeb, 0xe8],            // jmp to the beginning
        ]
        .concat();
        let xen = xenctrl();
        let guest = pv(&xen, &code, |context| {
            context.user_regs.rbx = PV_BASE + DATA * PAGE_SIZE;
            context.user_regs.r12 = PV_BASE + DATA * PAGE_SIZE + REASON;
        });
        begin(&guest);
        let rip = guest.vcpu().context().expect("there").user_regs.rip;
        assert_eq!(rip, PV_BASE + CODE * PAGE_SIZE + 15, "behind the hypercall");
        both_are_told_apart(&guest, 0);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn an_hvm_guest_is_told_if_it_has_drivers_for_xen() {
        let code = [
            &[0xb8, 29, 0, 0, 0][..], // mov eax, 29: sched_op
            &[0xbb, 2, 0, 0, 0],      // mov ebx, 2: shutdown
            &[0x89, 0xf1],            // mov ecx, esi: the reason
            &hypercall_instruction(),
            &[0x89, 0x07],    // mov [edi], eax
            &[0x89, 0x57, 4], // mov [edi + 4], edx
            &[0x83, 0xc7, 8], // add edi, 8
            &[0xeb, 0xe7],    // jmp to the beginning
        ]
        .concat();
        let xen = xenctrl();
        let data = DATA * PAGE_SIZE;
        let guest = hvm(&xen, &code, &HvmCpu { rdi: data, rsi: data + REASON, ..flat() });
        begin(&guest);
        let domain = &guest.domain;
        assert_eq!(
            guest.vcpu().hvm_context().expect("there").rip,
            CODE * PAGE_SIZE + 15,
            "behind the hypercall"
        );
        assert_eq!(answer(&guest, 0, || domain.resume_cancelled()), 0, "without drivers, it has not asked");

        // vector 0x30: it is not called, as it takes no interrupts
        let callback =
            SetHvmParam { domain: domain.id(), index: Param::CALLBACK_IRQ.0, value: 2 << 56 | 0x30 };
        xen.call(Some(domain.id()), &callback).expect("set");
        both_are_told_apart(&guest, 1);
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use super::*;
    use guest_code::CODE;
    use xen_ctrl::domain::DomainKind;
    use xen_ctrl::vcpu::{VcpuContext, flags};

    /// Where guests have memory.
    const MEMORY: u64 = 0x4000_0000;

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_guest_is_told_that_its_suspend_was_cancelled() {
        let code: [u32; 6] = [
            0xd280_0040, // mov x0, #2: shutdown
            0xaa14_03e1, // mov x1, x20: the reason
            0xd280_03b0, // mov x16, #29: sched_op
            0xd401_d422, // hvc #0xea1
            0xf800_86a0, // str x0, [x21], #8
            0x17ff_fffb, // b to the beginning
        ];
        let xen = xenctrl();
        let code: Vec<u8> = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let guest = Guest::new(&xen, DomainKind::Hvm, MEMORY / PAGE_SIZE, &code);
        let mut context =
            VcpuContext { flags: flags::VGCF_ONLINE, sctlr: 0xc5_0838, ..VcpuContext::default() };
        context.user_regs.pc = MEMORY + CODE * PAGE_SIZE;
        context.user_regs.cpsr = 0x3c5; // the guest's kernel, with all interrupts masked
        context.user_regs.x[20] = MEMORY + DATA * PAGE_SIZE + REASON;
        context.user_regs.x[21] = MEMORY + DATA * PAGE_SIZE;
        guest.vcpu().set_context(&context).expect("taken");
        begin(&guest);
        both_are_told_apart(&guest, 0);
    }
}
