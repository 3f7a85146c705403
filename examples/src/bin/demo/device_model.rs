//! The device model: a stock Linux guest has its console on a serial port of ours, and finds a PCI bus.

use std::time::Duration;

use anyhow::{Result, bail};
use examples::device_model::process::{Console, SerialGuest};

use crate::report::{part, step};

/// For what the guest does. Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is typed, and something of the answer that was not typed: the guest sends back what it gets.
const QUESTIONS: [(&str, &str); 3] = [
    ("echo \"$((6 * 7)): $(uname -sr), up for $(cut -d ' ' -f 1 /proc/uptime) s\"", "42: "),
    ("cat /sys/bus/pci/devices/0000:00:01.0/uevent | grep -o 'PCI_I[D]=.*'", "PCI_ID="),
    (
        "echo 1 >/sys/bus/pci/devices/0000:00:01.0/enable; echo \"$(devmem 0xe0000000 32) is a register\"",
        "0x524E",
    ),
];

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
    let mut console = step("start device_model, which restricts itself to the guest", || {
        Ok((Console::start(guest.domain(), &guest.state(), None)?, String::new()))
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
    step("kill device_model, and start another one", || Ok((console.replace()?, String::new())))?;
    for (question, answer) in QUESTIONS {
        ask(&mut console, question, answer)?;
    }
    step("the guest powers off, and device_model ends", || {
        console.type_in("poweroff -f\n")?;
        Ok((console.wait_end(PATIENCE)?, String::new()))
    })
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
