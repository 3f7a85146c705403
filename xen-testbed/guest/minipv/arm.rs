//! minipv on arm64: it asks Xen for what an x86 guest is told, and frames are what it takes for physical memory.

use core::arch::{asm, global_asm};

use crate::console::ConsoleRing;
use crate::events::{Port, SharedInfo};
use crate::grants::GrantTable;
use crate::hypercall::{DOMID_SELF, crash};
use crate::memory::{PAGE_SHIFT, Page, address};

global_asm!(
    // The header of a Linux kernel, which is what the domain builder takes.
    ".section .head, \"ax\"",
    ".globl _start",
    "_start: b 1f",
    ".long 0",
    ".quad 0", // to be loaded where the memory starts
    ".quad image_end - _start",
    ".quad 2, 0, 0, 0", // little endian, pages of 4 KiB
    ".ascii \"ARM\\x64\"",
    ".long 0",
    // Atomics, and what Xen or dom0 shares, must be in normal cacheable memory. There is none while the MMU is off: with it
    // the first two GiB become that, each address mapped to itself.
    "1: mov x1, #0xff", // normal memory, write-back
    "msr mair_el1, x1",
    "mov x1, #0x3521", // 2 GiB in the lower half, tables in cacheable memory
    "movk x1, #0x80, lsl #16", // no upper half
    "msr tcr_el1, x1",
    "adrp x1, blocks",
    "add x1, x1, :lo12:blocks",
    "msr ttbr0_el1, x1",
    "adrp x1, vectors",
    "add x1, x1, :lo12:vectors",
    "msr vbar_el1, x1",
    "mov x1, #(3 << 20)", // the compiler makes use of vector registers
    "msr cpacr_el1, x1",
    "tlbi vmalle1",
    "dsb sy",
    "isb",
    "mrs x1, sctlr_el1",
    "mov x2, #0x1005", // the MMU, and both caches
    "orr x1, x1, x2",
    "msr sctlr_el1, x1",
    "isb",
    // The file ends before .bss, and nobody zeroes what is behind it.
    "adrp x1, bss_start",
    "adrp x2, image_end",
    "2: stp xzr, xzr, [x1], #16",
    "cmp x1, x2",
    "b.lo 2b",
    "adrp x1, stack_top",
    "add sp, x1, :lo12:stack_top",
    "bl {main}", // x0 is still what Xen passes: the address of the device tree
    // Xen ends an x86 guest that faults. This one has to do so itself.
    ".balign 2048",
    "vectors:",
    ".rept 16",
    ".balign 128",
    "b {fault}",
    ".endr",
    ".balign 64",
    "blocks: .quad 0x00000701, 0x40000701", // valid, shareable, accessed
    ".text",
    // The compiler calls these for large initial values and copies; there is no libc to have them.
    ".globl memset",
    "memset: mov x3, x0",
    "1: cbz x2, 2f",
    "strb w1, [x3], #1",
    "sub x2, x2, #1",
    "b 1b",
    "2: ret",
    ".globl memcpy",
    "memcpy: mov x3, x0",
    "1: cbz x2, 2f",
    "ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "sub x2, x2, #1",
    "b 1b",
    "2: ret",
    ".bss",
    ".balign 16",
    ".skip 16384",
    "stack_top:",
    ".text",
    main = sym crate::main,
    fault = sym fault,
);

extern "C" fn fault() -> ! {
    crash()
}

/// How many u64 are before the event channels in the shared info: one `struct vcpu_info`.
pub(crate) const VCPU_INFO: usize = 6;

/// The device tree. minipv needs nothing of it.
pub(crate) struct StartInfo;

impl StartInfo {
    pub(crate) fn map_shared_info(&self, page: &'static Page<SharedInfo>) {
        const SHARED_INFO: u32 = 0;
        map(page, SHARED_INFO, 0);
    }

    pub(crate) fn console(&self) -> (&'static ConsoleRing, Port) {
        const CONSOLE_FRAME: u32 = 17;
        const CONSOLE_PORT: u32 = 18;
        let ring = (parameter(CONSOLE_FRAME) << PAGE_SHIFT) as *const ConsoleRing;
        let port = Port::try_from(parameter(CONSOLE_PORT)).unwrap_or_else(|_| crash());
        // SAFETY: the domain builder put this page there for the ring, which is made of atomics, and it is mapped.
        (unsafe { &*ring }, port)
    }

    pub(crate) fn map_grant_table(&self, table: &'static GrantTable) {
        const GRANT_TABLE: u32 = 1;
        for (page, index) in table.iter().zip(0..) {
            map(page, GRANT_TABLE, index);
        }
    }

    /// The frame of one of our own pages, as a grant entry has it.
    pub(crate) fn frame_of<T>(&self, page: &'static Page<T>) -> u32 {
        u32::try_from(address(page) >> PAGE_SHIFT).unwrap_or_else(|_| crash())
    }
}

/// `struct xen_add_to_physmap`.
#[repr(C)]
struct AddToPhysmap {
    domain: u16,
    size: u16,
    space: u32,
    index: u64,
    frame: u64,
}

/// Puts a page of Xen's where one of ours was.
fn map<T>(page: &'static Page<T>, space: u32, index: u64) {
    const MEMORY_OP: u64 = 12;
    const ADD_TO_PHYSMAP: u64 = 7;
    let frame = address(page) >> PAGE_SHIFT;
    let request = AddToPhysmap { domain: DOMID_SELF, size: 0, space, index, frame };
    // SAFETY: the record that this operation reads; the page is a static of atomics, so nothing depends on what was there.
    let status = unsafe { hypercall(MEMORY_OP, [ADD_TO_PHYSMAP, address(&request), 0]) };
    if status != 0 {
        crash();
    }
}

/// `struct xen_hvm_param`.
#[repr(C)]
struct Parameter {
    domain: u16,
    index: u32,
    value: u64,
}

/// What the domain builder left for us to ask.
fn parameter(index: u32) -> u64 {
    const HVM_OP: u64 = 34;
    const GET_PARAM: u64 = 1;
    let mut request = Parameter { domain: DOMID_SELF, index, value: 0 };
    // SAFETY: the record that this operation fills in.
    let status = unsafe { hypercall(HVM_OP, [GET_PARAM, (&raw mut request) as u64, 0]) };
    if status != 0 {
        crash();
    }
    request.value
}

/// # Safety
///
/// The arguments are those of this hypercall, and memory that they point to is what it expects there.
pub(crate) unsafe fn hypercall(number: u64, [first, second, third]: [u64; 3]) -> i64 {
    let status;
    // SAFETY: Xen's convention for Arm; the caller answers for the arguments.
    unsafe {
        asm!(
            "hvc #0xea1",
            inlateout("x16") number => _,
            inlateout("x0") first => status,
            inlateout("x1") second => _,
            inlateout("x2") third => _,
            lateout("x3") _,
            lateout("x4") _,
            options(nostack),
        );
    }
    status
}
