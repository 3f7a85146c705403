//! Resources: the exact bytes of every request, and every way to fail.

#[path = "common/fake_guest.rs"]
#[expect(dead_code, reason = "other test programs use the rest")]
mod fake_guest;

use fake_guest::*;
use xen_foreignmem::{Error, GrantTableFrames, Resource, VcpuId};

const GRANT_TABLE: Resource = Resource::GrantTable(GrantTableFrames::Shared);

/// The kernel's answer to a question for the size.
fn put_size(operand: &mut [u8], frames: u64) {
    operand[16..24].copy_from_slice(&frames.to_le_bytes());
}

#[test]
fn a_resource_is_one_mmap_of_its_size_and_one_request() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, operand| {
        assert_eq!(operand.len(), 32);
        assert_ne!(operand[24..], [0; 8], "the address");
        Ok(0)
    });
    let ioreq = memory.map_resource(guest(), Resource::IoreqServer { id: 7 }, 1, 2).expect("mapped");
    ioreq.write(4096, &1_u32).expect("inside");
    drop(ioreq);
    drop(memory.map_resource(guest(), GRANT_TABLE, 0, 1).expect("mapped"));
    let status = Resource::GrantTable(GrantTableFrames::Status);
    drop(memory.options(guest()).read_only().map_resource(status, 0, 1).expect("mapped"));
    let trace = Resource::VmtraceBuffer { vcpu: VcpuId::new(1) };
    drop(memory.map_resource(guest(), trace, 0, 1).expect("mapped"));
    let expected = [
        "mmap 0x0+0x2000 rw",
        "resource 3 0 7 1 2 0",
        "munmap 0x2000",
        "mmap 0x0+0x1000 rw",
        "resource 3 1 0 0 1 0",
        "munmap 0x1000",
        "mmap 0x0+0x1000 ro",
        "resource 3 1 1 0 1 0",
        "munmap 0x1000",
        "mmap 0x0+0x1000 rw",
        "resource 3 2 1 0 1 0",
        "munmap 0x1000",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_resource_that_cannot_be_mapped_is_named_and_unmapped() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, _| errno(ESRCH));
    let error = memory.map_resource(guest(), GRANT_TABLE, 0, 4).expect_err("no such domain");
    assert_eq!(error.to_string(), "mapping the grant table of domain 3 failed");
    assert_eq!(*log.borrow(), ["mmap 0x0+0x4000 rw", "resource 3 1 0 0 4 0", "munmap 0x4000"]);
    let none = memory.map_resource(guest(), GRANT_TABLE, 0, 0);
    assert!(matches!(none, Err(Error::Count { count: 0, .. })), "{none:?}");
    assert_eq!(log.borrow().len(), 3);
}

#[test]
fn a_refusal_by_the_file_is_told_from_one_by_xen() {
    for by_file in [false, true] {
        let log = Log::default();
        let (memory, _ram) = foreign_memory();
        let _fake = driver(&log, move |opcode, _| match opcode {
            BATCH if !by_file => errno(EINVAL),
            _ => errno(EPERM),
        });
        let error = memory.map_resource(guest(), GRANT_TABLE, 0, 1).expect_err("refused");
        match error {
            Error::Resource { .. } => assert!(!by_file),
            Error::Restricted { .. } | Error::LockedDown { .. } => assert!(by_file),
            other => panic!("{other:?}"),
        }
        assert_eq!(log.borrow()[2], "batch 3:  at 0", "the question is about no frames");
    }
}

#[test]
fn the_size_is_asked_for_without_a_mapping() {
    let log = Log::default();
    let (memory, _ram) = foreign_memory();
    let _fake = driver(&log, |_, operand| {
        assert_eq!(operand[16..], [0; 16]);
        put_size(operand, 64);
        Ok(0)
    });
    assert_eq!(memory.resource_size(guest(), GRANT_TABLE).expect("a size"), 64);
    assert_eq!(*log.borrow(), ["resource 3 1 0 0 0 0"]);
}

#[test]
fn a_kernel_that_knows_no_sizes_is_told_from_a_resource_that_is_not_there() {
    for old in [true, false] {
        let log = Log::default();
        let (memory, _ram) = foreign_memory();
        let _fake = driver(&log, move |_, operand| {
            if old || operand[4] == 0 {
                return errno(EINVAL);
            }
            put_size(operand, 64);
            Ok(0)
        });
        let error = memory.resource_size(guest(), Resource::IoreqServer { id: 99 }).expect_err("refused");
        match error {
            Error::Unsupported { needs, .. } => assert!(old && needs.contains("5.12"), "{needs}"),
            Error::Resource { .. } => assert!(!old),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn old_kernels_and_processors_without_it_are_named() {
    // ENOTTY, ENOSYS, EOPNOTSUPP
    for number in [25, 38, 95] {
        let log = Log::default();
        let (memory, _ram) = foreign_memory();
        let _fake = driver(&log, move |_, _| errno(number));
        let trace = Resource::VmtraceBuffer { vcpu: VcpuId::new(0) };
        let error = memory.map_resource(guest(), trace, 0, 1).expect_err("refused");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
}
