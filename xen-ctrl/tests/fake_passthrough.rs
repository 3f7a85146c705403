//! What emulation lacks: the bytes of what is asked about devices of the host's, and answers that no machine here gives.
#![expect(unsafe_code, reason = "puts memfds in the devices' place, and plays the hypervisor")]

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use xen_call::Xencall;
use xen_ctrl::host::{PciAddress, PciFunction, PciReset};
use xen_ctrl::passthrough::{Device, GuestIrq, GuestMsi, Passthrough, ReservedMemory};
use xen_ctrl::{DomId, Error, Gfn, Mfn, Pirq, Xenctrl};
use xen_sys::linux::fake::{self, Call};
use xen_sys::zerocopy::FromBytes;

const HYPERCALL: u32 = 0x0030_5000;
const PCIDEV_GET_GSI: u32 = 0x0008_500a;

const PHYSDEV_OP: u64 = 33;
const DOMCTL: u64 = 36;

const EPERM: i32 = 1;
const ESRCH: i32 = 3;
const E2BIG: i32 = 7;
const ENOMEM: i32 = 12;
const EBUSY: i32 = 16;
const ENODEV: i32 = 19;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const ENOTTY: i32 = 25;

fn memfd() -> OwnedFd {
    rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd")
}

/// What lies at an address that the hypervisor was given.
fn at<T>(address: u64) -> &'static mut T {
    // SAFETY: hypercall memory that nobody else looks at during the call; the tests use the types that were asked for.
    unsafe { &mut *std::ptr::with_exposed_provenance_mut(usize::try_from(address).expect("an address")) }
}

fn bytes<const N: usize>(address: u64) -> [u8; N] {
    *at(address)
}

/// Xen 4.`minor`, in which domain 5 is there. `answer` is given each hypercall but those with which [`Xenctrl::new`] asks what this is.
fn xen(
    minor: usize,
    mut answer: impl FnMut(u64, [u64; 5]) -> Result<usize, i32> + 'static,
) -> (fake::Installed, Xenctrl) {
    let installed = fake::install(move |call| {
        let operand = match call {
            Call::Ioctl { opcode: HYPERCALL, operand } => operand,
            Call::Ioctl { opcode, .. } => panic!("{opcode:#x}"),
            _ => return Ok(0),
        };
        let [number, arguments @ ..] = <[u64; 6]>::read_from_bytes(operand).expect("six words");
        let record = arguments[0];
        match number {
            17 => Ok(0x4_0000 + minor),
            32 | 35 => Ok(0), // a port, which is domain 0's: so that is the own one
            DOMCTL if *at::<u32>(record) == 5 => {
                *at::<u16>(record + 16) = *at(record + 8); // its information begins with its number
                Ok(0)
            }
            _ => answer(number, arguments).map_err(io::Error::from_raw_os_error),
        }
    });
    // SAFETY: the fake kernel takes every request. Mappings of one memfd would all be the same memory, so there is none for them.
    let xencall = unsafe { Xencall::from_fds(memfd(), None) }.expect("a handle");
    let xen = Xenctrl::new(xencall).expect("a known version");
    xen.abi().expect("asked for before the test begins");
    (installed, xen)
}

const DOMAIN: u16 = 5;

fn guest(xen: &Xenctrl) -> Passthrough<'_> {
    xen.domain(DomId::new(DOMAIN).expect("ordinary")).passthrough()
}

/// What one operation asks of Xen 4.`minor`: the command, and its record of `length` bytes.
fn asked<T>(
    minor: usize,
    length: usize,
    operation: impl FnOnce(&Xenctrl) -> Result<T, Error>,
) -> (u64, Vec<u8>) {
    let heard = Rc::new(RefCell::new(None));
    let sink = Rc::clone(&heard);
    let (_fake, xen) = xen(minor, move |number, [first, second, ..]| {
        let (command, record) = if number == DOMCTL {
            assert_eq!(*at::<u16>(first + 8), DOMAIN);
            let all = bytes::<128>(first + 16);
            assert!(all[length..].iter().all(|&byte| byte == 0), "{all:?}");
            (u64::from(*at::<u32>(first)), all[..length].to_vec())
        } else {
            assert_eq!(number, PHYSDEV_OP);
            (first, bytes::<64>(second)[..length].to_vec())
        };
        assert!(sink.replace(Some((command, record))).is_none(), "one hypercall");
        Ok(0)
    });
    operation(&xen).map(drop).expect("done");
    heard.take().expect("a hypercall")
}

/// Integers one after another, as a record has them.
macro_rules! record {
    ($($number:literal $kind:ident),* $(,)?) => {{
        let mut bytes = Vec::new();
        $(bytes.extend_from_slice(&($number as $kind).to_ne_bytes());)*
        bytes
    }};
}

/// A node of a device tree.
const PATH: &str = "/soc/ethernet@fe300000";

/// 0001:02:03.4
const DEVICE: PciAddress = PciAddress::new(1, 2, 3, 4).expect("an address");

#[test]
fn devices_are_named_by_address_or_path() {
    let pci = Device::Pci(DEVICE);
    let address = |flags: u32| {
        let mut record = record![0 u32, 0 u32, 0x0001_021c u32, 0 u32, 0 u64];
        record[4] = u8::try_from(flags).expect("small");
        record
    };
    assert_eq!(asked(17, 24, |xen| guest(xen).assign(pci, ReservedMemory::Strict)), (37, address(0)));
    assert_eq!(asked(17, 24, |xen| guest(xen).assign(pci, ReservedMemory::Relaxed)), (37, address(1)));
    assert_eq!(asked(17, 24, |xen| guest(xen).is_assignable(pci)), (45, address(0)));
    assert_eq!(asked(17, 24, |xen| guest(xen).deassign(pci)), (47, address(0)));

    for command in [37, 45, 47] {
        let (_fake, xen) = xen(20, move |_, [record, ..]| {
            assert_eq!(*at::<u32>(record), command);
            let [kind, flags, length, pad]: [u32; 4] = *at(record + 16);
            assert_eq!((kind, flags, length, pad), (1, 0, 22, 0));
            assert_eq!(&bytes::<22>(*at(record + 32)), PATH.as_bytes());
            Err(if command == 45 { EINVAL } else { ESRCH })
        });
        let (guest, node) = (guest(&xen), Device::DeviceTree(PATH));
        let error = match command {
            37 => guest.assign(node, ReservedMemory::Strict).expect_err("no such node"),
            47 => guest.deassign(node).expect_err("no such node"),
            _ => {
                assert!(!guest.is_assignable(node).expect("told"), "another domain has it");
                continue;
            }
        };
        assert!(matches!(error, Error::Refused { .. }) && error.errno() == Some(ESRCH), "{error:?}");
    }
}

#[test]
fn refusals_of_devices_keep_their_reason() {
    let mut answers = vec![EBUSY, ENODEV, 95, 38, EPERM, ESRCH].into_iter();
    let (_fake, xen) = xen(17, move |_, _| Err(answers.next().expect("one more")));
    let error = || guest(&xen).assign(Device::Pci(DEVICE), ReservedMemory::Strict).expect_err("refused");
    assert_eq!((error().errno(), error().errno()), (Some(EBUSY), Some(ENODEV)));
    assert!(matches!(error(), Error::Unsupported { .. }), "Xen 4.17 says EOPNOTSUPP without an IOMMU");
    assert!(matches!(error(), Error::Unsupported { .. }), "Xen 4.14 says ENOSYS");
    assert!(matches!(error(), Error::Denied { .. }));
    let error = error();
    assert!(matches!(error, Error::Refused { .. }), "the domain is there: {error:?}");
}

#[test]
fn nobody_stands_for_any_domain() {
    let mut answers = vec![Ok(0), Err(EINVAL)].into_iter();
    let (_fake, xen) = xen(17, move |_, [record, ..]| {
        assert_eq!((*at::<u32>(record), *at::<u16>(record + 8)), (45, 0x7ff4));
        assert_eq!(*at::<u32>(record + 24), 0x0001_021c);
        answers.next().expect("two calls")
    });
    assert!(xen.host().is_pci_device_free(DEVICE).expect("told"));
    assert!(!xen.host().is_pci_device_free(DEVICE).expect("told"));
}

#[test]
fn a_group_is_asked_for_until_there_is_room() {
    let mut rooms = vec![(32_u32, 32_u32), (128, 33)].into_iter();
    let (_fake, xen) = xen(17, move |_, [record, ..]| {
        assert_eq!(*at::<u32>(record), 50);
        let [device, room, count, _]: [u32; 4] = *at(record + 16);
        let (expected, answer) = rooms.next().expect("two calls");
        assert_eq!((device, room, count), (0x0001_021c, expected, 0));
        let list: u64 = *at(record + 32);
        for number in 0..u64::from(answer) {
            *at::<u32>(list + 4 * number) = 0x00ab_0100; // bus, device and function, as Xen packs them here
        }
        *at(record + 24) = answer;
        Ok(0)
    });
    let group = guest(&xen).group(DEVICE).expect("told");
    assert_eq!((group.len(), group[32].to_string().as_str()), (33, "0001:ab:00.1"));
}

#[test]
fn every_form_of_an_interrupt_has_its_record() {
    let message = GuestMsi::new(0xfee1_200c, 0x8000_c331).unmasked().table(0xf_e000_0000);
    for (guest_irq, record) in [
        (
            GuestIrq::Pci { bus: 1, device: 31, pin: 3 },
            record![300 u32, 0 u32, 1 u8, 31 u8, 3 u8, 0 u8, 0 u32, 0 u64],
        ),
        (
            GuestIrq::PciFromMsi { bus: 0, device: 5, pin: 0 },
            record![300 u32, 3 u32, 0 u8, 5 u8, 0 u8, 0 u8, 0 u32, 0 u64],
        ),
        (GuestIrq::Isa(14), record![300 u32, 1 u32, 14 u64, 0 u64]),
        (GuestIrq::Msi(message), record![300 u32, 2 u32, 0x31 u32, 0x1_b312 u32, 0xf_e000_0000 u64]),
        (GuestIrq::Spi(0x123), record![300 u32, 4 u32, 0x123 u64, 0 u64]),
    ] {
        let bind = asked(17, 24, |xen| guest(xen).bind_irq(Pirq::new(300), guest_irq));
        assert_eq!(bind, (38, record.clone()), "{guest_irq:?}");
        let unbind = asked(17, 24, |xen| guest(xen).unbind_irq(Pirq::new(300), guest_irq));
        assert_eq!(unbind, (48, record), "{guest_irq:?}");
    }
}

#[test]
fn an_interrupt_needs_a_domain_that_can_have_devices() {
    let (_fake, xen) = xen(17, |_, _| Err(ESRCH));
    let error = guest(&xen).bind_irq(Pirq::new(16), GuestIrq::Isa(5)).expect_err("no IOMMU");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == Some(ESRCH), "{error:?}");
}

#[test]
fn permissions_have_first_and_count() {
    for (allowed, byte) in [(true, 1), (false, 0)] {
        let mut memory = record![0xfea0_0000 u64, 0x10 u64, 0 u64];
        memory[16] = byte;
        let permit = |xen: &Xenctrl| guest(xen).set_memory_permission(Mfn::new(0xfea0_0000), 16, allowed);
        assert_eq!(asked(17, 24, permit), (20, memory));

        let mut ports = record![0xffff u32, 0x1_0000 u32, 0 u32];
        ports[8] = byte;
        let permit = |xen: &Xenctrl| guest(xen).set_port_permission(0xffff, 0x1_0000, allowed);
        assert_eq!(asked(17, 12, permit), (21, ports));

        let mut line = record![0x77 u32, 0 u32];
        line[4] = byte;
        assert_eq!(asked(20, 8, |xen| guest(xen).set_gsi_permission(0x77, allowed)), (88, line));
    }
}

#[test]
fn the_permission_of_an_interrupt_has_two_forms() {
    let permit = |irq| move |xen: &Xenctrl| guest(xen).set_irq_permission(Pirq::new(irq), true);
    assert_eq!(asked(14, 2, permit(0xfe)), (19, vec![0xfe, 1]));
    assert_eq!(asked(15, 2, permit(0xff)), (19, vec![0xff, 1]));
    assert_eq!(asked(16, 8, permit(0x1ff)), (19, record![0x1ff u32, 1 u32]));
    let (_fake, xen) = xen(15, |_, _| panic!("cannot be said"));
    let error = permit(0x100)(&xen).expect_err("too large");
    assert!(matches!(error, Error::Unsupported { needs: Some(_), .. }), "{error:?}");
    let error = guest(&xen).set_gsi_permission(3, true).expect_err("too old");
    assert!(matches!(error, Error::Unsupported { needs: Some(_), .. }), "{error:?}");
}

/// A part of a mapping: first frames of guest and host, count, whether it is added; and Xen's answer.
type Part = ([u64; 3], bool, Result<usize, i32>);

/// A Xen that hears these parts and no others.
fn xen_that_maps(parts: Vec<Part>) -> (fake::Installed, Xenctrl, Rc<RefCell<usize>>) {
    let left = Rc::new(RefCell::new(parts.len()));
    let counter = Rc::clone(&left);
    let mut parts = parts.into_iter();
    let (installed, xen) = xen(17, move |_, [record, ..]| {
        let (frames, adds, answer) = parts.next().expect("no more parts");
        assert_eq!(*at::<u32>(record), 39);
        assert_eq!(*at::<[u64; 3]>(record + 16), frames);
        assert_eq!(*at::<[u32; 2]>(record + 40), [adds.into(), 0]);
        *counter.borrow_mut() -= 1;
        answer
    });
    (installed, xen, left)
}

const ADDS: bool = true;
const REMOVES: bool = false;

#[test]
fn memory_is_mapped_in_parts_as_large_as_xen_takes() {
    let (_fake, xen, left) = xen_that_maps(vec![
        ([0x1000, 0xfea00, 200], ADDS, Err(E2BIG)),
        ([0x1000, 0xfea00, 100], ADDS, Err(E2BIG)),
        ([0x1000, 0xfea00, 50], ADDS, Ok(0)),
        ([0x1032, 0xfea32, 50], ADDS, Ok(20)),
        ([0x1046, 0xfea46, 50], ADDS, Ok(0)),
        ([0x1078, 0xfea78, 50], ADDS, Ok(0)),
        ([0x10aa, 0xfeaaa, 30], ADDS, Ok(0)),
    ]);
    guest(&xen).map_memory(Gfn::new(0x1000), Mfn::new(0xfea00), 200).expect("mapped");
    assert_eq!(*left.borrow(), 0);
}

#[test]
fn what_was_mapped_before_an_error_is_taken_back() {
    // on Arm, a part that fails may have been begun
    let reach = if cfg!(target_arch = "aarch64") { 100 } else { 64 };
    let (_fake, xen, left) = xen_that_maps(vec![
        ([0x1000, 0xfea00, 100], ADDS, Ok(64)),
        ([0x1040, 0xfea40, 36], ADDS, Err(ENOMEM)),
        ([0x1000, 0xfea00, reach], REMOVES, Ok(60)),
        ([0x103c, 0xfea3c, reach - 60], REMOVES, Ok(0)),
    ]);
    let error = guest(&xen).map_memory(Gfn::new(0x1000), Mfn::new(0xfea00), 100).expect_err("too little");
    assert!(matches!(error, Error::Incomplete { done: 64, asked: 100, .. }), "{error:?}");
    assert_eq!((error.errno(), *left.borrow()), (Some(ENOMEM), 0));
    assert_eq!(error.to_string(), "XEN_DOMCTL_memory_mapping on domain 5 was possible for 64 of 100 only");
}

#[test]
fn an_error_at_once_leaves_nothing_to_take_back() {
    for (errno, calls) in [(EPERM, 1), (EINVAL, 1), (E2BIG, 3)] {
        let sizes = [4, 2, 1].into_iter().take(calls);
        let parts = sizes.map(|size| ([7, 9, size], ADDS, Err(errno))).collect();
        let (_fake, xen, left) = xen_that_maps(parts);
        let error = guest(&xen).map_memory(Gfn::new(7), Mfn::new(9), 4).expect_err("refused");
        assert_eq!((error.errno(), *left.borrow()), (Some(errno), 0), "{error:?}");
        assert!(!matches!(error, Error::Incomplete { .. }), "{error:?}");
    }
}

#[test]
fn unmapping_tells_how_far_it_came() {
    let (_fake, xen, left) =
        xen_that_maps(vec![([7, 9, 4], REMOVES, Ok(3)), ([10, 12, 1], REMOVES, Err(EINVAL))]);
    let error = guest(&xen).unmap_memory(Gfn::new(7), Mfn::new(9), 4).expect_err("not mapped");
    assert!(matches!(error, Error::Incomplete { done: 3, asked: 4, .. }), "{error:?}");
    assert_eq!((error.errno(), *left.borrow()), (Some(EINVAL), 0));
}

#[test]
fn an_answer_beyond_the_end_is_the_end() {
    let (_fake, xen, left) = xen_that_maps(vec![([7, 9, 4], ADDS, Ok(1000))]);
    guest(&xen).map_memory(Gfn::new(7), Mfn::new(9), 4).expect("mapped");
    assert_eq!(*left.borrow(), 0);
}

#[test]
fn the_callers_own_memory_is_left_alone() {
    let (_fake, xen) = xen(17, |_, _| panic!("asked"));
    for own in [DomId::SELF, DomId::ZERO] {
        let own = xen.domain(own).passthrough();
        let error = own.map_memory(Gfn::new(7), Mfn::new(9), 4).expect_err("its own");
        assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
        let error = own.unmap_memory(Gfn::new(7), Mfn::new(9), 4).expect_err("its own");
        assert_eq!(error.errno(), Some(EINVAL), "{error:?}");
    }
}

#[test]
fn ports_are_mapped_at_once() {
    let map = asked(17, 16, |xen| guest(xen).map_ports(0xc000, 0xe000, 8));
    assert_eq!(map, (40, record![0xc000 u32, 0xe000 u32, 8 u32, 1 u32]));
    let unmap = asked(17, 16, |xen| guest(xen).unmap_ports(0xc000, 0xe000, 8));
    assert_eq!(unmap, (40, record![0xc000 u32, 0xe000 u32, 8 u32, 0 u32]));
}

#[test]
fn interrupts_get_numbers() {
    let line = asked(17, 40, |xen| guest(xen).map_gsi(20, None));
    let record = record![5 u32, 1 i32, 20 i32, -1 i32, 0 i32, 0 i32, 0 i32, 0 u32, 0 u64];
    assert_eq!(line, (13, record));
    let line = asked(17, 40, |xen| guest(xen).map_gsi(20, Some(Pirq::new(33))));
    let record = record![5 u32, 1 i32, 20 i32, 33 i32, 0 i32, 0 i32, 0 i32, 0 u32, 0 u64];
    assert_eq!(line, (13, record));
    let message = asked(17, 40, |xen| guest(xen).map_msi(DEVICE));
    let record = record![5 u32, 3 i32, -1 i32, -1 i32, 0x1_0002 i32, 0x1c i32, 0 i32, 0 u32, 0 u64];
    assert_eq!(message, (13, record));
    let message = asked(17, 40, |xen| guest(xen).map_msix(DEVICE, 7, 0xfeb0_0000));
    let record = record![5 u32, 3 i32, -1 i32, -1 i32, 0x1_0002 i32, 0x1c i32, 7 i32, 0 u32, 0xfeb0_0000 u64];
    assert_eq!(message, (13, record));
    let messages = asked(17, 40, |xen| guest(xen).map_msis(DEVICE, 5));
    let record = record![5 u32, 4 i32, -1 i32, -1 i32, 0x1_0002 i32, 0x1c i32, 5 i32, 0 u32, 0 u64];
    assert_eq!(messages, (13, record));
    let unmap = asked(17, 8, |xen| guest(xen).unmap_pirq(Pirq::new(33)));
    assert_eq!(unmap, (14, record![5 u32, 33 u32]));
}

#[test]
fn numbers_of_interrupts_come_back() {
    let (_fake, xen) = xen(17, |number, [_, record, ..]| {
        assert_eq!(number, PHYSDEV_OP);
        *at(record + 12) = 40_i32;
        if *at::<i32>(record + 4) == 4 {
            *at(record + 24) = 8_i32; // the next power of two
        }
        Ok(0)
    });
    assert_eq!(guest(&xen).map_gsi(20, None).expect("mapped"), Pirq::new(40));
    let several = guest(&xen).map_msis(DEVICE, 5).expect("mapped");
    assert_eq!((several.first, several.count), (Pirq::new(40), 8));
}

#[test]
fn a_device_with_too_few_messages_tells_how_many() {
    let (_fake, xen) = xen(17, |_, [_, record, ..]| {
        *at(record + 24) = 4_i32;
        Err(ENFILE)
    });
    let error = guest(&xen).map_msis(DEVICE, 32).expect_err("too many");
    assert!(matches!(error, Error::Incomplete { done: 4, asked: 32, .. }), "{error:?}");
}

#[test]
fn xen_is_told_of_devices() {
    let add = |function, proximity| {
        asked(17, 16, move |xen| xen.host().add_pci_device(DEVICE, function, proximity))
    };
    let virtual_function = PciFunction::Virtual(PciAddress::new(1, 2, 31, 0).expect("an address"));
    for (function, proximity, record) in [
        (PciFunction::Ordinary, None, record![1 u16, 2 u8, 0x1c u8, 0 u32, 0 u32, 0 u32]),
        (PciFunction::Extended, Some(9), record![1 u16, 2 u8, 0x1c u8, 5 u32, 0 u32, 9 u32]),
        (virtual_function, None, record![1 u16, 2 u8, 0x1c u8, 2 u32, 2 u8, 0xf8 u8, 0 u16, 0 u32]),
    ] {
        assert_eq!(add(function, proximity), (25, record), "{function:?}");
    }
    let remove = asked(17, 4, |xen| xen.host().remove_pci_device(DEVICE));
    assert_eq!(remove, (26, record![1 u16, 2 u8, 0x1c u8]));
    for (how, flags) in
        [(PciReset::Cold, 0), (PciReset::Warm, 1), (PciReset::Hot, 2), (PciReset::FunctionLevel, 3)]
    {
        let mut record = record![1 u16, 2 u8, 0x1c u8, 0 u32];
        record[4] = flags;
        assert_eq!(asked(20, 8, |xen| xen.host().pci_device_was_reset(DEVICE, how)), (32, record));
    }
    let (_fake, xen) = xen(19, |_, _| panic!("asked"));
    let error = xen.host().pci_device_was_reset(DEVICE, PciReset::Cold).expect_err("too old");
    assert!(matches!(error, Error::Unsupported { needs: Some(_), .. }), "{error:?}");
}

#[test]
fn the_kernel_knows_the_line_of_a_device() {
    let (installed, xen) = xen(20, |_, _| panic!("asked"));
    drop(installed);
    let mut answers = vec![Ok(23), Err(ENOTTY), Err(EINVAL), Err(ENODEV)].into_iter();
    let _fake = fake::install(move |call| {
        let Call::Ioctl { opcode: PCIDEV_GET_GSI, operand } = call else { panic!("{call:?}") };
        assert_eq!(operand, record![0x0001_021c u32, 0 u32]);
        let line: u32 = answers.next().expect("four calls").map_err(io::Error::from_raw_os_error)?;
        operand[4..].copy_from_slice(&line.to_ne_bytes());
        Ok(0)
    });
    let ask = || xen.host().pci_gsi(DEVICE);
    assert_eq!(ask().expect("told"), 23);
    for _ in 0..2 {
        let error = ask().expect_err("an older kernel");
        assert!(matches!(error, Error::UnsupportedByKernel { .. }), "{error:?}");
    }
    let error = ask().expect_err("not the driver's");
    assert!(
        matches!(&error, Error::Kernel { source, .. } if source.raw_os_error() == Some(ENODEV)),
        "{error:?}"
    );
}
