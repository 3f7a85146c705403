//! The registers of a vCPU of x86.

use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u64:
    /// The floating point registers are set.
    VGCF_I387_VALID = "VGCF_i387_valid" = 1 << 0;
    /// The guest's kernel runs, not a program of it.
    VGCF_IN_KERNEL = "VGCF_in_kernel" = 1 << 2;
    /// The failsafe callback is called with events masked.
    VGCF_FAILSAFE_DISABLES_EVENTS = "VGCF_failsafe_disables_events" = 1 << 3;
    /// The system call callback is called with events masked.
    VGCF_SYSCALL_DISABLES_EVENTS = "VGCF_syscall_disables_events" = 1 << 4;
    /// The vCPU is on.
    VGCF_ONLINE = "VGCF_online" = 1 << 5;
}

/// `struct cpu_user_regs` of x86-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "cpu_user_regs")]
pub struct UserRegisters {
    /// A general register.
    pub r15: u64,
    /// A general register.
    pub r14: u64,
    /// A general register.
    pub r13: u64,
    /// A general register.
    pub r12: u64,
    /// A general register.
    pub rbp: u64,
    /// A general register.
    pub rbx: u64,
    /// A general register.
    pub r11: u64,
    /// A general register.
    pub r10: u64,
    /// A general register.
    pub r9: u64,
    /// A general register.
    pub r8: u64,
    /// A general register.
    pub rax: u64,
    /// A general register.
    pub rcx: u64,
    /// A general register.
    pub rdx: u64,
    /// A general register.
    pub rsi: u64,
    /// A general register.
    pub rdi: u64,
    /// The error code of what has just happened, for Xen's own use.
    pub error_code: u32,
    /// Its vector, for Xen's own use.
    pub entry_vector: u32,
    /// Where it goes on.
    pub rip: u64,
    /// Code segment.
    pub cs: u16,
    /// Zero.
    pub pad0: [u16; 1],
    /// Whether events are masked.
    pub saved_upcall_mask: u8,
    /// Zero.
    pub pad1: [u8; 3],
    /// Flags; the interrupt flag says whether events are not masked.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u16,
    /// Zero.
    pub pad2: [u16; 3],
    /// A data segment.
    pub es: u16,
    /// Zero.
    pub pad3: [u16; 3],
    /// A data segment.
    pub ds: u16,
    /// Zero.
    pub pad4: [u16; 3],
    /// A data segment.
    pub fs: u16,
    /// Zero.
    pub pad5: [u16; 3],
    /// A data segment.
    pub gs: u16,
    /// Zero.
    pub pad6: [u16; 3],
}
layout!(
    UserRegisters = "struct cpu_user_regs", 200,
    r15 @ 0, r14 @ 8, r13 @ 16, r12 @ 24, rbp @ 32, rbx @ 40, r11 @ 48, r10 @ 56, r9 @ 64, r8 @ 72, rax @ 80,
    rcx @ 88, rdx @ 96, rsi @ 104, rdi @ 112, error_code @ 120, entry_vector @ 124, rip @ 128, cs @ 136,
    saved_upcall_mask @ 140, rflags @ 144, rsp @ 152, ss @ 160, es @ 168, ds @ 176, fs @ 184, gs @ 192,
);

/// `struct trap_info`: where the guest's kernel handles an exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "trap_info")]
pub struct TrapInfo {
    /// Which exception.
    pub vector: u8,
    /// Bits 0 and 1: who may raise it; bit 2: events are masked then.
    pub flags: u8,
    /// Code segment.
    pub cs: u16,
    /// Zero.
    pub pad: u32,
    /// Address of the code.
    pub address: u64,
}
layout!(TrapInfo = "struct trap_info", 16, vector @ 0, flags @ 1, cs @ 2, address @ 8);

/// `struct vcpu_guest_context` of x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "vcpu_guest_context")]
#[doc(alias = "vcpu_guest_context_t")]
pub struct VcpuContext {
    /// Floating point registers, as FXSAVE lays them out.
    pub fpu: [u8; 512],
    /// `VGCF_*`
    pub flags: u64,
    /// General registers.
    pub user_regs: UserRegisters,
    /// Exceptions, by their number.
    pub trap_ctxt: [TrapInfo; 256],
    /// Address of the local descriptor table.
    pub ldt_base: u64,
    /// How many descriptors are in it.
    pub ldt_ents: u64,
    /// Machine frames of the global descriptor table.
    pub gdt_frames: [u64; 16],
    /// How many descriptors are in it.
    pub gdt_ents: u64,
    /// Stack segment of the guest's kernel.
    pub kernel_ss: u64,
    /// Stack pointer of the guest's kernel.
    pub kernel_sp: u64,
    /// Control registers. 3 names the machine frame of the page tables, 1 the one for programs.
    pub ctrlreg: [u64; 8],
    /// Debug registers.
    pub debugreg: [u64; 8],
    /// Address of the code that handles events.
    pub event_callback_eip: u64,
    /// Address of the code that handles failures of a return to the guest.
    pub failsafe_callback_eip: u64,
    /// Address of the code that handles system calls.
    pub syscall_callback_eip: u64,
    /// `VMASST_TYPE_*`, a bit each.
    pub vm_assist: u64,
    /// Base of the segment FS.
    pub fs_base: u64,
    /// Base of the segment GS in the guest's kernel.
    pub gs_base_kernel: u64,
    /// Base of the segment GS in the guest's programs.
    pub gs_base_user: u64,
}
layout!(
    VcpuContext = "struct vcpu_guest_context", 5168,
    fpu("fpu_ctxt") @ 0, flags @ 512, user_regs @ 520, trap_ctxt @ 720, ldt_base @ 4816, ldt_ents @ 4824,
    gdt_frames @ 4832, gdt_ents @ 4960, kernel_ss @ 4968, kernel_sp @ 4976, ctrlreg @ 4984, debugreg @ 5048,
    event_callback_eip @ 5112, failsafe_callback_eip @ 5120, syscall_callback_eip @ 5128, vm_assist @ 5136,
    fs_base @ 5144, gs_base_kernel @ 5152, gs_base_user @ 5160,
);
