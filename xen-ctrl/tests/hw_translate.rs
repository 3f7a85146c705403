//! Virtual addresses of guests on real Xen: the guest writes at them, and the frame that they are translated to has it.
#![cfg(target_arch = "x86_64")]

mod common;
mod guest_code;

use std::thread;
use std::time::Duration;

use common::xenctrl;
use guest_code::x86::{PRESENT, PV_BASE, flat, hvm, pv};
use guest_code::{CODE, DATA, Guest, PAGE_SIZE, UNTOUCHED, eventually};
use xen_ctrl::domain::{DomainFlags, GuestWidth};
use xen_ctrl::vcpu::HvmCpu;
use xen_ctrl::{DomId, Error, ForeignMemory, VcpuId, Xenctrl};

const EINVAL: Option<i32> = Some(22);
const ENODATA: Option<i32> = Some(61);

/// What a guest writes.
const MARK: u64 = 0x1234_5678;
/// Writes the mark at two addresses, and waits there; of 32 bits or 64.
const WRITE_TWICE: [u8; 6] = [
    0x89, 0x07, // mov [rdi], eax
    0x89, 0x06, // mov [rsi], eax
    0xeb, 0xfe, // jmp to itself
];
/// Where it waits, behind the beginning of the code.
const WAITS: u64 = 4;

/// The lower half of a word that the guest has written to.
fn mark(guest: &Guest<'_>, index: u64) -> u64 {
    guest.word(index) & 0xffff_ffff
}

/// Lets the guest run until it has written both marks.
fn run(guest: &Guest<'_>) {
    assert_eq!((guest.word(0), guest.word(1)), (UNTOUCHED, UNTOUCHED));
    guest.domain.unpause().expect("it begins");
    eventually("it writes where its tables say", || (mark(guest, 0), mark(guest, 1)) == (MARK, MARK));
    guest.domain.pause().expect("paused");
}

/// How an HVM guest has paging. All small pages are at `base`, large ones behind those, if there are any.
struct Mode {
    name: &'static str,
    registers: HvmCpu,
    base: u64,
    large: Option<u64>,
    /// Place of an entry, the entry, and how many bytes it has.
    entries: Vec<(u64, u64, usize)>,
}

/// The entries of the last table, at `table`, which map code and data.
fn small_pages(table: u64, length: usize) -> impl Iterator<Item = (u64, u64, usize)> {
    let place = move |frame: u64| table + frame * u64::try_from(length).expect("small");
    [CODE, DATA].into_iter().map(move |frame| (place(frame), (frame * PAGE_SIZE) | PRESENT, length))
}

/// An entry of a large page, at 0.
const LARGE: u64 = 0x80 | PRESENT;
const PAGING: u64 = 0x8000_0011;
const PSE: u64 = 0x10;
const PAE: u64 = 0x20;

fn modes() -> [Mode; 4] {
    let off = Mode { name: "no paging", registers: flat(), base: 0, large: None, entries: Vec::new() };

    let registers = HvmCpu { cr0: PAGING, cr3: 0x1000, cr4: PSE, ..flat() };
    let base = 0xc000_0000;
    let root = [(0x1c00, 0x2000 | PRESENT, 4), (0x1c04, LARGE, 4)];
    let entries = root.into_iter().chain(small_pages(0x2000, 4)).collect();
    let two = Mode { name: "two levels", registers, base, large: Some(base + (4 << 20)), entries };

    // the root is in the middle of a frame, and its entries have but one flag
    let registers = HvmCpu { cr0: PAGING, cr3: 0x1220, cr4: PAE, ..flat() };
    let root = [(0x1238, 0x2001, 8), (0x2000, 0x3000 | PRESENT, 8), (0x2008, LARGE, 8)];
    let entries = root.into_iter().chain(small_pages(0x3000, 8)).collect();
    let three = Mode { name: "three levels", registers, base, large: Some(base + (2 << 20)), entries };

    let registers =
        HvmCpu { cr0: PAGING, cr3: 0x1000, cr4: PAE, msr_efer: 0x500, cs_arbytes: 0xa9b, ..flat() };
    let tables = [
        (0x1000 + 36 * 8, 0x2000 | PRESENT, 8),
        (0x2000 + 209 * 8, 0x3000 | PRESENT, 8),
        (0x3000 + 179 * 8, 0x4000 | PRESENT, 8),
        (0x3000 + 180 * 8, LARGE, 8),
    ];
    let entries = tables.into_iter().chain(small_pages(0x4000, 8)).collect();
    let large = Some(PV_BASE + (2 << 20));
    let four = Mode { name: "four levels", registers, base: PV_BASE, large, entries };
    [off, two, three, four]
}

fn start<'a>(xen: &'a Xenctrl, mode: &Mode) -> Guest<'a> {
    let data = DATA * PAGE_SIZE;
    let registers = HvmCpu {
        rip: mode.base + CODE * PAGE_SIZE,
        rax: MARK,
        rdi: mode.base + data,
        rsi: mode.large.unwrap_or(mode.base) + data + 8,
        ..mode.registers
    };
    let guest = hvm(xen, &WRITE_TWICE, &registers);
    for &(place, entry, length) in &mode.entries {
        guest.write(place, &entry.to_le_bytes()[..length]);
    }
    guest
}

#[test]
#[ignore = "needs Xen dom0"]
fn an_hvm_guest_finds_its_memory_where_its_tables_say() {
    let xen = xenctrl();
    for mode in modes() {
        let guest = start(&xen, &mode);
        let vcpu = guest.vcpu();
        let Mode { name, base, large, .. } = mode;
        let long = name == "four levels";
        let width = if long { GuestWidth::Bits64 } else { GuestWidth::Bits32 };
        assert_eq!(guest.domain.guest_width().expect("as its registers say"), width, "{name}");
        let check = || {
            let mut space = vcpu.address_space(&guest.foreign).expect("its registers");
            let mut look = |address| space.translate(address).expect("its tables");
            assert_eq!(look(base + CODE * PAGE_SIZE + 5), Some(guest.frame(CODE)), "{name}");
            assert_eq!(look(base + DATA * PAGE_SIZE + 0xfff), Some(guest.frame(DATA)), "{name}");
            let Some(large) = large else {
                return assert_eq!(look(1 << 32), None, "{name}");
            };
            assert_eq!(look(base + 11 * PAGE_SIZE), None, "{name}");
            assert_eq!(look(large + DATA * PAGE_SIZE + 0x123), Some(guest.frame(DATA)), "{name}");
            assert_eq!(look(large + 11 * PAGE_SIZE), Some(guest.frame(11)), "{name}");
            assert_eq!(look(base ^ 1 << 31), None, "{name}");
        };
        check();
        run(&guest);
        check();
        let now = vcpu.hvm_context().expect("there");
        assert_eq!((now.rip, now.rax), (base + CODE * PAGE_SIZE + WAITS, MARK), "{name}");
        assert_eq!((now.cr3, now.cr4 & (PSE | PAE)), (mode.registers.cr3, mode.registers.cr4), "{name}");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_pv_guest_finds_its_memory_where_its_tables_say() {
    let xen = xenctrl();
    let address = |frame: u64| PV_BASE + frame * PAGE_SIZE;
    let guest = pv(&xen, &WRITE_TWICE, |context| {
        context.user_regs.rax = MARK;
        context.user_regs.rdi = address(DATA);
        context.user_regs.rsi = address(DATA) + 8;
    });
    run(&guest);
    let vcpu = guest.vcpu();
    assert_eq!(vcpu.context().expect("there").user_regs.rip, address(CODE) + WAITS);
    let look = |address| vcpu.translate(&guest.foreign, address).expect("its tables");
    assert_eq!(look(address(CODE) + WAITS), Some(guest.frame(CODE)), "a machine frame");
    assert_eq!(look(address(DATA) + 0xfff), Some(guest.frame(DATA)));
    assert_eq!(look(address(10)), None);
    assert_eq!(look(1 << 47), None, "no processor has that address");
    let error = vcpu.hvm_context().expect_err("it is no HVM guest");
    assert_eq!(error.errno(), EINVAL, "{error}");

    let mut context = vcpu.context().expect("there");
    vcpu.reset().expect("off");
    assert!(!vcpu.info().expect("there").online);
    assert_eq!(vcpu.context().expect_err("it has none now").errno(), ENODATA);
    context.ctrlreg[3] = guest.frame(0).get() * PAGE_SIZE;
    context.user_regs.rip = address(CODE);
    context.user_regs.rax = MARK + 1;
    vcpu.set_context(&context).expect("it begins anew, with page tables");
    guest.domain.unpause().expect("it runs");
    eventually("it writes again", || mark(&guest, 0) == MARK + 1);
}

#[test]
#[ignore = "needs Xen dom0"]
fn there_are_no_addresses_without_registers() {
    let xen = xenctrl();
    let foreign = ForeignMemory::open().expect("the device");
    for kind in [xen_ctrl::domain::DomainKind::Pv, xen_ctrl::domain::DomainKind::Hvm] {
        let guest = Guest::new(&xen, kind, 0, &[]);
        let error = guest.vcpu().translate(&foreign, 0).expect_err("it is off");
        assert!(matches!(error, Error::Refused { .. }) && error.errno() == ENODATA, "{error:?}");
    }
    let own = xen.domain(DomId::ZERO).vcpu(VcpuId::new(0));
    assert_eq!(own.translate(&foreign, 0).expect_err("nobody sees himself").errno(), EINVAL);

    // its root table is where it has no memory
    let nowhere = HvmCpu { cr0: PAGING, cr3: 0x7f_f000, cr4: PSE, ..flat() };
    let guest = hvm(&xen, &[], &nowhere);
    let error = guest.vcpu().translate(&foreign, 0).expect_err("there are no tables");
    assert!(matches!(error, Error::Foreign(_)), "{error:?}");
}

/// Two instructions of a byte or more, and one that is not reached.
const STEPS: [u8; 8] = [
    0x48, 0xff, 0xc0, // inc rax; of 32 bits: dec eax, inc eax
    0x48, 0xff, 0xc3, // inc rbx
    0xeb, 0xfe, // jmp to itself
];

/// Lets a guest that stops after each instruction go on by one. False if it does not stop within a second.
fn step(guest: &Guest<'_>) -> bool {
    guest.domain.unpause().expect("it goes on");
    (0..100).any(|_| {
        thread::sleep(Duration::from_millis(10));
        guest.domain.info().expect("there").flags.contains(DomainFlags::PAUSED)
    })
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_pv_guest_goes_step_by_step() {
    /// The flag by which the processor stops after an instruction.
    const TRAP: u64 = 0x100;
    let xen = xenctrl();
    let guest = pv(&xen, &STEPS, |context| context.user_regs.rflags |= TRAP);
    guest.domain.set_debugging(true).expect("a debugger");
    let begin = PV_BASE + CODE * PAGE_SIZE;
    for (behind, rax, rbx) in [(3, 1, 0), (6, 1, 1), (6, 1, 1)] {
        let stopped = step(&guest);
        if behind == 3 && !stopped {
            println!("skipped: this hypervisor was built without what stops guests for debuggers (gdbsx)");
            return;
        }
        assert!(stopped);
        let now = guest.vcpu().context().expect("there").user_regs;
        assert_eq!((now.rip, now.rax, now.rbx), (begin + behind, rax, rbx));
    }
    let error = guest.domain.set_single_step(VcpuId::new(0), true).expect_err("for HVM guests");
    assert_eq!(error.errno(), EINVAL, "{error}");
    guest.domain.set_debugging(false).expect("no debugger");
}

#[test]
#[ignore = "needs Xen dom0"]
fn an_hvm_guest_goes_step_by_step_where_the_processor_can() {
    let xen = xenctrl();
    let guest = hvm(&xen, &STEPS, &flat());
    guest.domain.set_debugging(true).expect("a debugger");
    if let Err(error) = guest.domain.set_single_step(VcpuId::new(0), true) {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        println!("skipped: this processor cannot stop after each instruction of an HVM guest");
        return;
    }
    for behind in [1, 3, 4] {
        assert!(step(&guest));
        assert_eq!(guest.vcpu().hvm_context().expect("there").rip, CODE * PAGE_SIZE + behind);
    }
}
