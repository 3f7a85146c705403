//! PCI devices in other domains, on real Xen with an IOMMU: QEMU's, and devices that it emulates.
#![cfg(target_arch = "x86_64")]

mod common;
mod guest_code;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use common::{output, xenctrl};
use guest_code::x86::{flat, hvm};
use guest_code::{UNTOUCHED, eventually};
use xen_ctrl::domain::{CreateDomain, CreateFlags, CreatedDomain, DomainKind, X86Emulation, X86Options};
use xen_ctrl::host::{HostCapabilities, PciAddress};
use xen_ctrl::memory::Allocation;
use xen_ctrl::passthrough::{Device, GuestIrq, GuestMsi, ReservedMemory};
use xen_ctrl::{DomId, Error, ForeignMemory, Gfn, Mfn, Pirq, Xenctrl};
use xen_foreignmem::ForeignMapping;

const EBUSY: i32 = 16;
const ENODEV: i32 = 19;
const EDOM: i32 = 33;
const ENODATA: i32 = 61;

/// A network card: Intel's 82540EM.
const CARD: &str = "0x8086 0x100e";
/// A USB controller: NEC's.
const USB: &str = "0x1033 0x0194";

/// A PCI device that no driver has.
struct Idle {
    address: PciAddress,
}

impl Idle {
    /// All of these vendor and device numbers.
    fn find(kind: &str) -> Vec<Self> {
        let entries = fs::read_dir("/sys/bus/pci/devices").expect("PCI");
        let addresses = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut found: Vec<Self> = addresses.map(|address| Self { address }).collect();
        found.retain(|idle| format!("{} {}", idle.says("vendor"), idle.says("device")) == kind);
        found.sort_by_key(|idle| idle.address);
        found
    }

    fn path(&self, file: &str) -> String {
        format!("/sys/bus/pci/devices/{}/{file}", self.address)
    }

    fn says(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).expect("a property").trim().to_owned()
    }

    fn device(&self) -> Device<'static> {
        Device::Pci(self.address)
    }

    /// Switches on its memory, its ports, and its access to memory.
    fn enable(&self) {
        fs::write(self.path("enable"), "1").expect("enabled");
        let config = File::options().read(true).write(true).open(self.path("config")).expect("its registers");
        config.write_all_at(&[0x07, 0x00], 4).expect("written");
    }

    /// The line that it is connected to.
    fn line(&self) -> u32 {
        self.says("irq").parse().expect("a number")
    }

    /// Address and size of its first range of memory.
    fn memory(&self) -> (u64, u64) {
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number");
        let resources = self.says("resource");
        let first: Vec<u64> = resources.lines().next().expect("a line").split(' ').map(number).collect();
        (first[0], first[1] - first[0] + 1)
    }

    fn first_frame(&self) -> Mfn {
        Mfn::new(self.memory().0 >> 12)
    }

    fn frames(&self) -> u64 {
        self.memory().1 >> 12
    }
}

/// The host, if it has an IOMMU and these devices.
#[expect(clippy::print_stdout, reason = "says why a test is skipped")]
fn host_with(kind: &str, count: usize) -> Option<(Xenctrl, Vec<Idle>)> {
    let xen = xenctrl();
    if !xen.host().info().expect("the host").capabilities.contains(HostCapabilities::DIRECTIO) {
        println!("skipped: this host has no IOMMU");
        return None;
    }
    let devices = Idle::find(kind);
    if devices.len() < count {
        println!("skipped: this host has not {count} PCI devices {kind}");
        return None;
    }
    Some((xen, devices))
}

fn bare(xen: &Xenctrl, kind: DomainKind) -> CreatedDomain<'_> {
    let emulation = (kind == DomainKind::Hvm).then_some(X86Emulation::HVM);
    let options = CreateDomain::new(kind)
        .flags(CreateFlags::IOMMU)
        .x86(X86Options { emulation, ..X86Options::default() });
    let domain = xen.create_domain(&options).expect("created");
    domain.set_max_vcpus(1).expect("a vCPU");
    if kind == DomainKind::Hvm && xen.version().minor >= 17 {
        domain.set_paging_memory(4 << 20).expect("memory for page tables");
    }
    domain
}

/// What Xen says when a debug key is pressed.
fn after_key(key: &str) -> String {
    output("xl", &["dmesg", "-c"]);
    output("xl", &["debug-keys", key]);
    output("xl", &["dmesg"])
}

/// The line that Xen has about a device.
fn owner(device: PciAddress) -> String {
    let said = after_key("Q");
    let line = said.lines().find(|line| line.contains(&device.to_string()));
    line.unwrap_or_else(|| panic!("no {device} in\n{said}")).to_owned()
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_device_goes_to_a_domain_and_comes_back() {
    let Some((xen, devices)) = host_with(CARD, 1) else { return };
    let (address, device) = (devices[0].address, devices[0].device());
    for kind in [DomainKind::Pv, DomainKind::Hvm] {
        let (first, second) = (bare(&xen, kind), bare(&xen, kind));
        let (owns, wants) = (first.passthrough(), second.passthrough());
        let is_free = || xen.host().is_pci_device_free(address).expect("told");
        assert!(is_free() && owns.is_assignable(device).expect("told"), "{kind:?}");

        owns.assign(device, ReservedMemory::Strict).expect("assigned");
        assert!(!is_free() && !wants.is_assignable(device).expect("told"), "{kind:?}");
        assert!(owner(address).contains(&format!("d{} ", first.id())), "{}", owner(address));
        let error = wants.assign(device, ReservedMemory::Relaxed).expect_err("it is taken");
        assert_eq!(error.errno(), Some(EBUSY), "{error:?}");
        let error = wants.deassign(device).expect_err("it is another domain's");
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");

        owns.deassign(device).expect("taken back");
        assert!(is_free() && wants.is_assignable(device).expect("told"), "{kind:?}");
        wants.assign(device, ReservedMemory::Relaxed).expect("assigned");
        second.destroy().expect("destroyed");
        assert!(is_free(), "a domain's end frees its devices");
    }
    let nothing = PciAddress::new(0, 0xfe, 31, 7).expect("an address");
    let domain = bare(&xen, DomainKind::Pv);
    let error = domain.passthrough().assign(Device::Pci(nothing), ReservedMemory::Strict);
    assert_eq!(error.expect_err("no such device").errno(), Some(ENODEV));
    assert!(!domain.passthrough().is_assignable(Device::Pci(nothing)).expect("told"));
    let dom0 = xen.domain(DomId::ZERO).passthrough();
    assert!(!dom0.is_assignable(device).expect("told"), "dom0 gives, and does not take");
}

#[test]
#[ignore = "needs Xen dom0"]
fn devices_behind_one_bridge_are_a_group() {
    let Some((xen, devices)) = host_with(CARD, 3) else { return };
    let addresses: Vec<PciAddress> = devices.iter().map(|idle| idle.address).collect();
    let dom0 = xen.domain(DomId::ZERO).passthrough();
    let group = |device| dom0.group(device).expect("told");
    assert!(!group(addresses[0]).iter().any(|other| addresses.contains(other)), "it is alone");
    assert!(group(addresses[1]).contains(&addresses[2]), "{:?}", group(addresses[1]));
    assert!(group(addresses[2]).contains(&addresses[1]), "{:?}", group(addresses[2]));
}

/// The registers of the network card, and what they are for.
mod card {
    pub(super) const CAUSE: usize = 0xc0;
    pub(super) const RAISE: usize = 0xc8;
    pub(super) const UNMASK: usize = 0xd0;
    pub(super) const MASK: usize = 0xd8;
    /// The first bytes of its network address.
    pub(super) const ADDRESS: usize = 0x5400;
    pub(super) const SEND_CONTROL: usize = 0x400;
    pub(super) const SEND_ENABLE: u32 = 1 << 1;
    pub(super) const RING: usize = 0x3800;
    pub(super) const RING_HIGH: usize = 0x3804;
    pub(super) const RING_LENGTH: usize = 0x3808;
    pub(super) const RING_HEAD: usize = 0x3810;
    pub(super) const RING_TAIL: usize = 0x3818;
    /// In a descriptor: say when it is done.
    pub(super) const REPORT: u32 = 1 << 27;
    /// In a descriptor: it is done.
    pub(super) const DONE: u32 = 1;
}

/// Its registers as dom0 sees them.
struct Registers(ForeignMapping);

impl Registers {
    fn map(idle: &Idle) -> Self {
        let first = idle.first_frame().get();
        let frames: Vec<Gfn> = (first..first + 6).map(Gfn::new).collect();
        Self(ForeignMemory::open().expect("the device").map(DomId::IO, &frames).expect("its registers"))
    }

    fn set(&self, register: usize, value: u32) {
        self.0.atomic_u32(register).expect("a register").store(value, Ordering::Release);
    }

    fn get(&self, register: usize) -> u32 {
        self.0.load_u32(register).expect("a register")
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_device_reaches_the_memory_of_its_domain_only() {
    const RING: Gfn = Gfn::new(0x40);
    let Some((xen, devices)) = host_with(CARD, 1) else { return };
    let idle = &devices[0];
    let domain = bare(&xen, DomainKind::Hvm);
    domain.set_max_memory(4096).expect("allowed");
    let frames: Vec<Gfn> = (0..0x80).map(Gfn::new).collect();
    domain.memory().populate_exact(&frames, Allocation::default()).expect("memory");
    let memory = ForeignMemory::open().expect("the device").map(domain.id(), &[RING]).expect("mapped");

    idle.enable();
    let registers = Registers::map(idle);
    // the card fetches a descriptor from its ring and writes into it that it is done with it: both by addresses of its domain
    let is_done = || {
        memory.fill(0, 4096, 0).expect("in the page");
        memory.write(8, &card::REPORT).expect("in the page");
        registers.set(card::SEND_CONTROL, 0);
        registers.set(card::RING, u32::try_from(RING.get() << 12).expect("low"));
        registers.set(card::RING_HIGH, 0);
        registers.set(card::RING_LENGTH, 128);
        registers.set(card::RING_HEAD, 0);
        registers.set(card::RING_TAIL, 0);
        registers.set(card::SEND_CONTROL, card::SEND_ENABLE);
        registers.set(card::RING_TAIL, 1);
        thread::sleep(Duration::from_millis(50));
        registers.set(card::SEND_CONTROL, 0);
        memory.load_u32(12).expect("in the page") & card::DONE != 0
    };
    // never while it is dom0's: its addresses would be the host's
    let other = bare(&xen, DomainKind::Hvm);
    other.passthrough().assign(idle.device(), ReservedMemory::Strict).expect("assigned");
    assert!(!is_done(), "it is another domain's");
    other.passthrough().deassign(idle.device()).expect("taken back");
    let guest = domain.passthrough();
    guest.assign(idle.device(), ReservedMemory::Strict).expect("assigned");
    assert!(is_done(), "it reads and writes the domain's memory");
    guest.deassign(idle.device()).expect("taken back");
    let after = bare(&xen, DomainKind::Hvm);
    after.passthrough().assign(idle.device(), ReservedMemory::Strict).expect("assigned");
    assert!(!is_done(), "it is no longer the domain's");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_guest_reads_a_register_of_its_device() {
    const READ: [u8; 12] = [
        0xa1, 0x00, 0x54, 0x00, 0xf0, // mov eax, [0xf0005400]
        0xa3, 0x00, 0x90, 0x00, 0x00, // mov [0x9000], eax
        0xeb, 0xfe, // jmp to itself
    ];
    let Some((xen, devices)) = host_with(CARD, 1) else { return };
    let idle = &devices[0];
    idle.enable();
    let address = Registers::map(idle).get(card::ADDRESS);
    assert!(address != 0 && address != u32::MAX, "{address:#x}");

    let machine = hvm(&xen, &READ, &flat());
    let guest = machine.domain.passthrough();
    let (at, first, count) = (Gfn::new(0xf_0000), idle.first_frame(), idle.frames());
    guest.set_memory_permission(first, count, true).expect("permitted");
    guest.map_memory(at, first, count).expect("mapped");
    machine.domain.unpause().expect("it begins");
    eventually("it reads", || machine.word(0) != UNTOUCHED);
    assert_eq!(machine.word(0) & 0xffff_ffff, u64::from(address), "what dom0 reads there");
    guest.unmap_memory(at, first, count).expect("unmapped");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_line_raised_by_the_device_reaches_the_guest() {
    let Some((xen, devices)) = host_with(CARD, 1) else { return };
    let idle = &devices[0];
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    guest.assign(idle.device(), ReservedMemory::Strict).expect("assigned");
    idle.enable();
    let registers = Registers::map(idle);
    registers.set(card::MASK, !0);
    let line = guest.map_gsi(idle.line(), None).expect("mapped");
    let guest_irq = GuestIrq::Pci { bus: 0, device: 5, pin: 0 };
    guest.bind_irq(line, guest_irq).expect("bound");
    // at this key, Xen shows which of the guest's lines are raised: bit 20 is line A of device 5
    let raised = || {
        let said = after_key("I");
        let heading = format!("Domain {}:", domain.id());
        let part = said.split(&heading).nth(1).unwrap_or_else(|| panic!("no '{heading}' in\n{said}"));
        let line = part.lines().find(|line| line.contains("PCI 0x")).expect("lines of PCI");
        let digits = line.split("PCI 0x").nth(1).and_then(|rest| rest.get(..16)).expect("a number");
        u64::from_str_radix(digits, 16).expect("a number") & 1 << 20 != 0
    };
    assert!(!raised());
    registers.set(card::UNMASK, 1);
    registers.set(card::RAISE, 1);
    // again and again, as Xen lowers what a guest does not care for
    eventually("the device's interrupt is the guest's", raised);
    assert_ne!(registers.get(card::CAUSE), 0, "reading lowers it");
    registers.set(card::MASK, !0);

    guest.unbind_irq(line, guest_irq).expect("unbound");
    guest.unbind_irq(line, guest_irq).expect_err("it is no longer bound");
    guest.unmap_pirq(line).expect("unmapped");
}

/// How many messages Xen has for the host's devices.
fn messages() -> usize {
    after_key("M").lines().filter(|line| line.contains("vec=")).count()
}

#[test]
#[ignore = "needs Xen dom0"]
fn messages_of_a_device_get_numbers_and_are_bound() {
    let Some((xen, devices)) = host_with(USB, 1) else { return };
    let (idle, address) = (&devices[0], devices[0].address);
    let domain = bare(&xen, DomainKind::Hvm);
    let guest = domain.passthrough();
    guest.assign(idle.device(), ReservedMemory::Strict).expect("assigned");
    idle.enable();
    let before = messages();

    let single = guest.map_msi(address).expect("mapped");
    assert_eq!(messages(), before + 1);
    let message = GuestMsi::new(0xfee0_0000, 0x41).unmasked();
    guest.bind_irq(single, GuestIrq::Msi(message)).expect("bound");
    let changed = GuestIrq::Msi(GuestMsi::new(0xfee0_0000, 0x42));
    guest.bind_irq(single, changed).expect("changed");
    guest.unbind_irq(single, changed).expect("unbound");
    guest.unmap_pirq(single).expect("unmapped");
    assert_eq!(messages(), before);

    let several = guest.map_msis(address, 5).expect("mapped");
    assert_eq!(several.count, 8, "the next power of two");
    assert_eq!(messages(), before + 8);
    let last = Pirq::new(several.first.get() + 7);
    guest.bind_irq(last, GuestIrq::Msi(message)).expect("bound");
    guest.unbind_irq(last, GuestIrq::Msi(message)).expect("unbound");
    guest.unmap_pirq(several.first).expect("unmapped");
    assert_eq!(messages(), before);
    let too_many = guest.map_msis(address, 32).expect_err("it has 16");
    assert!(matches!(too_many, Error::Incomplete { done: 16, asked: 32, .. }), "{too_many:?}");
    assert_eq!(guest.map_msis(address, 33).expect_err("none has").errno(), Some(EDOM));

    let table = idle.memory().0;
    let error = guest.map_msix(address, 0, table).expect_err("nobody told where the table is");
    assert_eq!(error.errno(), Some(ENODATA), "{error:?}");
    let host = xen.host();
    host.prepare_msix(address).expect("learnt");
    let (first, fourth) = (guest.map_msix(address, 0, table), guest.map_msix(address, 3, table));
    let (first, fourth) = (first.expect("mapped"), fourth.expect("mapped"));
    assert_eq!(messages(), before + 2);
    assert_eq!(host.release_msix(address).expect_err("they are in use").errno(), Some(EBUSY));
    guest.bind_irq(fourth, GuestIrq::Msi(message.table(0xf000_0000))).expect("bound");
    guest.unbind_irq(fourth, GuestIrq::Msi(message)).expect("unbound");
    assert!(guest.map_msix(address, 0x7ff, table).is_err(), "it has 16");
    guest.unmap_pirq(first).expect("unmapped");
    guest.unmap_pirq(fourth).expect("unmapped");
    host.release_msix(address).expect("forgotten");
    assert_eq!(messages(), before);
}
