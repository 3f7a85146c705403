//! The device model: a stock Linux guest has its console on a serial port of ours, finds a PCI bus, and a virtio disk on it.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use examples::device_model::process::{Console, SerialGuest};

use crate::report::{part, step};

/// For what the guest does. Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(240);
/// What is typed, and something of the answer that was not typed: the guest sends back what it gets.
const QUESTIONS: [(&str, &str); 3] = [
    ("echo \"$((6 * 7)): $(uname -sr), up for $(cut -d ' ' -f 1 /proc/uptime) s\"", "42: "),
    ("cat /sys/bus/pci/devices/0000:00:01.0/uevent | grep -o 'PCI_I[D]=.*'", "PCI_ID="),
    (
        "echo 1 >/sys/bus/pci/devices/0000:00:01.0/enable; echo \"$(devmem 0xe0000000 32) is a register\"",
        "0x524E",
    ),
];

/// What the guest does with its disk, and something of what it says then.
const DISK: (&str, &str) =
    ("mp virtio_pci virtio_blk; echo \"This is $(uname -sr).\" | dd of=/dev/vda conv=fsync", "records out");
const DISK_BYTES: u64 = 1 << 20;

/// Shows a guest's boot log, types into the guest, and changes the device model in between.
pub(crate) fn demo() -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        bail!("this is for x86: a guest on Arm has a serial port of Xen's own");
    }
    part("A device model in Rust serves a stock Linux guest");
    let guest = step("create a Linux PVH guest, paused", || {
        let guest = SerialGuest::start("loglevel=7")?;
        let domain = format!("domain {}", guest.domain());
        Ok((guest, domain))
    })?;
    let image = std::env::temp_dir().join("demo-virtio.img");
    let disk = File::create(&image).and_then(|file| file.set_len(DISK_BYTES));
    disk.with_context(|| format!("cannot make {}", image.display()))?;
    let mut console = step("start device_model, which restricts itself to the guest", || {
        Ok((Console::start(guest.domain(), &guest.state(), Some(&image))?, String::new()))
    })?;
    guest.unpause()?;
    part("What the guest says on its serial port, COM1");
    loop {
        let line = console.hear("", PATIENCE)?;
        show(&line);
        if line.contains(SerialGuest::READY) {
            break;
        }
    }
    part("What the guest answers there");
    for (question, answer) in QUESTIONS {
        ask(&mut console, question, answer)?;
    }
    ask(&mut console, DISK.0, DISK.1)?;
    step("dom0 reads what is on the disk now", || Ok(((), first_line(&image)?)))?;
    step("kill device_model, and start another one", || Ok((console.replace()?, String::new())))?;
    for (question, answer) in QUESTIONS {
        ask(&mut console, question, answer)?;
    }
    step("the guest powers off, and device_model ends", || {
        console.type_in("poweroff -f\n")?;
        Ok((console.wait_end(PATIENCE)?, String::new()))
    })?;
    fs::remove_file(image).context("cannot remove the image")
}

/// The text at the beginning of the image, which the guest wrote.
fn first_line(image: &Path) -> Result<String> {
    let content = fs::read(image).context("cannot read the image")?;
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line).replace(char::is_control, "");
    ensure!(text.starts_with("This is Linux "), "the disk has something else: {text:.80}");
    Ok(text)
}

fn ask(console: &mut Console, question: &str, answer: &str) -> Result<()> {
    println!("  > {question}");
    console.type_in(&format!("{question}\n"))?;
    show(&console.hear(answer, PATIENCE)?);
    Ok(())
}

/// Shows a line of the guest's, which can have anything in it.
fn show(line: &str) {
    println!("  │ {}", line.replace(char::is_control, ""));
}
