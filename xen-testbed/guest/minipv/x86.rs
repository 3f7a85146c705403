//! minipv on x86-64, a PV guest: Xen gives it page tables, and tells it its machine frames.

use core::arch::{asm, global_asm};

use crate::console::ConsoleRing;
use crate::events::{Port, SharedInfo};
use crate::grants::GrantTable;
use crate::hypercall::{DOMID_SELF, crash};
use crate::memory::{PAGE_SHIFT, Page, address};

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

/// How many u64 are before the event channels in the shared info: 32 times `struct vcpu_info`.
pub(crate) const VCPU_INFO: usize = 256;

/// The head of `struct start_info`.
#[repr(C)]
pub(crate) struct StartInfo {
    magic: [u8; 32],
    pages: usize,
    shared_info: u64, // machine address
    flags: u32,
    store_frame: u64,
    store_port: Port,
    console_frame: u64,
    console_port: Port,
    page_tables: u64,
    page_table_frames: u64,
    frames: *const u64,
}

/// The console's page is mapped over it.
static CONSOLE: Page<ConsoleRing> = Page(ConsoleRing::new());

impl StartInfo {
    pub(crate) fn map_shared_info(&self, page: &'static Page<SharedInfo>) {
        map(page, self.shared_info);
    }

    pub(crate) fn console(&self) -> (&'static ConsoleRing, Port) {
        map(&CONSOLE, self.console_frame << PAGE_SHIFT);
        (&CONSOLE.0, self.console_port)
    }

    pub(crate) fn map_grant_table(&self, table: &'static GrantTable) {
        for (page, frame) in table.iter().zip(grant_table_frames()) {
            map(page, frame << PAGE_SHIFT);
        }
    }

    /// The machine frame behind one of our own pages, as a grant entry has it.
    pub(crate) fn frame_of<T>(&self, page: &'static Page<T>) -> u32 {
        // SAFETY: Xen's list, which nobody changes, has an entry for each page of the guest.
        let frames = unsafe { core::slice::from_raw_parts(self.frames, self.pages) };
        let index = usize::try_from(address(page) >> PAGE_SHIFT).ok(); // the guest is mapped from address 0
        let frame = index.and_then(|index| frames.get(index)).and_then(|frame| u32::try_from(*frame).ok());
        frame.unwrap_or_else(|| crash())
    }
}

/// Maps a machine frame over one of our pages.
fn map<T>(page: &'static Page<T>, machine_address: u64) {
    const UPDATE_VA_MAPPING: u64 = 14;
    const PRESENT_WRITABLE_USER: u64 = 7;
    const FLUSH_THIS_ADDRESS: u64 = 2;
    let entry = machine_address | PRESENT_WRITABLE_USER;
    // SAFETY: the page is a static of atomics, so nothing depends on what was mapped there before.
    let status = unsafe { hypercall(UPDATE_VA_MAPPING, [address(page), entry, FLUSH_THIS_ADDRESS]) };
    if status != 0 {
        crash();
    }
}

/// `struct gnttab_setup_table`.
#[repr(C)]
struct SetupTable {
    domain: u16,
    frame_count: u32,
    status: i16,
    frames: *mut u64,
}

fn grant_table_frames() -> [u64; 2] {
    const GRANT_TABLE_OP: u64 = 20;
    const SETUP_TABLE: u64 = 2;
    let mut frames = [0; 2];
    let mut table =
        SetupTable { domain: DOMID_SELF, frame_count: 2, status: -1, frames: frames.as_mut_ptr() };
    // SAFETY: one record, which names room for as many frames as it asks for.
    let refused = unsafe { hypercall(GRANT_TABLE_OP, [SETUP_TABLE, (&raw mut table) as u64, 1]) } != 0;
    if refused || table.status != 0 {
        crash();
    }
    frames
}

/// # Safety
///
/// The arguments are those of this hypercall, and memory that they point to is what it expects there.
pub(crate) unsafe fn hypercall(number: u64, [first, second, third]: [u64; 3]) -> i64 {
    let status;
    // SAFETY: the 64-bit PV convention; the caller answers for the arguments.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") first => _,
            inlateout("rsi") second => _,
            inlateout("rdx") third => _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    status
}
