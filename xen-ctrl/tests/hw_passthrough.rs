//! What a domain may use of the host's devices, and what Xen is told of them, on real Xen. Needs no IOMMU.

mod common;
mod guest_code;

use std::fs;
use std::path::Path;

use common::{output, xenctrl};
use xen_ctrl::domain::{CreateDomain, CreatedDomain, DomainKind, X86Emulation, X86Options};
use xen_ctrl::host::{HostCapabilities, PciAddress, PciFunction, PciNode, PciReset};
use xen_ctrl::passthrough::{Device, GuestIrq, ReservedMemory};
use xen_ctrl::{Domain, Error, Gfn, Mfn, Pirq, Xenctrl};

const ESRCH: i32 = 3;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;

const ON_ARM: bool = cfg!(target_arch = "aarch64");

/// A device of the host's that dom0 may use: on x86 nothing is there, which nobody has to know; on Arm it is QEMU's clock.
const DEVICE: Mfn = Mfn::new(if ON_ARM { 0x9010 } else { 0xf_d000 });
/// How many frames it has.
const FRAMES: u64 = if ON_ARM { 1 } else { 100 };
/// What Xen keeps to itself: an interrupt controller, or its console.
const KEPT: Mfn = Mfn::new(if ON_ARM { 0x9000 } else { 0xf_ee00 });

/// A domain with one vCPU and nothing else; on x86, all there is is emulated for an HVM one.
fn bare(xen: &Xenctrl, kind: DomainKind) -> CreatedDomain<'_> {
    let emulation = (kind != DomainKind::Pv && !ON_ARM).then_some(X86Emulation::HVM);
    let options = CreateDomain::new(kind).x86(X86Options { emulation, ..X86Options::default() });
    let domain = xen.create_domain(&options).expect("created");
    domain.set_max_vcpus(1).expect("a vCPU");
    if ON_ARM {
        domain.set_paging_memory(1 << 20).expect("memory for page tables");
    }
    domain
}

fn is_unsupported<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    matches!(answer.expect_err("this machine cannot do it"), Error::Unsupported { .. })
}

/// What Xen says at the key `q` that a domain may use: a list named `kind`, as in `{ c000-c007 }`.
fn allowed(domain: &Domain<'_>, kind: &str) -> String {
    output("xl", &["dmesg", "-c"]);
    output("xl", &["debug-keys", "q"]);
    let said = output("xl", &["dmesg"]);
    let heading = format!("Rangesets belonging to domain {}:", domain.id());
    let list = said.split(&heading).nth(1).unwrap_or_else(|| panic!("no '{heading}' in\n{said}"));
    let line =
        list.lines().find(|line| line.contains(kind)).unwrap_or_else(|| panic!("no {kind} in\n{list}"));
    line[line.find('{').expect("a list")..].trim().to_owned()
}

#[test]
#[ignore = "needs Xen dom0"]
fn permissions_are_in_xens_account() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();

    assert_eq!(allowed(&domain, "I/O Memory"), "{ }");
    guest.set_memory_permission(DEVICE, FRAMES, true).expect("permitted");
    let frames = if ON_ARM { "{ 9010 }" } else { "{ fd000-fd063 }" };
    assert_eq!(allowed(&domain, "I/O Memory"), frames);
    guest.set_memory_permission(DEVICE, FRAMES, false).expect("no longer");
    assert_eq!(allowed(&domain, "I/O Memory"), "{ }");
    let error = guest.set_memory_permission(KEPT, 1, true).expect_err("Xen's own");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    for (first, count) in [(DEVICE, 0), (Mfn::new(u64::MAX), 2)] {
        let error = guest.set_memory_permission(first, count, true).expect_err("no frames");
        assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
    }

    if ON_ARM {
        assert!(is_unsupported(guest.set_port_permission(0x3f8, 8, true)));
        return;
    }
    guest.set_port_permission(0x2f8, 8, true).expect("permitted");
    assert_eq!(allowed(&domain, "I/O Ports"), "{ 2f8-2ff }");
    guest.set_port_permission(0x2fc, 4, false).expect("some no longer");
    assert_eq!(allowed(&domain, "I/O Ports"), "{ 2f8-2fb }");
    let error = guest.set_port_permission(0xfff0, 0x11, true).expect_err("there are no more");
    assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
    let error = guest.set_port_permission(0x3f8, 8, true).expect_err("Xen's console");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn interrupts_are_permitted() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    if ON_ARM {
        assert!(is_unsupported(guest.set_gsi_permission(34, true)));
        let clock = guest.set_irq_permission(Pirq::new(34), true);
        if xen.version().minor < 19 {
            clock.expect("permitted");
            assert_eq!(allowed(&domain, "Interrupts"), "{ 34 }");
        } else {
            assert!(is_unsupported(clock));
        }
        return;
    }
    guest.set_irq_permission(Pirq::new(5), true).expect("permitted");
    assert_eq!(allowed(&domain, "Interrupts"), "{ 5 }");
    guest.set_irq_permission(Pirq::new(5), false).expect("no longer");
    assert_eq!(allowed(&domain, "Interrupts"), "{ }");
    if xen.version().minor < 16 {
        assert!(is_unsupported(guest.set_irq_permission(Pirq::new(0x1234), true)), "it cannot be said");
    } else {
        let error = guest.set_irq_permission(Pirq::new(0x12_3456), true).expect_err("no such number");
        assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
    }
    if xen.version().minor < 20 {
        assert!(is_unsupported(guest.set_gsi_permission(6, true)));
        return;
    }
    guest.set_gsi_permission(6, true).expect("permitted");
    assert_eq!(allowed(&domain, "Interrupts"), "{ 6 }");
    guest.set_gsi_permission(6, false).expect("no longer");
    assert_eq!(allowed(&domain, "Interrupts"), "{ }");
    let error = guest.set_gsi_permission(0x1234, true).expect_err("no such line");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_of_a_device_appears_where_it_is_mapped() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    let at = Gfn::new(0x1_2300);
    let end = || domain.memory().max_gfn().expect("told").get();
    let before = end();

    let error = guest.map_memory(at, DEVICE, FRAMES).expect_err("not permitted");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    assert_eq!(end(), before, "nothing is there");

    guest.set_memory_permission(DEVICE, FRAMES, true).expect("permitted");
    guest.map_memory(at, DEVICE, FRAMES).expect("mapped");
    assert_eq!(end(), at.get() + FRAMES - 1);
    guest.unmap_memory(at, DEVICE, FRAMES).expect("unmapped");
    let error = guest.map_memory(at, DEVICE, 0).expect_err("no frames");
    assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
#[cfg(target_arch = "x86_64")]
fn what_cannot_be_mapped_as_a_whole_is_not_mapped_at_all() {
    const EPERM: i32 = 1;
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    let (at, obstacle) = (Gfn::new(0x1_2300), Gfn::new(0x1_2300 + 70));
    let other = Mfn::new(DEVICE.get() + 200);
    guest.set_memory_permission(DEVICE, 201, true).expect("permitted");
    guest.map_memory(obstacle, other, 1).expect("mapped");

    // Xen replaces no memory of a device by that of another
    let error = guest.map_memory(at, DEVICE, FRAMES).expect_err("something is in the way");
    assert!(matches!(error, Error::Incomplete { done: 70, asked: 100, .. }), "{error:?}");
    assert_eq!(error.errno(), Some(EPERM), "{error:?}");
    let shifted = Mfn::new(DEVICE.get() + 1);
    guest.map_memory(at, shifted, 70).expect("the first frames are free again");

    let error = guest.unmap_memory(at, shifted, 75).expect_err("the last four were never mapped");
    assert!(matches!(error, Error::Incomplete { done: 71, asked: 75, .. }), "{error:?}");
    let error = guest.unmap_memory(at, shifted, 1).expect_err("it is gone");
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn ports_are_mapped_and_permitted() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    if ON_ARM {
        assert!(is_unsupported(guest.map_ports(0xc000, 0xc100, 8)));
        return;
    }
    guest.map_ports(0xc000, 0xc100, 8).expect("mapped");
    assert_eq!(allowed(&domain, "I/O Ports"), "{ c100-c107 }");
    guest.unmap_ports(0xc000, 0xc100, 8).expect("unmapped");
    assert_eq!(allowed(&domain, "I/O Ports"), "{ }");
    let error = guest.map_ports(0xfff0, 0xc100, 0x20).expect_err("there are no more");
    assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
    let paravirtual = bare(&xen, DomainKind::Pv);
    assert!(is_unsupported(paravirtual.passthrough().map_ports(0xc000, 0xc100, 8)));
    paravirtual.passthrough().set_memory_permission(DEVICE, 1, true).expect("permitted");
    paravirtual.passthrough().map_memory(Gfn::new(1), DEVICE, 1).expect("which changes nothing");
}

#[test]
#[ignore = "needs Xen dom0"]
#[cfg(target_arch = "x86_64")]
fn a_guest_uses_memory_and_ports_of_the_host() {
    use guest_code::eventually;
    use guest_code::x86::{flat, hvm};
    use std::os::unix::fs::FileExt;
    use xen_ctrl::{DomId, ForeignMemory};

    /// Where the processor begins: the last frame below 4 GiB.
    const FIRMWARE: u64 = 0xf_ffff;
    /// A byte that the host's firmware keeps for others.
    const STATUS_PORT: u16 = 0xb3;
    const READ_AND_WRITE: [u8; 24] = [
        0xa1, 0xf0, 0x0f, 0x00, 0xf0, // mov eax, [0xf0000ff0]
        0xa3, 0x00, 0x90, 0x00, 0x00, // mov [0x9000], eax
        0xb0, 0x5a, // mov al, 0x5a
        0x66, 0xba, 0x01, 0xc0, // mov dx, 0xc001
        0xee, // out dx, al
        0xa2, 0x08, 0x90, 0x00, 0x00, // mov [0x9008], al
        0xeb, 0xfe, // jmp to itself
    ];
    let read_port = || {
        let mut byte = [0];
        let ports = fs::File::open("/dev/port").expect("the host's ports");
        ports.read_exact_at(&mut byte, STATUS_PORT.into()).expect("read");
        byte[0]
    };
    let xen = xenctrl();
    let memory = ForeignMemory::open().expect("the device");
    let firmware = memory.map_read_only(DomId::IO, &[Gfn::new(FIRMWARE)]).expect("its frame");
    let start = firmware.load_u32(0xff0).expect("inside");
    assert!(start != 0 && start != u32::MAX && read_port() != 0x5a);

    let machine = hvm(&xen, &READ_AND_WRITE, &flat());
    let guest = machine.domain.passthrough();
    guest.set_memory_permission(Mfn::new(FIRMWARE), 1, true).expect("permitted");
    guest.map_memory(Gfn::new(0xf_0000), Mfn::new(FIRMWARE), 1).expect("mapped");
    guest.map_ports(0xc001, STATUS_PORT, 1).expect("mapped");
    machine.domain.unpause().expect("it begins");
    eventually("it comes to its end", || machine.word(1) & 0xff == 0x5a);
    assert_eq!(machine.word(0) & 0xffff_ffff, u64::from(start), "what it has read");
    assert_eq!(read_port(), 0x5a, "what it has written");
    fs::File::options()
        .write(true)
        .open("/dev/port")
        .expect("the host's ports")
        .write_all_at(&[0], STATUS_PORT.into())
        .expect("as it was");
}

#[test]
#[ignore = "needs Xen dom0"]
fn lines_get_numbers() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    if ON_ARM {
        assert!(is_unsupported(guest.map_gsi(34, None)));
        assert!(is_unsupported(guest.unmap_pirq(Pirq::new(34))));
        return;
    }
    let line = guest.map_gsi(5, None).expect("mapped");
    assert_eq!(allowed(&domain, "Interrupts"), "{ 5 }");
    guest.unmap_pirq(line).expect("unmapped");
    assert_eq!(allowed(&domain, "Interrupts"), "{ }");
    assert_eq!(guest.unmap_pirq(line).expect_err("it is gone").errno(), Some(EINVAL));

    let wish = Pirq::new(40);
    assert_eq!(guest.map_gsi(5, Some(wish)).expect("mapped"), wish);
    let taken = guest.map_gsi(6, Some(wish)); // whatever Xen says
    assert_eq!(allowed(&domain, "Interrupts"), "{ 5 }", "{taken:?}");
    if xen.version().minor >= 17 {
        assert_eq!(guest.map_gsi(5, None).expect("as it is"), wish);
    }
    guest.unmap_pirq(wish).expect("unmapped");
    assert_eq!(guest.map_gsi(0x1234, None).expect_err("no such line").errno(), Some(EINVAL));
}

#[test]
#[ignore = "needs Xen dom0"]
fn without_an_iommu_there_is_no_passthrough() {
    let xen = xenctrl();
    if xen.host().info().expect("the host").capabilities.contains(HostCapabilities::DIRECTIO) {
        println!("skipped: this host has an IOMMU");
        return;
    }
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    let address = PciAddress::default();
    for device in [Device::Pci(address), Device::DeviceTree("/nothing")] {
        assert!(is_unsupported(guest.assign(device, ReservedMemory::Strict)), "{device:?}");
        assert!(is_unsupported(guest.deassign(device)), "{device:?}");
        assert!(is_unsupported(guest.is_assignable(device)), "{device:?}");
    }
    assert!(is_unsupported(xen.host().is_pci_device_free(address)));
    if ON_ARM {
        let spi = guest.bind_irq(Pirq::new(34), GuestIrq::Spi(40)).expect_err("only the same number");
        assert!(matches!(spi, Error::Refused { .. }) && spi.errno() == Some(EINVAL), "{spi:?}");
        assert!(is_unsupported(guest.bind_irq(Pirq::new(34), GuestIrq::Isa(5))));
        return;
    }
    let pci = GuestIrq::Pci { bus: 0, device: 5, pin: 0 };
    let error = guest.bind_irq(Pirq::new(40), pci).expect_err("no such interrupt");
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
    let line = guest.map_gsi(5, None).expect("mapped");
    let error = guest.bind_irq(line, pci).expect_err("no IOMMU");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == Some(ESRCH), "{error:?}");
}

/// A PCI device that no driver has.
fn idle_device() -> Option<PciAddress> {
    let devices = fs::read_dir("/sys/bus/pci/devices").ok()?;
    let is_idle = |path: &Path| !path.join("driver").exists();
    let mut idle: Vec<PciAddress> = devices
        .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| is_idle(path)))
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect();
    idle.sort();
    idle.pop()
}

#[test]
#[ignore = "needs Xen dom0"]
fn xen_forgets_a_device_and_learns_of_it_again() {
    let xen = xenctrl();
    let host = xen.host();
    if ON_ARM {
        let device = PciAddress::default();
        assert!(is_unsupported(host.remove_pci_device(device)));
        assert!(is_unsupported(host.add_pci_device(device, PciFunction::Ordinary, None)));
        assert_eq!(host.prepare_msix(device).expect_err("there is no PCI").errno(), Some(ENODEV));
        assert!(is_unsupported(host.pci_device_was_reset(device, PciReset::FunctionLevel)));
        return;
    }
    let device = idle_device().expect("no driver for all of them");
    // which Xen must not be asked
    assert_eq!(host.prepare_msix(device).expect_err("it has no table").errno(), Some(ENODEV));
    assert_eq!(host.release_msix(device).expect_err("it has no table").errno(), Some(ENODEV));
    let is_known = || host.pci_nodes(&[device]).expect("told") != [PciNode::NoSuchDevice];
    assert!(is_known(), "{device}");
    host.remove_pci_device(device).expect("removed");
    assert!(!is_known(), "{device}");
    assert_eq!(host.remove_pci_device(device).expect_err("it is gone").errno(), Some(ENODEV));
    host.add_pci_device(device, PciFunction::Ordinary, None).expect("added");
    assert!(is_known(), "{device}");
    host.add_pci_device(device, PciFunction::Ordinary, Some(0)).expect("again");
    if xen.version().minor < 20 {
        assert!(is_unsupported(host.pci_device_was_reset(device, PciReset::FunctionLevel)));
        return;
    }
    for how in [PciReset::Cold, PciReset::Warm, PciReset::Hot, PciReset::FunctionLevel] {
        host.pci_device_was_reset(device, how).expect("told");
    }
    let nothing = PciAddress::new(0, 0xfe, 31, 7).expect("an address");
    let error = host.pci_device_was_reset(nothing, PciReset::Cold).expect_err("no such device");
    assert_eq!(error.errno(), Some(ENODEV), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn only_some_kernels_know_the_line_of_a_device() {
    let xen = xenctrl();
    let error = xen.host().pci_gsi(PciAddress::default()).expect_err("xen-pciback is not loaded");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok()).expect("a number");
    let mut parts = release.split(['.', '-']);
    let version = (number(parts.next()), number(parts.next()));
    if version >= (6, 12) && !ON_ARM {
        assert!(matches!(error, Error::Kernel { .. }), "Linux {release}: {error:?}");
    } else {
        assert!(matches!(error, Error::UnsupportedByKernel { .. }), "Linux {release}: {error:?}");
    }
}
