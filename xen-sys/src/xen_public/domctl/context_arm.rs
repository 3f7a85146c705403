//! The registers of a vCPU of Arm, 64 bits. A 32-bit guest has its registers where the architecture maps them to.

use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// The vCPU is on.
    VGCF_ONLINE = "VGCF_online" = 1 << 0;
}

/// `struct vcpu_guest_core_regs` of Xen 4.16 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "vcpu_guest_core_regs")]
pub struct CoreRegisters {
    /// General registers X0 to X30.
    pub x: [u64; 31],
    /// Where it goes on.
    pub pc: u64,
    /// Processor state.
    pub cpsr: u64,
    /// Saved processor state of the guest's kernel.
    pub spsr_el1: u64,
    /// The same of 32-bit guests, for fast interrupts.
    pub spsr_fiq: u32,
    /// The same for interrupts.
    pub spsr_irq: u32,
    /// The same for undefined instructions.
    pub spsr_und: u32,
    /// The same for aborts.
    pub spsr_abt: u32,
    /// Stack pointer of the guest's programs.
    pub sp_el0: u64,
    /// Stack pointer of the guest's kernel.
    pub sp_el1: u64,
    /// Where the guest's kernel returns to.
    pub elr_el1: u64,
}
layout!(
    CoreRegisters = "struct vcpu_guest_core_regs" (4.16..=4.22), 312,
    pc("pc64") @ 248, cpsr @ 256, spsr_el1 @ 264, spsr_fiq @ 272, spsr_irq @ 276, spsr_und @ 280, spsr_abt @ 284,
    sp_el0 @ 288, sp_el1 @ 296, elr_el1 @ 304,
);

/// `struct vcpu_guest_context` of Xen 4.16 and later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "vcpu_guest_context")]
#[doc(alias = "vcpu_guest_context_t")]
pub struct VcpuContext {
    /// `VGCF_*`
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// General registers.
    pub user_regs: CoreRegisters,
    /// System control register.
    pub sctlr: u64,
    /// Translation control register.
    pub ttbcr: u64,
    /// Page tables of the guest's programs.
    pub ttbr0: u64,
    /// Page tables of the guest's kernel.
    pub ttbr1: u64,
}
layout!(
    VcpuContext = "struct vcpu_guest_context" (4.16..=4.22), 352,
    flags @ 0, user_regs @ 8, sctlr @ 320, ttbcr @ 328, ttbr0 @ 336, ttbr1 @ 344,
);

/// `struct vcpu_guest_core_regs` of Xen 4.14 and 4.15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "vcpu_guest_core_regs")]
pub struct CoreRegisters414 {
    /// General registers X0 to X30.
    pub x: [u64; 31],
    /// Where it goes on.
    pub pc: u64,
    /// Processor state.
    pub cpsr: u32,
    /// Saved processor state of the guest's kernel.
    pub spsr_el1: u32,
    /// The same of 32-bit guests, for fast interrupts.
    pub spsr_fiq: u32,
    /// The same for interrupts.
    pub spsr_irq: u32,
    /// The same for undefined instructions.
    pub spsr_und: u32,
    /// The same for aborts.
    pub spsr_abt: u32,
    /// Stack pointer of the guest's programs.
    pub sp_el0: u64,
    /// Stack pointer of the guest's kernel.
    pub sp_el1: u64,
    /// Where the guest's kernel returns to.
    pub elr_el1: u64,
}
layout!(
    CoreRegisters414 = "struct vcpu_guest_core_regs" (4.14..=4.15), 304,
    pc("pc64") @ 248, cpsr @ 256, spsr_el1 @ 260, spsr_fiq @ 264, spsr_irq @ 268, spsr_und @ 272, spsr_abt @ 276,
    sp_el0 @ 280, sp_el1 @ 288, elr_el1 @ 296,
);

/// `struct vcpu_guest_context` of Xen 4.14 and 4.15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "vcpu_guest_context")]
#[doc(alias = "vcpu_guest_context_t")]
pub struct VcpuContext414 {
    /// `VGCF_*`
    pub flags: u32,
    /// Zero.
    pub pad: u32,
    /// General registers.
    pub user_regs: CoreRegisters414,
    /// System control register.
    pub sctlr: u64,
    /// Translation control register.
    pub ttbcr: u64,
    /// Page tables of the guest's programs.
    pub ttbr0: u64,
    /// Page tables of the guest's kernel.
    pub ttbr1: u64,
}
layout!(
    VcpuContext414 = "struct vcpu_guest_context" (4.14..=4.15), 344,
    flags @ 0, user_regs @ 8, sctlr @ 312, ttbcr @ 320, ttbr0 @ 328, ttbr1 @ 336,
);

impl From<VcpuContext414> for VcpuContext {
    fn from(old: VcpuContext414) -> Self {
        let VcpuContext414 { flags, pad, user_regs: registers, sctlr, ttbcr, ttbr0, ttbr1 } = old;
        let user_regs = CoreRegisters {
            x: registers.x,
            pc: registers.pc,
            cpsr: registers.cpsr.into(),
            spsr_el1: registers.spsr_el1.into(),
            spsr_fiq: registers.spsr_fiq,
            spsr_irq: registers.spsr_irq,
            spsr_und: registers.spsr_und,
            spsr_abt: registers.spsr_abt,
            sp_el0: registers.sp_el0,
            sp_el1: registers.sp_el1,
            elr_el1: registers.elr_el1,
        };
        Self { flags, pad, user_regs, sctlr, ttbcr, ttbr0, ttbr1 }
    }
}

/// Fails if a processor state has more than 32 bits.
impl TryFrom<VcpuContext> for VcpuContext414 {
    type Error = core::num::TryFromIntError;

    fn try_from(new: VcpuContext) -> Result<Self, Self::Error> {
        let VcpuContext { flags, pad, user_regs: registers, sctlr, ttbcr, ttbr0, ttbr1 } = new;
        let user_regs = CoreRegisters414 {
            x: registers.x,
            pc: registers.pc,
            cpsr: registers.cpsr.try_into()?,
            spsr_el1: registers.spsr_el1.try_into()?,
            spsr_fiq: registers.spsr_fiq,
            spsr_irq: registers.spsr_irq,
            spsr_und: registers.spsr_und,
            spsr_abt: registers.spsr_abt,
            sp_el0: registers.sp_el0,
            sp_el1: registers.sp_el1,
            elr_el1: registers.elr_el1,
        };
        Ok(Self { flags, pad, user_regs, sctlr, ttbcr, ttbr0, ttbr1 })
    }
}
