//! Interrupts that the kernel raises for eventfds: where it can, the guest's state changes; elsewhere, an error says that it cannot.

mod common;
#[cfg(target_arch = "x86_64")]
mod hvm_guest;

use std::os::fd::{AsFd, OwnedFd};

use common::{kernel_has, xenctrl};
use rustix::event::{EventfdFlags, eventfd};
use xen_ctrl::Error;
use xen_ctrl::devicemodel::{DeviceModel, Irq};
use xen_ctrl::domain::CreateDomain;

/// A new eventfd, signalled so many times.
fn event(signals: u32) -> OwnedFd {
    eventfd(signals, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd")
}

/// Has an eventfd stand for an interrupt. False if the kernel cannot.
fn assign(model: &DeviceModel, event: &OwnedFd, irq: Irq) -> bool {
    let Err(error) = model.assign_irqfd(event.as_fd(), irq) else { return true };
    assert!(matches!(error, Error::UnsupportedByKernel { .. }), "{error:?}");
    false
}

#[test]
#[ignore = "needs Xen dom0"]
fn kernels_without_it_say_so() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    let model = DeviceModel::open(domain.id()).expect("a device model");
    let event = event(0);
    let has_it = kernel_has("irqfd_poll_func");
    let unassigned = model.unassign_irqfd(event.as_fd());
    assert_eq!(unassigned.is_ok(), has_it, "{unassigned:?}");
    assert_eq!(assign(&model, &event, Irq::Spi { interrupt: 40 }), has_it);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::hvm_guest::code::Code;
    use super::hvm_guest::{Guest, LONG};
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::time::Instant;
    use xen_ctrl::devicemodel::IntxPin;
    use xen_ctrl::domain::{DomainKind, X86Emulation};
    use xen_ctrl::host::PciAddress;
    use xen_ctrl::hvm::SaveCode;
    use xen_ctrl::{DomId, ForeignMemory};

    const EAGAIN: Option<i32> = Some(11);
    const EBUSY: Option<i32> = Some(16);
    const EINVAL: Option<i32> = Some(22);

    #[expect(clippy::print_stdout, reason = "says why a test is skipped")]
    fn skipped() {
        println!("skipped: this kernel was built without CONFIG_XEN_PRIVCMD_EVENTFD");
    }

    /// A message with this vector.
    fn message(vector: u8) -> Irq {
        Irq::Msi { address: 0xfee0_0000, data: vector.into() }
    }

    /// The kernel's error number.
    fn refusal(error: &Error) -> Option<i32> {
        let Error::Kernel { source, .. } = error else { panic!("{error:?}") };
        source.raw_os_error()
    }

    fn signal(event: &OwnedFd) {
        assert_eq!(rustix::io::write(event, &1_u64.to_ne_bytes()).expect("signalled"), 8);
    }

    /// How many signals nobody has taken yet.
    fn signals(event: &OwnedFd) -> u64 {
        let mut count = [0; 8];
        match rustix::io::read(event, &mut count) {
            Ok(_) => u64::from_ne_bytes(count),
            Err(error) => {
                assert_eq!(Some(error.raw_os_error()), EAGAIN);
                0
            }
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_signal_sends_the_message() {
        let xen = xenctrl();
        let guest = Guest::with_local_controller(&xen);
        let (first, second, early) = (event(0), event(0), event(3));
        if !assign(&guest.model, &first, message(0x31)) {
            return skipped();
        }
        assert!(assign(&guest.model, &second, message(0xfe)));
        assert!(!guest.is_requested(0x31));
        signal(&first);
        assert!(guest.is_requested(0x31));
        assert_eq!(signals(&first), 0, "the kernel took it");
        assert!(!guest.is_requested(0xfe));
        signal(&second);
        assert!(guest.is_requested(0xfe));
        // signals from before count
        assert!(assign(&guest.model, &early, message(0x40)));
        assert!(guest.is_requested(0x40));
        assert_eq!(signals(&early), 0);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn an_eventfd_stands_for_one_interrupt_until_it_no_longer_does() {
        let xen = xenctrl();
        let guest = Guest::with_local_controller(&xen);
        let other = xen.create_domain(&CreateDomain::new(DomainKind::Hvm)).expect("a domain");
        let other = DeviceModel::open(other.id()).expect("a device model");
        let event = event(0);
        if !assign(&guest.model, &event, message(0x31)) {
            return skipped();
        }
        for model in [&guest.model, &other] {
            let again = model.assign_irqfd(event.as_fd(), message(0x32)).expect_err("it stands for one");
            assert_eq!(refusal(&again), EBUSY, "{again}");
        }
        guest.model.unassign_irqfd(event.as_fd()).expect("no longer");
        guest.model.unassign_irqfd(event.as_fd()).expect("nor now");
        signal(&event);
        assert!(!guest.is_requested(0x31));
        assert_eq!(signals(&event), 1, "it is nobody's");
        assert!(assign(&guest.model, &event, message(0x33)));
        signal(&event);
        assert!(guest.is_requested(0x33));
        assert!(!guest.is_requested(0x31) && !guest.is_requested(0x32));
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn lines_and_pins_stay_asserted() {
        let xen = xenctrl();
        let guest = Guest::with(&xen, X86Emulation::HVM, &[Code::new()]);
        let model = &guest.model;
        let record = |code| guest.domain.hvm().record(code, 0).expect("a record");
        let lines = || record(SaveCode::ISA_IRQ).contents::<u64>();
        let pins = || record(SaveCode::PCI_IRQ).contents::<[u64; 2]>();
        let (line, pin) = (event(0), event(0));
        if !assign(model, &line, Irq::Isa { line: 5 }) {
            return skipped();
        }
        let device = PciAddress::new(0, 0, 3, 0).expect("an address");
        assert!(assign(model, &pin, Irq::Pci { device, pin: IntxPin::C }));
        assert_eq!((lines(), pins()), (0, [0, 0]));
        signal(&line);
        assert_eq!((lines(), pins()), (1 << 5, [0, 0]));
        signal(&pin);
        assert_eq!((lines(), pins()), (1 << 5, [1 << (3 * 4 + 2), 0]));
        model.unassign_irqfd(line.as_fd()).expect("no longer");
        assert_eq!(lines(), 1 << 5, "it stays as it is");
        model.set_isa_irq_level(5, false).expect("lowered");
        model.set_pci_intx_level(device, IntxPin::C, false).expect("lowered");
        assert_eq!((lines(), pins()), (0, [0, 0]));
        signal(&pin);
        assert_eq!((lines(), pins()), (0, [1 << (3 * 4 + 2), 0]), "raised again");
    }

    /// The number that the kernel has given to an eventfd; the lowest that no other one has.
    fn number(event: &OwnedFd) -> String {
        let path = format!("/proc/self/fdinfo/{}", event.as_raw_fd());
        let text = fs::read_to_string(path).expect("what the kernel knows of it");
        text.lines().find(|line| line.starts_with("eventfd-id")).expect("its number").to_owned()
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn it_ends_with_the_eventfd_not_with_the_handle() {
        let xen = xenctrl();
        let guest = Guest::with_local_controller(&xen);
        let handle = DeviceModel::open(guest.domain.id()).expect("another handle");
        let event = event(0);
        if !assign(&handle, &event, message(0x31)) {
            return skipped();
        }
        drop(handle);
        let copy = event.try_clone().expect("a copy");
        drop(event);
        signal(&copy);
        assert!(guest.is_requested(0x31));
        // what stands for an interrupt keeps its number as long as it does
        let last = number(&copy);
        drop(copy);
        let deadline = Instant::now() + LONG;
        while number(&super::event(0)) != last {
            assert!(Instant::now() < deadline, "the kernel keeps it");
            std::thread::yield_now();
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_restricted_handle_is_good_for_its_guest_only() {
        let xen = xenctrl();
        let guest = Guest::with_local_controller(&xen);
        let other = Guest::with_local_controller(&xen);
        let file = ForeignMemory::open().expect("the device");
        let [mine, others] = [&guest, &other].map(|guest| DeviceModel::new(file.clone(), guest.domain.id()));
        let (before, after) = (event(0), event(0));
        if !assign(&others, &before, message(0x31)) {
            return skipped();
        }
        mine.restrict().expect("restricted");
        assert!(assign(&mine, &after, message(0x32)));
        for error in [
            others.assign_irqfd(event(0).as_fd(), message(0x33)).expect_err("restricted"),
            others.unassign_irqfd(before.as_fd()).expect_err("restricted"),
        ] {
            assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        }
        signal(&before);
        signal(&after);
        assert!(other.is_requested(0x31), "as it was");
        assert!(guest.is_requested(0x32));
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn it_goes_by_the_guests_number() {
        let xen = xenctrl();
        let id = DomId::new(4321).expect("ordinary");
        let nobody = DeviceModel::open(id).expect("a device model");
        let event = event(0);
        if !assign(&nobody, &event, message(0x31)) {
            return skipped();
        }
        signal(&event);
        assert_eq!(signals(&event), 0, "taken, and lost");
        let options = CreateDomain::new(DomainKind::Hvm).id(id);
        let guest = Guest::with_local_controller_as(&xen, options);
        assert_eq!(guest.domain.id(), id);
        assert!(!guest.is_requested(0x31));
        signal(&event);
        assert!(guest.is_requested(0x31));
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn other_files_are_refused() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        if !assign(&guest.model, &event(0), message(0x31)) {
            return skipped();
        }
        let file = fs::File::open("/dev/null").expect("a file");
        for error in [
            guest.model.assign_irqfd(file.as_fd(), message(0x31)).expect_err("no eventfd"),
            guest.model.unassign_irqfd(file.as_fd()).expect_err("no eventfd"),
        ] {
            assert_eq!(refusal(&error), EINVAL, "{error}");
        }
    }
}
