//! `device_model` as the disk of a stock Linux guest: virtio behind PCI, with the drivers that Debian ships.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use examples::device_model::process::{Console, SerialGuest};
use sha2::{Digest, Sha256};

/// Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(240);
/// Bytes of the disk.
const DISK: usize = 8 << 20;
/// So many the guest writes one by one.
const SECTORS: usize = 12;
/// Where the function's registers are.
const WINDOW: u64 = 0xe000_1000;

fn ask(console: &mut Console, command: &str) -> String {
    console.ask(command, PATIENCE).expect("an answer")
}

/// Bytes that tell where they are.
fn pattern(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(length).collect()
}

/// The guest reads what dom0 wrote, and dom0 what the guest wrote: the beginning of the disk, once more in its second half.
fn both_sides_see_the_same(console: &mut Console, image: &Path) {
    let sum = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    let mut content = pattern(DISK);
    assert!(ask(console, "sha256sum </dev/vda").starts_with(&sum(&content)), "what dom0 wrote");

    ask(console, "dd if=/dev/vda of=/dev/vda bs=64k count=32 seek=64 conv=notrunc,fsync 2>/dev/null");
    content.copy_within(..DISK / 4, DISK / 2);
    assert!(fs::read(image).expect("the image") == content, "what the guest wrote, and nothing else");

    ask(console, "echo 3 >/proc/sys/vm/drop_caches");
    assert!(ask(console, "sha256sum </dev/vda").starts_with(&sum(&content)), "read back");
}

/// The guest writes, and the program is killed.
fn another_one_goes_on(console: &mut Console, image: &Path) {
    let write = "echo sector $i | dd of=/dev/vda bs=512 seek=$i conv=sync,fsync 2>/dev/null";
    let script = format!(
        "i=0; while [ $i -lt {SECTORS} ]; do i=$((i+1)); {write} || echo failed; echo wrote $i; done\n"
    );
    console.type_in(&script).expect("typed");
    console.hear("wrote 5", PATIENCE).expect("it has begun");
    console.replace().expect("another device model");
    console.hear(&format!("wrote {SECTORS}"), PATIENCE).expect("it goes on");
    assert!(!console.text().contains("\nfailed"), "{}", console.text());
    let content = fs::read(image).expect("the image");
    for number in 1..=SECTORS {
        let sector = content[512 * number..].split(|byte| *byte == 0).next().unwrap_or_default();
        assert_eq!(sector, format!("sector {number}\n").as_bytes());
    }
}

/// The guest gives memory back and gets it again, and its disk follows: data go to frames that were others when they were mapped.
fn memory_comes_and_goes(console: &mut Console, guest: &SerialGuest, image: &Path) {
    let content = format!("{:x}", Sha256::digest(fs::read(image).expect("the image")));
    for (mebibytes, is_there) in [(232, "-le 234"), (256, "-ge 240")] {
        let status = Command::new("xl").args(["mem-set", guest.domain(), &mebibytes.to_string()]).status();
        assert!(status.expect("xl").success());
        let current = "/sys/devices/system/xen_memory/xen_memory0/info/current_kb";
        ask(console, &format!("until [ $(($(cat {current}) / 1024)) {is_there} ]; do sleep 0.1; done"));
        ask(console, "echo 3 >/proc/sys/vm/drop_caches");
        assert!(ask(console, "sha256sum </dev/vda").starts_with(&content), "with {mebibytes} MiB");
    }
}

/// The guest takes the function from its driver, and has it use rings where there is no memory.
fn a_queue_that_makes_no_sense_is_no_harm(console: &mut Console) {
    ask(console, "echo 0000:00:02.0 >/sys/bus/pci/drivers/virtio-pci/unbind");
    let config = "/sys/bus/pci/devices/0000:00:02.0/config";
    ask(console, &format!("printf '\\006' | dd of={config} bs=1 seek=4 conv=notrunc 2>/dev/null"));
    let status = WINDOW + 0x14;
    let writes = [
        (0x14, 8, 0),
        (0x14, 8, 3), // acknowledge, driver
        (0x08, 32, 1),
        (0x0c, 32, 1), // version 1
        (0x14, 8, 0xb),
        (0x20, 64, 0xffff_ffff_ffff_f000), // descriptors
        (0x28, 64, WINDOW),                // what is asked
        (0x30, 64, 0xf_ffff_f000),         // what is answered
        (0x1c, 16, 1),
        (0x14, 8, 0xf),
        (0x300, 16, 0),
    ];
    let write = |(offset, width, value)| format!("devmem {:#x} {width} {value:#x}", WINDOW + offset);
    ask(console, &writes.map(write).join("; "));
    assert_eq!(ask(console, &format!("devmem {status:#x} 8")), "0x4F", "needs a reset");
    ask(console, "echo 0000:00:02.0 >/sys/bus/pci/drivers/virtio-pci/bind");
    assert_eq!(ask(console, "dd if=/dev/vda bs=512 skip=7 count=1 2>/dev/null | head -n 1"), "sector 7");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_stock_linux_has_a_virtio_disk_here() {
    if cfg!(not(target_arch = "x86_64")) {
        println!("skipped: guests on Arm have no PCI bus");
        return;
    }
    let image = std::env::temp_dir().join("virtio-disk.img");
    fs::write(&image, pattern(DISK)).expect("an image");
    let guest = SerialGuest::start("loglevel=1").expect("a guest");
    let mut console = Console::start(guest.domain(), &guest.state(), Some(&image)).expect("a device model");
    guest.unpause().expect("it begins");
    console.hear(SerialGuest::READY, PATIENCE).expect("the guest boots");
    ask(&mut console, "mp virtio_pci virtio_blk");
    let about = ask(&mut console, "cd /sys/block/vda; cat size ro serial; echo; readlink device/driver");
    assert!(about.starts_with("16384 0 xen-sdk-disk ") && about.ends_with("/virtio_blk"), "{about}");

    both_sides_see_the_same(&mut console, &image);
    another_one_goes_on(&mut console, &image);
    memory_comes_and_goes(&mut console, &guest, &image);
    a_queue_that_makes_no_sense_is_no_harm(&mut console);
    let interrupts = ask(&mut console, "grep MSI.*virtio0-req /proc/interrupts");
    let count = interrupts.split_whitespace().nth(1).and_then(|count| count.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count > 0), "{interrupts}");

    console.type_in("poweroff -f\n").expect("typed");
    console.wait_end(PATIENCE).expect("it ends with its guest");
    fs::remove_file(image).expect("removed");
}
