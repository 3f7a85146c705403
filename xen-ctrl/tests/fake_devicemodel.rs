//! Device models: the exact bytes of each operation, and what is made of refusals.
#![expect(unsafe_code, reason = "plays the kernel")]

#[path = "common/fake_model.rs"]
mod fake_model;

use std::os::fd::{AsFd, AsRawFd};

use fake_model::*;
use xen_ctrl::devicemodel::{
    CacheAttribute, DeviceModel, Event, EventKind, IntxPin, Irq, MemoryType, PageRun,
};
use xen_ctrl::domain::ShutdownReason;
use xen_ctrl::host::PciAddress;
use xen_ctrl::{Error, Gfn, VcpuId};

const EPERM: i32 = 1;
const ESRCH: i32 = 3;
const E2BIG: i32 = 7;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const EOPNOTSUPP: i32 = 95;

/// The operations that something is asked for.
fn asked(what: impl FnOnce(&DeviceModel) -> Result<(), Error>) -> Vec<Asked> {
    let (_drivers, log) = drivers(|_| Ok(()));
    let (model, _page) = model();
    what(&model).expect("done");
    log.take()
}

fn run(first: u64, count: u32) -> PageRun {
    PageRun { first: Gfn::new(first), count }
}

#[test]
fn interrupts_are_one_operation_each() {
    let device = PciAddress::new(1, 2, 0x1f, 3).expect("an address");
    let expect = |number, bytes: &[u8], what: &dyn Fn(&DeviceModel) -> Result<(), Error>| {
        assert_eq!(asked(|model| what(model)), [Asked::operation(number, bytes)]);
    };
    expect(8, &[1, 0, 2, 0x1f, 3, 1], &|model| model.set_pci_intx_level(device, IntxPin::D, true));
    expect(8, &[1, 0, 2, 0x1f, 0, 0], &|model| model.set_pci_intx_level(device, IntxPin::A, false));
    expect(9, &[7, 1], &|model| model.set_isa_irq_level(7, true));
    expect(10, &[3, 11], &|model| model.set_pci_link_route(3, Some(11)));
    expect(10, &[2, 0], &|model| model.set_pci_link_route(2, None));
    expect(14, &bytes![0x4041_u32, 0_u32, 0xfee0_1000_u64], &|model| model.inject_msi(0xfee0_1000, 0x4041));
    expect(19, &bytes![300_u32, 1_u32], &|model| model.set_irq_level(300, true));
    expect(16, &bytes![4_u32], &|model| model.shutdown(ShutdownReason::Watchdog));

    let fault = Event { error_code: Some(2), cr2: 0x1234_5678_9abc, ..Event::new(EventKind::Exception, 14) };
    let fault_bytes = bytes![1_u32, 14_u8, 3_u8, 0_u8, 0_u8, 2_u32, 0_u32, 0x1234_5678_9abc_u64];
    expect(13, &fault_bytes, &|model| model.inject_event(VcpuId::new(1), fault));
    for (kind, number) in [
        (EventKind::External, 0_u8),
        (EventKind::NonMaskable, 2),
        (EventKind::SoftwareInterrupt, 4),
        (EventKind::PrivilegedSoftwareException, 5),
        (EventKind::SoftwareException, 6),
    ] {
        let event = Event { instruction_length: 2, ..Event::new(kind, 0x80) };
        let bytes = bytes![0_u32, 0x80_u8, number, 2_u8, 0_u8, u32::MAX];
        expect(13, &bytes, &|model| model.inject_event(VcpuId::new(0), event));
    }
}

#[test]
fn memory_operations_are_one_each() {
    let types = [MemoryType::Ram, MemoryType::ReadOnly, MemoryType::Emulated, MemoryType::IoreqServer];
    for (memory_type, number) in types.into_iter().zip([0_u16, 1, 2, 4]) {
        let bytes = bytes![3_u32, number, 0_u16, 0xf_0000_0000_u64];
        let set = asked(|model| model.set_memory_type(run(0xf_0000_0000, 3), memory_type));
        assert_eq!(set, [Asked::operation(12, &bytes)]);
        assert_eq!(MemoryType::from_number(number), memory_type);
    }
    let moved = asked(|model| model.relocate_memory(run(0x100, 9), Gfn::new(0x200)));
    assert_eq!(moved, [Asked::operation(17, &bytes![9_u32, 0_u32, 0x100_u64, 0x200_u64])]);
    for (attribute, number) in [
        (CacheAttribute::Uncached, 0_u32),
        (CacheAttribute::WriteCombining, 1),
        (CacheAttribute::WriteThrough, 4),
        (CacheAttribute::WriteProtected, 5),
        (CacheAttribute::WriteBack, 6),
        (CacheAttribute::UncachedMinus, 7),
    ] {
        let pages = || Gfn::new(0xa0)..=Gfn::new(0xbf);
        let pinned = asked(|model| model.pin_cache_attribute(pages(), attribute));
        assert_eq!(pinned, [Asked::operation(18, &bytes![0xa0_u64, 0xbf_u64, number])]);
        let free = asked(|model| model.unpin_cache_attribute(pages()));
        assert_eq!(free, [Asked::operation(18, &bytes![0xa0_u64, 0xbf_u64, u32::MAX])]);
    }
}

#[test]
fn runs_of_pages_go_256_at_a_time() {
    let runs: Vec<_> = (0..600_u32).map(|n| run(u64::from(n) * 0x10, n + 1)).collect();
    let extents = |runs: std::ops::Range<u32>| {
        runs.flat_map(|n| bytes![n + 1, 0_u32, u64::from(n) * 0x10]).collect::<Vec<_>>()
    };
    let expected = [
        Asked::with_list(11, &bytes![256_u32, 0_u32], &extents(0..256)),
        Asked::with_list(11, &bytes![256_u32, 0_u32], &extents(256..512)),
        Asked::with_list(11, &bytes![88_u32, 0_u32], &extents(512..600)),
    ];
    assert_eq!(asked(|model| model.modified_memory(&runs)), expected);
    assert_eq!(asked(|model| model.modified_memory(&[])), []);
}

#[test]
fn dirty_pages_are_bits() {
    let (_drivers, log) = drivers(|Operation { number, body, list }| {
        assert_eq!(number, 7);
        if list.len() > 4096 {
            return Err(E2BIG);
        }
        if body[..4] != [0; 4] {
            list.fill(0x81);
        }
        Ok(())
    });
    let (model, _page) = model();
    let mut bitmap = [0; 16];
    model.track_dirty_vram(run(0xf_0000, 41), &mut bitmap).expect("watched");
    assert_eq!(bitmap, [0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    model.untrack_dirty_vram().expect("no longer");
    let error = model.track_dirty_vram(run(0, 32_769), &mut [0; 5000]).expect_err("too long");
    assert_eq!(error.errno(), Some(E2BIG), "{error}");
    model.track_dirty_vram(run(0, 32_768), &mut [0; 4096]).expect("just right");
    let error = model.track_dirty_vram(run(0, 17), &mut [0; 2]);
    assert!(error.is_ok(), "it was asked without a list, which Xen refuses");
    let lists: Vec<_> = log
        .take()
        .into_iter()
        .map(|asked| match asked {
            Asked::Operation { record, list } => (record[8..24].to_vec(), list.map(|list| list.len())),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        (41_u32, 0xf_0000_u64, Some(6)),
        (0, 0, Some(1)),
        (32_769, 0, Some(4097)),
        (32_768, 0, Some(4096)),
        (17, 0, None),
    ];
    assert_eq!(lists, expected.map(|(count, first, list)| (bytes![count, 0_u32, first], list)));
}

#[test]
fn the_number_of_vcpus_is_an_answer() {
    let (_drivers, _log) = drivers(|Operation { number, body, .. }| {
        assert_eq!(number, 20);
        body[..4].copy_from_slice(&[7, 0, 0, 0]);
        Ok(())
    });
    assert_eq!(model().0.vcpus().expect("told"), 7);
}

#[test]
fn refusals_are_told_apart() {
    let of = |errno| {
        let (_drivers, _log) = drivers(move |_| Err(errno));
        model().0.set_isa_irq_level(1, true).expect_err("refused")
    };
    assert!(matches!(of(ESRCH), Error::NoSuchDomain { operation: "XEN_DMOP_set_isa_irq_level", .. }));
    assert!(matches!(of(EPERM), Error::Denied { domain: Some(_), .. }));
    assert!(matches!(of(EINVAL), Error::Refused { .. }));
    assert_eq!(of(EBUSY).errno(), Some(EBUSY));
    let error = of(EOPNOTSUPP);
    let runs_on_xen = std::path::Path::new("/sys/hypervisor/version").exists();
    assert_eq!(matches!(error, Error::Unsupported { .. }), runs_on_xen, "{error:?}");
}

#[test]
fn a_file_is_restricted_to_the_guest() {
    let (_drivers, log) = drivers(|_| Ok(()));
    let (model, _page) = model();
    model.restrict().expect("restricted");
    model.set_isa_irq_level(3, false).expect("still possible");
    assert_eq!(*log.borrow(), [Asked::Restrict, Asked::operation(9, &[3, 0])]);
}

#[test]
fn eventfds_stand_for_interrupts() {
    let (_drivers, log) = drivers(|_| Ok(()));
    let (model, page) = model();
    let fd = u32::try_from(page.as_raw_fd()).expect("a descriptor");
    let device = PciAddress::new(0, 0, 4, 0).expect("an address");
    let irqs = [
        (
            Irq::Msi { address: 0xfee0_0000, data: 0x31 },
            record(14, &bytes![0x31_u32, 0_u32, 0xfee0_0000_u64]),
        ),
        (Irq::Spi { interrupt: 40 }, record(19, &bytes![40_u32, 1_u32])),
        (Irq::Isa { line: 5 }, record(9, &[5, 1])),
        (Irq::Pci { device, pin: IntxPin::B }, record(8, &[0, 0, 0, 4, 1, 1])),
    ];
    for (irq, record) in irqs {
        model.assign_irqfd(page.as_fd(), irq).expect("assigned");
        assert_eq!(log.take(), [Asked::Irqfd { record, fd, flags: 0 }]);
    }
    model.unassign_irqfd(page.as_fd()).expect("no longer");
    assert!(matches!(log.take()[..], [Asked::Irqfd { flags: 1, .. }]));
}

#[test]
fn what_the_kernel_refuses_is_not_taken_for_the_hypervisors() {
    let of = |errno| {
        let (_drivers, _log) = drivers(move |_| Err(errno));
        let (model, page) = model();
        model.assign_irqfd(page.as_fd(), Irq::Isa { line: 5 }).expect_err("refused")
    };
    for errno in [EOPNOTSUPP, ENOTTY] {
        assert!(matches!(of(errno), Error::UnsupportedByKernel { .. }), "{errno}");
    }
    assert!(matches!(of(EPERM), Error::Denied { domain: Some(_), .. }));
    for errno in [EBUSY, EINVAL] {
        let Error::Kernel { source, .. } = of(errno) else { panic!("{errno}") };
        assert_eq!(source.raw_os_error(), Some(errno));
    }
}
