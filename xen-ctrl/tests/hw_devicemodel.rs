//! Device model operations on real Xen, each with an effect that is seen elsewhere.

mod common;
#[cfg(target_arch = "x86_64")]
mod hvm_guest;

use common::xenctrl;
use xen_ctrl::devicemodel::DeviceModel;
use xen_ctrl::domain::{CreateDomain, DomainKind};
use xen_ctrl::{DomId, Error};

const EINVAL: Option<i32> = Some(22);

#[test]
#[ignore = "needs Xen dom0"]
fn interrupts_of_the_other_architecture_are_refused() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    domain.set_max_vcpus(1).expect("a vCPU");
    let model = DeviceModel::open(domain.id()).expect("a device model");
    let error = if cfg!(target_arch = "x86_64") {
        model.set_irq_level(40, true).expect_err("Arm only")
    } else {
        model.inject_msi(0xfee0_0000, 0x30).expect_err("x86 only")
    };
    let Error::Unsupported { running, .. } = error else { panic!("{error:?}") };
    assert_eq!(running, xen.version(), "as the kernel shows it");
}

#[test]
#[ignore = "needs Xen dom0"]
fn there_are_no_devices_for_others() {
    let xen = xenctrl();
    let nobody = DeviceModel::open(DomId::new(4321).expect("ordinary")).expect("a device model");
    let own = DeviceModel::open(DomId::ZERO).expect("a device model");
    let errors = [&nobody, &own].map(|model| model.set_isa_irq_level(1, true).expect_err("refused"));
    if cfg!(target_arch = "aarch64") {
        assert!(errors.iter().all(|error| matches!(error, Error::Unsupported { .. })), "{errors:?}");
        return;
    }
    let [nobody, own] = errors;
    assert!(matches!(nobody, Error::NoSuchDomain { .. }), "{nobody:?}");
    assert!(matches!(own, Error::Denied { .. }), "{own:?}");
    let pv = xen.create_domain(&CreateDomain::new(DomainKind::Pv)).expect("a domain");
    let model = DeviceModel::open(pv.id()).expect("a device model");
    assert_eq!(model.set_isa_irq_level(1, true).expect_err("a PV domain").errno(), EINVAL);
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::hvm_guest::code::Code;
    use super::hvm_guest::{DATA, FRAMES, Guest};
    use super::*;
    use xen_ctrl::devicemodel::{CacheAttribute, Event, EventKind, IntxPin, MemoryType, PageRun};
    use xen_ctrl::domain::{ShutdownReason, X86Emulation};
    use xen_ctrl::host::PciAddress;
    use xen_ctrl::hvm::SaveCode;
    use xen_ctrl::{Gfn, VcpuId};

    const ENOENT: Option<i32> = Some(2);
    const EACCES: Option<i32> = Some(13);
    const EINVAL: Option<i32> = Some(22);
    const E2BIG: Option<i32> = Some(7);

    fn run(first: u64, count: u32) -> PageRun {
        PageRun { first: Gfn::new(first), count }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn vcpus_are_counted() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new(), Code::new(), Code::new()]);
        match guest.model.vcpus() {
            Ok(vcpus) => assert_eq!(vcpus, 3),
            Err(error) => {
                assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
                assert_eq!(xen.version().minor, 14, "it is there since 4.15");
            }
        }
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn messages_request_interrupts() {
        let xen = xenctrl();
        let guest = Guest::with_local_controller(&xen);
        for vector in [0x31, 0xfe] {
            assert!(!guest.is_requested(vector));
            guest.model.inject_msi(0xfee0_0000, vector.into()).expect("sent");
            assert!(guest.is_requested(vector), "{vector:#x}");
        }
        assert!(!guest.is_requested(0x32));
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn lines_pins_and_links_are_part_of_the_guests_state() {
        let xen = xenctrl();
        let guest = Guest::with(&xen, X86Emulation::HVM, &[Code::new()]);
        let model = &guest.model;
        let record = |code| guest.domain.hvm().record(code, 0).expect("a record");
        model.set_isa_irq_level(5, true).expect("asserted");
        assert_eq!(record(SaveCode::ISA_IRQ).contents::<u64>(), 1 << 5);
        model.set_isa_irq_level(7, true).expect("asserted");
        model.set_isa_irq_level(5, false).expect("no longer");
        assert_eq!(record(SaveCode::ISA_IRQ).contents::<u64>(), 1 << 7);
        assert_eq!(model.set_isa_irq_level(16, true).expect_err("no such line").errno(), EINVAL);

        let device = PciAddress::new(0, 0, 3, 0).expect("an address");
        model.set_pci_intx_level(device, IntxPin::C, true).expect("asserted");
        assert_eq!(record(SaveCode::PCI_IRQ).contents::<[u64; 2]>(), [1 << (3 * 4 + 2), 0]);
        model.set_pci_intx_level(device, IntxPin::C, false).expect("no longer");
        assert_eq!(record(SaveCode::PCI_IRQ).contents::<[u64; 2]>(), [0, 0]);
        let elsewhere = PciAddress::new(0, 1, 3, 0).expect("an address");
        let error = model.set_pci_intx_level(elsewhere, IntxPin::A, true).expect_err("bus 1");
        assert_eq!(error.errno(), EINVAL);

        model.set_pci_link_route(2, Some(11)).expect("led there");
        assert_eq!(record(SaveCode::PCI_LINK).contents::<[u8; 4]>(), [0, 0, 11, 0]);
        model.set_pci_link_route(2, None).expect("led nowhere");
        assert_eq!(record(SaveCode::PCI_LINK).contents::<[u8; 4]>(), [0; 4]);
        assert_eq!(model.set_pci_link_route(4, Some(1)).expect_err("no such link").errno(), EINVAL);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn an_exception_is_taken_by_its_handler() {
        const TABLES: u32 = 0x3000;
        const HANDLER: u32 = 0x2000;
        let segments: [u64; 3] = [0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff];
        let load = |opcode: u8, address: u32| {
            Code::new().raw(&[0x0f, 0x01, opcode]).raw(&address.to_le_bytes()) // lgdt, lidt
        };
        // then it waits in a loop for the word to change: mov eax, [DATA]; test eax, eax; jz
        let code = load(0x15, TABLES).raw(&load(0x1d, TABLES + 8).end()[..7]);
        let code = code.eax(1).store(DATA + 8, 4).load(DATA, 4).raw(&[0x85, 0xc0, 0x74, 0xf7]);
        // the handler keeps what is on the stack: error code, where it was
        let handler = Code::new().raw(&[0x58]).store(DATA + 4, 4).eax(0x66).store(DATA, 4).end();
        let gate = u64::from(HANDLER) & 0xffff | 0x8 << 16 | 0x8e00 << 32;

        let xen = xenctrl();
        let guest = Guest::new(&xen, &[code]);
        guest.write(HANDLER.into(), &handler);
        let (gdt, idt) = (TABLES + 0x100, TABLES + 0x200);
        guest.write(TABLES.into(), &[&[23, 0], &gdt.to_le_bytes()[..], &[0, 0]].concat());
        guest.write(u64::from(TABLES) + 8, &[&[0xff, 0], &idt.to_le_bytes()[..], &[0, 0]].concat());
        for (index, segment) in (0..).zip(segments) {
            guest.write(u64::from(gdt) + index * 8, &segment.to_le_bytes());
        }
        guest.write(u64::from(idt) + 13 * 8, &gate.to_le_bytes());

        guest.domain.unpause().expect("it begins");
        while guest.word(DATA + 8) == 0 {
            std::thread::yield_now();
        }
        let vcpu = VcpuId::new(0);
        let fault = Event { error_code: Some(0x1234), ..Event::new(EventKind::Exception, 13) };
        guest.domain.pause().expect("paused");
        guest.model.inject_event(vcpu, fault).expect("injected");
        let error = guest.model.inject_event(vcpu, fault).expect_err("there is one already");
        assert_eq!(error.errno(), Some(16), "{error}");
        guest.domain.unpause().expect("it goes on");
        guest.wait_for_end();
        assert_eq!([guest.word(DATA), guest.word(DATA + 4)], [0x66, 0x1234]);
        let error = guest.model.inject_event(VcpuId::new(7), fault).expect_err("no such vCPU");
        assert_eq!(error.errno(), EINVAL, "{error}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn pages_that_a_device_wrote_are_dirty() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        let memory = guest.domain.memory();
        guest.model.modified_memory(&[run(5, 1)]).expect("nobody wants to know");
        memory.start_log_dirty().expect("begun");
        let mut dirty = memory.dirty_buffer(FRAMES).expect("memory");
        memory.take_dirty_pages(&mut dirty, false).expect("taken");

        // more runs than one call takes, of the same few pages
        let mut runs = vec![run(7, 2); 300];
        runs.push(run(40, 1));
        guest.model.modified_memory(&runs).expect("told");
        memory.take_dirty_pages(&mut dirty, false).expect("taken");
        let pages = dirty.iter().map(Gfn::get).collect::<Vec<_>>();
        assert_eq!(pages, [7, 8, 40]);
        let error = guest.model.modified_memory(&[run(1, 1), run(9, 0)]).expect_err("an empty run");
        assert_eq!(error.errno(), EINVAL, "{error}");
        memory.stop_log_dirty().expect("ended");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn what_the_guest_writes_on_its_screen_is_noticed() {
        let xen = xenctrl();
        let code = Code::new().eax(7).store(0x1_2000, 4).store(0x1_9000, 4);
        let guest = Guest::new(&xen, &[code]);
        let screen = run(0x10, 12);
        let mut bitmap = [0; 2];
        guest.model.track_dirty_vram(screen, &mut bitmap).expect("begun");
        assert_eq!(bitmap, [0xff, 0xff], "at first, all of it");
        guest.model.track_dirty_vram(screen, &mut bitmap).expect("watched");
        assert_eq!(bitmap, [0, 0]);
        guest.domain.unpause().expect("it begins");
        guest.wait_for_end();
        guest.model.track_dirty_vram(screen, &mut bitmap).expect("watched");
        assert_eq!(bitmap, [1 << 2, 1 << 1]);
        guest.model.track_dirty_vram(screen, &mut bitmap).expect("watched");
        assert_eq!(bitmap, [0, 0], "told once");
        guest.model.untrack_dirty_vram().expect("ended");

        let short = guest.model.track_dirty_vram(screen, &mut bitmap[..1]).expect_err("no room");
        assert_eq!(short.errno(), EINVAL, "{short}");
        let long = guest.model.track_dirty_vram(run(0, 32_769), &mut [0; 5000]).expect_err("too long");
        assert_eq!(long.errno(), E2BIG, "{long}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn pages_are_what_the_device_model_says() {
        let xen = xenctrl();
        let code = Code::new().eax(7).store(0x1_0000, 4).store(0x1_1000, 4);
        let guest = Guest::new(&xen, &[code]);
        let hvm = guest.domain.hvm();
        let page = Gfn::new(0x10);
        assert_eq!(hvm.memory_type(page).expect("told"), MemoryType::Ram);
        guest.model.set_memory_type(run(0x10, 1), MemoryType::ReadOnly).expect("changed");
        assert_eq!(hvm.memory_type(page).expect("told"), MemoryType::ReadOnly);
        assert_eq!(hvm.memory_type(Gfn::new(FRAMES + 9)).expect("told"), MemoryType::Emulated);
        guest.domain.unpause().expect("it begins");
        guest.wait_for_end();
        assert_eq!([guest.word(0x1_0000), guest.word(0x1_1000)], [0, 7], "it cannot write there");
        let error = guest.model.set_memory_type(run(0x10, 1), MemoryType::Other(77)).expect_err("no type");
        assert_eq!(error.errno(), EINVAL, "{error}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn pages_are_moved() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        guest.write(0x1_0000, b"here");
        guest.write(0x1_1000, b"and there");
        guest.model.relocate_memory(run(0x10, 2), Gfn::new(0x200)).expect("moved");
        assert_eq!((guest.read(0x20_0000), guest.read(0x20_1000)), (*b"here", *b"and there"));
        let memory = guest.model.memory(16);
        memory.read::<u8>(0x1_0000).expect_err("no longer there");
        let error = guest.model.relocate_memory(run(0x10, 1), Gfn::new(0x300)).expect_err("nothing to move");
        let refusals = [ENOENT, EINVAL, EACCES];
        assert!(refusals.contains(&error.errno()), "{error:?}");
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn caching_is_fixed_and_free_again() {
        let xen = xenctrl();
        let guest = Guest::new(&xen, &[Code::new()]);
        let pages = || Gfn::new(0x10)..=Gfn::new(0x1f);
        let none = guest.model.unpin_cache_attribute(pages()).expect_err("it is not fixed");
        assert_eq!(none.errno(), ENOENT, "{none}");
        guest.model.pin_cache_attribute(pages(), CacheAttribute::WriteCombining).expect("fixed");
        guest.model.pin_cache_attribute(pages(), CacheAttribute::WriteBack).expect("otherwise");
        guest.model.unpin_cache_attribute(pages()).expect("free");
        assert_eq!(guest.model.unpin_cache_attribute(pages()).expect_err("again").errno(), ENOENT);
    }

    #[test]
    #[ignore = "needs Xen dom0"]
    fn a_device_model_can_shut_the_guest_down() {
        let xen = xenctrl();
        for reason in [ShutdownReason::Reboot, ShutdownReason::Crash] {
            let guest = Guest::new(&xen, &[Code::new()]);
            guest.model.restrict().expect("restricted");
            guest.model.shutdown(reason).expect("shut down");
            assert_eq!(guest.domain.info().expect("there").shutdown_reason, Some(reason));
        }
    }
}
