//! `device_model` as the devices of a stock Linux guest: its console, a PCI bus and registers, also when it is killed.

use std::time::Duration;

use examples::device_model::process::{Console, SerialGuest};

/// Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

fn ask(console: &mut Console, command: &str) -> String {
    console.ask(command, PATIENCE).expect("an answer")
}

/// What the guest's shell does with the registers of the function at 00:01.0.
fn touch_registers(console: &mut Console) {
    let window = "0xe0000000";
    assert_eq!(ask(console, &format!("devmem {window} 32")), "0x524E4558", "XENR");
    assert_eq!(ask(console, &format!("devmem {window} 8")), "0x58", "X");
    ask(console, "devmem 0xe0000008 64 0x1122334455667788");
    for (width, expected) in [(64, "0x1122334455667788"), (32, "0x55667788"), (16, "0x7788"), (8, "0x88")] {
        assert_eq!(ask(console, &format!("devmem 0xe0000008 {width}")), expected);
    }
    ask(console, "devmem 0xe000000a 16 0xabcd");
    assert_eq!(ask(console, "devmem 0xe0000008 64"), "0x11223344ABCD7788");
    ask(console, &format!("devmem {window} 32 0"));
    assert_eq!(ask(console, &format!("devmem {window} 32")), "0x524E4558", "cannot be written");
    assert_eq!(ask(console, "devmem 0xe0000020 32"), "0xFFFFFFFF", "no register");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_stock_linux_has_its_console_and_its_pci_bus_here() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: guests on Arm have a serial port of Xen's own");
        return;
    }
    let guest = SerialGuest::start("loglevel=1").expect("a guest");
    let mut console = Console::start(guest.domain(), &guest.state(), None).expect("a device model");
    guest.unpause().expect("it begins");
    console.hear(SerialGuest::READY, PATIENCE).expect("the guest boots");
    assert!(ask(&mut console, "cat /proc/cmdline").contains("console=ttyS0"));
    assert!(ask(&mut console, "cat /proc/tty/driver/serial").contains("16550A port:000003F8 irq:0"));

    let functions = ask(&mut console, "cd /sys/bus/pci/devices; cat */vendor */device */class");
    assert_eq!(functions, "0x5853 0x5853 0xfff0 0xfff1 0x060000 0x088000");
    assert_eq!(ask(&mut console, "devmem 0xe0000000 32"), "0xFFFFFFFF", "the function is off");
    ask(&mut console, "echo 1 >/sys/bus/pci/devices/0000:00:01.0/enable");
    touch_registers(&mut console);
    let writes = ask(&mut console, "devmem 0xe0000004 32");

    // The guest is in the middle of something that lasts, and has registers that outlive the program.
    console.type_in("i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; done\n").expect("typed");
    console.hear("line 5", PATIENCE).expect("it has begun");
    console.replace().expect("another device model");
    console.hear("line 40", PATIENCE).expect("it goes on");
    let is_damaged = |number: &u32| !console.text().contains(&format!("\nline {number}\n"));
    let damaged: Vec<u32> = (1..=40).filter(is_damaged).collect();
    assert!(damaged.len() <= 1, "a character may come twice: {damaged:?}\n{}", console.text());
    assert_eq!(ask(&mut console, "devmem 0xe0000008 64"), "0x11223344ABCD7788");
    assert_eq!(ask(&mut console, "devmem 0xe0000004 32"), writes);

    // The window moves when the guest says so.
    let bar = "/sys/bus/pci/devices/0000:00:01.0/config";
    let set = |value: &str| format!("printf '{value}' | dd of={bar} bs=1 seek=16 conv=notrunc 2>/dev/null");
    ask(&mut console, &set("\\000\\000\\001\\340"));
    assert_eq!(ask(&mut console, "devmem 0xe0010000 32"), "0x524E4558");
    assert_eq!(ask(&mut console, "devmem 0xe0000000 32"), "0xFFFFFFFF");

    console.type_in("poweroff -f\n").expect("typed");
    console.wait_end(PATIENCE).expect("it ends with its guest");
    assert!(!guest.state().exists(), "a server that is gone is no use to anybody");
}
