//! `device_model` as the disk of a stock Linux guest: virtio behind PCI, with the drivers that Debian ships.

use std::fs;
use std::path::Path;
use std::time::Duration;

use examples::device_model::process::{Console, SerialGuest};

/// Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;

/// Has the guest's shell run a command, and returns what it says.
fn ask(console: &mut Console, command: &str) -> String {
    let typed = format!("echo $((6*7))[ $({command}) ]$((6*7))\n");
    console.type_in(&typed).expect("typed");
    let line = console.hear("42[", PATIENCE).expect("an answer");
    let answer = line.split_once("42[").and_then(|(_, rest)| rest.split_once("]42"));
    answer.unwrap_or_else(|| panic!("half an answer: {line}")).0.trim().to_owned()
}

/// Bytes that tell where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|word| (word.wrapping_mul(0x9e37_79b9)).to_le_bytes()).take(length).collect()
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_stock_linux_has_a_virtio_disk_here() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: PCI functions are for x86");
        return;
    }
    let image = std::env::temp_dir().join("virtio-disk.img");
    fs::write(&image, pattern(8 * MIB)).expect("an image");
    let guest = SerialGuest::start("loglevel=7").expect("a guest");
    let mut console =
        Console::start(guest.domain(), &guest.state(), Some(Path::new(&image))).expect("a device model");
    guest.unpause().expect("it begins");
    console.hear(SerialGuest::READY, PATIENCE).expect("the guest boots");
    println!("{}", ask(&mut console, "cat /sys/bus/pci/devices/0000:00:02.0/uevent"));
    println!("{}", ask(&mut console, "mp virtio_pci virtio_blk 2>&1; echo $?"));
    println!("{}", ask(&mut console, "dmesg | tail -n 20; cat /proc/interrupts"));
    println!("{}", console.text());
    println!("{}", ask(&mut console, "cat /sys/block/vda/size"));
}
