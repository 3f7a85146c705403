//! Where the guest starts, and what Xen tells it then.

use core::arch::global_asm;

use crate::events::Port;

global_asm!(
    ".text",
    ".globl _start",
    "_start:",
    "cld",
    "mov rdi, rsi", // Xen passes the address of the start info in rsi
    "lea rsp, [rip + stack_top]",
    "call {main}",
    "ud2",
    // The compiler calls these for large initial values and copies; there is no libc to have them.
    ".globl memset",
    "memset: mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    ".globl memcpy",
    "memcpy: mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    ".bss",
    ".balign 16",
    ".skip 16384",
    "stack_top:",
    // What the domain builder wants to know (xen/elfnote.h).
    ".macro elfnote kind, description:vararg",
    ".balign 4",
    ".long 4, 99f - 98f, \\kind",
    ".asciz \"Xen\"",
    "98: \\description",
    "99: .balign 4",
    ".endm",
    ".section .note.Xen, \"a\", @note",
    "elfnote 1, .quad _start",       // ENTRY
    "elfnote 3, .quad 0",            // VIRT_BASE
    "elfnote 5, .asciz \"xen-3.0\"", // XEN_VERSION
    "elfnote 6, .asciz \"minipv\"",  // GUEST_OS
    "elfnote 8, .asciz \"generic\"", // LOADER
    "elfnote 9, .asciz \"yes\"",     // PAE_MODE
    ".text",
    main = sym crate::main,
);

/// The head of `struct start_info`.
#[repr(C)]
pub(crate) struct StartInfo {
    magic: [u8; 32],
    pages: usize,
    pub(crate) shared_info: u64, // machine address
    flags: u32,
    store_frame: u64,
    store_port: Port,
    pub(crate) console_frame: u64,
    pub(crate) console_port: Port,
    page_tables: u64,
    page_table_frames: u64,
    frames: *const u64,
}

impl StartInfo {
    /// The machine frame behind each of our pages.
    pub(crate) fn frames(&self) -> &[u64] {
        // SAFETY: Xen's list, which nobody changes, has an entry for each page of the guest.
        unsafe { core::slice::from_raw_parts(self.frames, self.pages) }
    }
}
