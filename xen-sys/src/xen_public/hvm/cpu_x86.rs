//! `arch-x86/hvm/save.h`: the registers of a vCPU.

use crate::xen_public::layout;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `struct hvm_hw_cpu`: the registers of a vCPU of an HVM or PVH domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "hvm_hw_cpu")]
pub struct HvmCpu {
    /// Floating point registers, as FXSAVE lays them out.
    pub fpu_regs: [u8; 512],
    /// A general register.
    pub rax: u64,
    /// A general register.
    pub rbx: u64,
    /// A general register.
    pub rcx: u64,
    /// A general register.
    pub rdx: u64,
    /// A general register.
    pub rbp: u64,
    /// A general register.
    pub rsi: u64,
    /// A general register.
    pub rdi: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// A general register.
    pub r8: u64,
    /// A general register.
    pub r9: u64,
    /// A general register.
    pub r10: u64,
    /// A general register.
    pub r11: u64,
    /// A general register.
    pub r12: u64,
    /// A general register.
    pub r13: u64,
    /// A general register.
    pub r14: u64,
    /// A general register.
    pub r15: u64,
    /// Where it goes on.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Control register: whether there is protection, and paging.
    pub cr0: u64,
    /// Control register: the address of the last page fault.
    pub cr2: u64,
    /// Control register: where the page tables are.
    pub cr3: u64,
    /// Control register: which extensions are on.
    pub cr4: u64,
    /// Debug register: a breakpoint.
    pub dr0: u64,
    /// Debug register: a breakpoint.
    pub dr1: u64,
    /// Debug register: a breakpoint.
    pub dr2: u64,
    /// Debug register: a breakpoint.
    pub dr3: u64,
    /// Debug register: what has happened.
    pub dr6: u64,
    /// Debug register: which breakpoints are on.
    pub dr7: u64,
    /// Code segment: selector.
    pub cs_sel: u32,
    /// Data segment: selector.
    pub ds_sel: u32,
    /// A data segment: selector.
    pub es_sel: u32,
    /// A data segment: selector.
    pub fs_sel: u32,
    /// A data segment: selector.
    pub gs_sel: u32,
    /// Stack segment: selector.
    pub ss_sel: u32,
    /// Task state: selector.
    pub tr_sel: u32,
    /// Local descriptor table: selector.
    pub ldtr_sel: u32,
    /// Code segment: limit.
    pub cs_limit: u32,
    /// Data segment: limit.
    pub ds_limit: u32,
    /// A data segment: limit.
    pub es_limit: u32,
    /// A data segment: limit.
    pub fs_limit: u32,
    /// A data segment: limit.
    pub gs_limit: u32,
    /// Stack segment: limit.
    pub ss_limit: u32,
    /// Task state: limit.
    pub tr_limit: u32,
    /// Local descriptor table: limit.
    pub ldtr_limit: u32,
    /// Interrupt descriptor table: limit.
    pub idtr_limit: u32,
    /// Global descriptor table: limit.
    pub gdtr_limit: u32,
    /// Code segment: base.
    pub cs_base: u64,
    /// Data segment: base.
    pub ds_base: u64,
    /// A data segment: base.
    pub es_base: u64,
    /// A data segment: base.
    pub fs_base: u64,
    /// A data segment: base.
    pub gs_base: u64,
    /// Stack segment: base.
    pub ss_base: u64,
    /// Task state: base.
    pub tr_base: u64,
    /// Local descriptor table: base.
    pub ldtr_base: u64,
    /// Interrupt descriptor table: base.
    pub idtr_base: u64,
    /// Global descriptor table: base.
    pub gdtr_base: u64,
    /// Code segment: attributes.
    pub cs_arbytes: u32,
    /// Data segment: attributes.
    pub ds_arbytes: u32,
    /// A data segment: attributes.
    pub es_arbytes: u32,
    /// A data segment: attributes.
    pub fs_arbytes: u32,
    /// A data segment: attributes.
    pub gs_arbytes: u32,
    /// Stack segment: attributes.
    pub ss_arbytes: u32,
    /// Task state: attributes.
    pub tr_arbytes: u32,
    /// Local descriptor table: attributes.
    pub ldtr_arbytes: u32,
    /// Where SYSENTER goes: code segment.
    pub sysenter_cs: u64,
    /// Where SYSENTER goes: stack pointer.
    pub sysenter_esp: u64,
    /// Where SYSENTER goes: address.
    pub sysenter_eip: u64,
    /// Base of the segment GS that SWAPGS brings.
    pub shadow_gs: u64,
    /// Ignored.
    pub msr_flags: u64,
    /// Where SYSCALL goes, from programs of 64 bits.
    pub msr_lstar: u64,
    /// Where SYSCALL goes: segments.
    pub msr_star: u64,
    /// Where SYSCALL goes, from programs of 32 bits.
    pub msr_cstar: u64,
    /// Flags that SYSCALL clears.
    pub msr_syscall_mask: u64,
    /// Extended features: whether it runs in 64-bit mode.
    pub msr_efer: u64,
    /// What RDTSCP and RDPID tell.
    pub msr_tsc_aux: u64,
    /// The time stamp counter, as the guest sees it.
    pub tsc: u64,
    /// An event that has still to be delivered: vector, kind, and in bit 31 whether there is one.
    pub pending_event: u32,
    /// The error code of that event.
    pub error_code: u32,
    /// Bit 0: the floating point registers are in use.
    pub flags: u32,
    /// Zero.
    pub pad0: u32,
}
layout!(
    HvmCpu = "struct hvm_hw_cpu", 1032,
    fpu_regs @ 0, rax @ 512, rbx @ 520, rcx @ 528, rdx @ 536, rbp @ 544, rsi @ 552, rdi @ 560, rsp @ 568,
    r8 @ 576, r9 @ 584, r10 @ 592, r11 @ 600, r12 @ 608, r13 @ 616, r14 @ 624, r15 @ 632, rip @ 640,
    rflags @ 648, cr0 @ 656, cr2 @ 664, cr3 @ 672, cr4 @ 680, dr0 @ 688, dr1 @ 696, dr2 @ 704, dr3 @ 712,
    dr6 @ 720, dr7 @ 728, cs_sel @ 736, ds_sel @ 740, es_sel @ 744, fs_sel @ 748, gs_sel @ 752, ss_sel @ 756,
    tr_sel @ 760, ldtr_sel @ 764, cs_limit @ 768, ds_limit @ 772, es_limit @ 776, fs_limit @ 780,
    gs_limit @ 784, ss_limit @ 788, tr_limit @ 792, ldtr_limit @ 796, idtr_limit @ 800, gdtr_limit @ 804,
    cs_base @ 808, ds_base @ 816, es_base @ 824, fs_base @ 832, gs_base @ 840, ss_base @ 848, tr_base @ 856,
    ldtr_base @ 864, idtr_base @ 872, gdtr_base @ 880, cs_arbytes @ 888, ds_arbytes @ 892, es_arbytes @ 896,
    fs_arbytes @ 900, gs_arbytes @ 904, ss_arbytes @ 908, tr_arbytes @ 912, ldtr_arbytes @ 916,
    sysenter_cs @ 920, sysenter_esp @ 928, sysenter_eip @ 936, shadow_gs @ 944, msr_flags @ 952,
    msr_lstar @ 960, msr_star @ 968, msr_cstar @ 976, msr_syscall_mask @ 984, msr_efer @ 992,
    msr_tsc_aux @ 1000, tsc @ 1008, pending_event @ 1016, error_code @ 1020, flags @ 1024,
);

impl Default for HvmCpu {
    fn default() -> Self {
        Self::new_zeroed()
    }
}
