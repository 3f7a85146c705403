//! Which machine QEMU emulates. A saved machine can only be resumed by exactly the same one.

use std::os::fd::RawFd;
use std::time::Duration;

/// The choices a user has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Setup {
    /// Counts instructions: one nanosecond of its time is one instruction.
    pub(crate) count: bool,
}

/// All that QEMU can emulate except what goes wrong under its version 7.2: with SMAP dom0 crashes, with RDTSCP PVH guests do.
const PROCESSOR: &str = "max,-smap,-rdtscp";

/// MiB of the whole machine: enough for dom0 and some guests of 256 MiB. The host provides what is touched, some 500 MiB.
const MEMORY: u32 = 2048;

/// MiB of dom0, which keeps all its files in memory.
const DOM0_MEMORY: u32 = 768;

/// File names in the folder that QEMU is started in. Relative names need no quoting in QEMU's options.
pub(crate) mod names {
    /// The hypervisor.
    pub(crate) const XEN: &str = "xen";
    /// Dom0's kernel.
    pub(crate) const KERNEL: &str = "kernel";
    /// Dom0's ramdisk.
    pub(crate) const RAMDISK: &str = "ramdisk";
    /// The first drive: the host's files.
    pub(crate) const PAYLOAD: &str = "payload";
    /// The second drive: the guest kit.
    pub(crate) const KIT: &str = "kit";
}

/// The descriptors, on QEMU's side, of the lines to the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lines {
    /// QEMU's own monitor.
    pub(crate) monitor: RawFd,
    /// The serial console of Xen and dom0's kernel.
    pub(crate) console: RawFd,
    /// Orders to the agent, and its answers.
    pub(crate) control: RawFd,
    /// A program's standard output.
    pub(crate) output: RawFd,
    /// A program's standard error.
    pub(crate) error: RawFd,
    /// The interactive shell.
    pub(crate) terminal: RawFd,
}

impl Setup {
    /// How long a boot may take.
    pub(crate) fn boot_limit(self) -> Duration {
        Duration::from_secs(if self.count { 180 } else { 60 })
    }

    /// QEMU's arguments, apart from where the machine's state comes from.
    pub(crate) fn arguments(self, lines: &Lines) -> Vec<String> {
        let mut arguments: Vec<String> = vec![
            "-nodefaults".into(),
            "-no-reboot".into(),
            "-machine".into(),
            "pc".into(),
            "-cpu".into(),
            PROCESSOR.into(),
            "-m".into(),
            MEMORY.to_string(),
            "-smp".into(),
            "1".into(), // more make the clock of dom0 slow, and the boot
            "-nic".into(),
            "none".into(),
            "-display".into(),
            "none".into(),
        ];
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        for (name, descriptor) in [
            ("monitor", lines.monitor),
            ("console", lines.console),
            ("control", lines.control),
            ("output", lines.output),
            ("error", lines.error),
            ("terminal", lines.terminal),
        ] {
            add("-chardev", format!("socket,id={name},fd={descriptor}"));
        }
        add("-mon", "chardev=monitor,mode=control".into());
        add("-serial", "chardev:console".into());
        add("-device", "virtio-serial-pci".into());
        for (number, name) in [(1, "control"), (2, "output"), (3, "error")] {
            add("-device", format!("virtserialport,nr={number},chardev={name},name={name}"));
        }
        add("-device", "virtconsole,nr=4,chardev=terminal".into());
        for name in [names::PAYLOAD, names::KIT] {
            add("-drive", format!("file={name},id={name},format=raw,if=none,readonly=on,file.locking=off"));
            add("-device", format!("virtio-blk-pci,drive={name}"));
        }
        if self.count {
            add("-accel", "tcg,thread=single".into());
            add("-icount", "shift=0,sleep=off".into());
            add("-rtc", "base=2026-01-01T00:00:00,clock=vm".into());
            add("-seed", "42".into());
        } else {
            add("-accel", "tcg,tb-size=512".into());
        }
        add("-kernel", names::XEN.into());
        add("-append", xen_command_line());
        add("-initrd", format!("{} {},{}", names::KERNEL, self.linux_command_line(), names::RAMDISK));
        arguments
    }

    /// What makes the boot shorter: no checks of memory protection and ciphers, no mitigations.
    fn linux_command_line(self) -> String {
        let same_each_time = if self.count { " nokaslr norandmaps" } else { "" };
        format!(
            "console=hvc0 quiet loglevel=4 mitigations=off panic=-1 rdinit=/init cryptomgr.notests rodata=off{same_each_time}"
        )
        .replace(',', ",,") // a comma would end the module's entry
    }
}

/// Free memory is not scrubbed at boot: that would make the host provide all of it. Floating-point registers are switched at
/// once, not when they are used next: under emulation, a domain would find another's.
fn xen_command_line() -> String {
    format!(
        "console=com1 com1=115200,8n1 dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M dom0_max_vcpus=1 bootscrub=0 \
         spec-ctrl=eager-fpu"
    )
}
