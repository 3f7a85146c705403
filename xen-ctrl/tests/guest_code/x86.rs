//! Registers and page tables to begin with, on x86.

use xen_ctrl::vcpu::{HvmCpu, VcpuContext, flags};
use xen_sys::xen_public::hvm::{SaveCode, SaveDescriptor, SetHvmContext};
use xen_sys::zerocopy::{FromZeros, IntoBytes};

use super::*;

/// Entry 36 of the root table, 209 of the next, 179 of the next: where a PV guest has its first frame.
pub(crate) const PV_BASE: u64 = 36 << 39 | 209 << 30 | 179 << 21;
/// Of an entry: present, writable, for the user.
pub(crate) const PRESENT: u64 = 7;

const RING3_CODE: u16 = 0xe033;
const RING3_STACK: u16 = 0xe02b;

/// A PV guest, its first frames its page tables, which map its code and data. `change` is given its registers, before it gets them.
pub(crate) fn pv<'a>(xen: &'a Xenctrl, code: &[u8], change: impl FnOnce(&mut VcpuContext)) -> Guest<'a> {
    let guest = Guest::new(xen, DomainKind::Pv, 0, code);
    let machine = |index: u64| guest.frame(index).get() * PAGE_SIZE;
    let put = |table: u64, entry: u64, target: u64| {
        guest.write(table * PAGE_SIZE + entry * 8, &(machine(target) | PRESENT).to_le_bytes());
    };
    put(0, 36, 1);
    put(1, 209, 2);
    put(2, 179, 3);
    put(3, CODE, CODE);
    put(3, DATA, DATA);

    let mut context = VcpuContext::new_zeroed();
    context.flags = flags::VGCF_ONLINE | flags::VGCF_IN_KERNEL;
    context.user_regs.rip = PV_BASE + CODE * PAGE_SIZE;
    context.user_regs.rsp = PV_BASE + DATA * PAGE_SIZE + REASON;
    context.user_regs.rflags = 0x202;
    (context.user_regs.cs, context.user_regs.ss) = (RING3_CODE, RING3_STACK);
    (context.kernel_ss, context.kernel_sp) = (RING3_STACK.into(), context.user_regs.rsp);
    context.ctrlreg[3] = machine(0);
    change(&mut context);
    guest.vcpu().set_context(&context).expect("taken");
    guest
}

/// Registers of an HVM guest of 32 bits without paging, whose segments are as large as its memory can be.
pub(crate) fn flat() -> HvmCpu {
    const ALL: u32 = u32::MAX;
    const DATA_SEGMENT: u32 = 0xc93;
    HvmCpu {
        cr0: 0x11,
        rip: CODE * PAGE_SIZE,
        rflags: 2,
        dr6: 0xffff_0ff0,
        dr7: 0x400,
        cs_limit: ALL,
        cs_arbytes: 0xc9b,
        ds_limit: ALL,
        ds_arbytes: DATA_SEGMENT,
        es_limit: ALL,
        es_arbytes: DATA_SEGMENT,
        ss_limit: ALL,
        ss_arbytes: DATA_SEGMENT,
        tr_limit: 0x67,
        tr_arbytes: 0x8b,
        ..HvmCpu::default()
    }
}

/// An HVM guest, which has its frames from 0 on.
pub(crate) fn hvm<'a>(xen: &'a Xenctrl, code: &[u8], registers: &HvmCpu) -> Guest<'a> {
    /// `struct hvm_save_header`: a magic number, version 1, and what it comes from, which is not looked at.
    const HEADER: [u32; 6] = [0x5438_1286, 1, 0, 0, 0, 0];
    let guest = Guest::new(xen, DomainKind::Hvm, 0, code);
    let mut context = Vec::new();
    for (typecode, record) in [(1, HEADER.as_bytes()), (SaveCode::CPU.0, registers.as_bytes()), (0, &[])] {
        let length = u32::try_from(record.len()).expect("short");
        context.extend_from_slice(SaveDescriptor { typecode, instance: 0, length }.as_bytes());
        context.extend_from_slice(record);
    }
    let mut context = xen.xencall().buffer_from(&context).expect("memory");
    xen.domctl(guest.domain.id(), &SetHvmContext(context.lend())).expect("taken");
    guest
}

/// The instruction for hypercalls of HVM guests, which depends on who has made the processor.
pub(crate) fn hypercall_instruction() -> [u8; 3] {
    let processors = std::fs::read_to_string("/proc/cpuinfo").expect("the kernel's account");
    if processors.contains("GenuineIntel") { [0x0f, 0x01, 0xc1] } else { [0x0f, 0x01, 0xd9] }
}
