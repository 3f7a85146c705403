//! Which machine QEMU emulates. A saved machine can only be resumed by exactly the same one.

use std::os::fd::RawFd;
use std::time::Duration;

use crate::cells::{Architecture, Board};

/// The choices there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    /// The processor.
    pub(crate) architecture: Architecture,
    /// What it is part of.
    pub(crate) board: Board,
    /// Counts instructions: one nanosecond of its time is one instruction.
    pub(crate) count: bool,
    /// The virtual processors of dom0: 1 or 2.
    pub(crate) vcpus: u32,
}

/// x86-64: all that QEMU can emulate except what goes wrong under its version 7.2: with SMAP dom0 crashes, with RDTSCP PVH
/// guests do.
const X86_PROCESSOR: &str = "max,-smap,-rdtscp";

/// x86-64, when instructions are counted: with "enhanced" `rep movsb`, kernels copy to and from programs by the byte, each of which
/// would count as an instruction.
const X86_COUNTED_PROCESSOR: &str = "max,-smap,-rdtscp,-erms";

/// Arm: one that has pages of 16 KiB; with pointer authentication, which later ones have, emulation is slow.
const ARM_PROCESSOR: &str = "cortex-a76";

/// Arm: where kernel and ramdisk lie in memory, which begins at 1 GiB.
const ARM_KERNEL_ADDRESS: u64 = 0x5000_0000;
const ARM_RAMDISK_ADDRESS: u64 = 0x5800_0000;

/// MiB of the whole machine: enough for dom0 and some guests of 256 MiB. The host provides what is touched, some 500 MiB.
const MEMORY: u32 = 2560;

/// MiB of dom0, which keeps all its files in memory.
const DOM0_MEMORY: u32 = 1024;

/// An IOMMU, and devices to pass through, which keep their state when the machine is saved: one with a line for interrupts, ports and
/// direct access to memory; one with many messages; and two that the IOMMU cannot tell from each other.
const IOMMU_AND_DEVICES: [&str; 6] = [
    "intel-iommu,intremap=on,aw-bits=48",
    "e1000,addr=0x10,romfile=",
    "nec-usb-xhci,addr=0x11,msi=on,msix=on",
    "pcie-pci-bridge,addr=0x12,id=bridge",
    "e1000,bus=bridge,addr=1,romfile=",
    "e1000,bus=bridge,addr=2,romfile=",
];

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
        Duration::from_secs(if self.count { 360 } else { 180 })
    }

    /// QEMU's arguments, apart from where the machine's state comes from.
    pub(crate) fn arguments(self, lines: &Lines) -> Vec<String> {
        let (machine, processor) = match (self.architecture, self.board) {
            (Architecture::Amd64, Board::Usual) if self.count => ("pc", X86_COUNTED_PROCESSOR),
            (Architecture::Amd64, Board::Usual) => ("pc", X86_PROCESSOR),
            (Architecture::Amd64, Board::Iommu) => ("q35", X86_PROCESSOR),
            (Architecture::Arm64, _) => ("virt,virtualization=on,gic-version=3", ARM_PROCESSOR),
        };
        let mut arguments: Vec<String> = vec!["-nodefaults".into(), "-no-reboot".into()];
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("-machine", machine.into());
        add("-cpu", processor.into());
        add("-m", MEMORY.to_string());
        add("-smp", self.processors().to_string());
        add("-nic", "none".into());
        add("-display", "none".into());
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
        if self.board == Board::Iommu {
            for device in IOMMU_AND_DEVICES {
                add("-device", device.into());
            }
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
        add("-append", self.xen_command_line());
        let linux = self.linux_command_line().replace(',', ",,"); // a comma would end the option
        match self.architecture {
            Architecture::Amd64 => add("-initrd", format!("{} {linux},{}", names::KERNEL, names::RAMDISK)),
            Architecture::Arm64 => {
                let kernel = format!("addr={ARM_KERNEL_ADDRESS:#x},kernel={}", names::KERNEL);
                add("-device", format!("guest-loader,{kernel},bootargs={linux}"));
                let ramdisk = format!("addr={ARM_RAMDISK_ADDRESS:#x},initrd={}", names::RAMDISK);
                add("-device", format!("guest-loader,{ramdisk}"));
            }
        }
        arguments
    }

    /// The processors of the whole machine. Dom0's init sets the second one aside, unless dom0 has it.
    fn processors(self) -> u32 {
        // on Arm, Xen waits for a second one for ever while instructions are counted
        if self.count && self.architecture == Architecture::Arm64 { 1 } else { 2 }
    }

    /// Whether interrupts can be lost, see [`super::stall::Pulse`]. While instructions are counted, timers run on the same thread.
    pub(super) fn may_oversleep(self) -> bool {
        self.architecture == Architecture::Amd64 && !self.count
    }

    /// One that hangs shall tell why. What makes the boot shorter: no checks of memory protection and ciphers, no mitigations.
    fn linux_command_line(self) -> String {
        let same_each_time = if self.count { " nokaslr norandmaps" } else { "" };
        format!(
            "console=hvc0 quiet loglevel=4 mitigations=off panic=-1 rdinit=/init cryptomgr.notests rodata=off sysrq_always_enabled{same_each_time}"
        )
    }

    /// Free memory is not scrubbed at boot: that would make the host provide all of it. A debug build talks no more than others:
    /// its console is slow. On x86, floating-point registers are
    /// switched at once, not when they are used next: under emulation, a domain would find another's.
    fn xen_command_line(self) -> String {
        // each stays on its processor, because emulated ones lose registers when they move
        let pinned = if self.vcpus > 1 { " dom0_vcpus_pin" } else { "" };
        let dom0 =
            format!("dom0_mem={DOM0_MEMORY}M,max:{DOM0_MEMORY}M dom0_max_vcpus={}{pinned}", self.vcpus);
        let common = format!("{dom0} bootscrub=0 loglvl=warning guest_loglvl=none/warning");
        match self.architecture {
            Architecture::Amd64 => format!("console=com1 com1=115200,8n1 {common} spec-ctrl=eager-fpu"),
            Architecture::Arm64 => format!("console=dtuart dtuart=/pl011@9000000 {common}"),
        }
    }
}
