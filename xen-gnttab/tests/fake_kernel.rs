//! What a healthy kernel never does, the exact bytes of every request, and the order of calls on every path.
#![expect(unsafe_code, reason = "puts a memfd in the device's place, and plays the kernel")]

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;
use xen_gnttab::{
    CopySegment, DmabufFlags, DomId, Error, Gntalloc, Gnttab, Grant, GrantRef, GrantStatus, Port, UnmapNotify,
};
use xen_sys::linux::fake::{self, Call};

const MAP: u32 = 0x0018_4700;
const UNMAP: u32 = 0x0010_4701;
const NOTIFY: u32 = 0x0010_4707;
const COPY: u32 = 0x0010_4708;
const ALLOC: u32 = 0x0018_4705;
const DEALLOC: u32 = 0x0010_4706;

const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;
const ENOMEM: i32 = 12;

type Log = Rc<RefCell<Vec<String>>>;

fn memfd() -> OwnedFd {
    let fd = rustix::fs::memfd_create("grants", rustix::fs::MemfdFlags::CLOEXEC).expect("a memfd");
    rustix::fs::ftruncate(&fd, 1 << 20).expect("room");
    fd
}

fn gnttab() -> Gnttab {
    // SAFETY: the fake kernel takes every request.
    unsafe { Gnttab::from_fd(memfd()) }.expect("a handle")
}

fn gntalloc() -> Gntalloc {
    // SAFETY: the fake kernel takes every request.
    unsafe { Gntalloc::from_fd(memfd()) }.expect("a handle")
}

/// A kernel that notes calls down by short names, and lets `answer` answer.
fn kernel(
    log: &Log,
    mut answer: impl FnMut(&mut Call<'_>) -> io::Result<usize> + 'static,
) -> fake::Installed {
    let log = Rc::clone(log);
    fake::install(move |mut call| {
        log.borrow_mut().push(match &call {
            Call::Ioctl { opcode, operand } => {
                let name = match *opcode {
                    MAP => "map",
                    UNMAP => "unmap",
                    NOTIFY => "notify",
                    COPY => "copy",
                    ALLOC => "alloc",
                    DEALLOC => "dealloc",
                    _ => "ioctl",
                };
                format!("{name} {}", hex(operand))
            }
            Call::Mmap { offset, length, writable } => {
                format!("mmap {offset:#x}+{length:#x} {}", if *writable { "rw" } else { "ro" })
            }
            Call::DontFork => "dontfork".into(),
            Call::Munmap { length } => format!("munmap {length:#x}"),
            other => format!("{other:?}"),
        });
        answer(&mut call)
    })
}

/// The operand in 32-bit words.
fn hex(operand: &[u8]) -> String {
    let words = operand.chunks(4).map(|word| {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        format!("{:x}", u32::from_le_bytes(padded))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The kernel's answer to a request to map: an index.
fn put_index(operand: &mut [u8], index: u64) {
    operand[8..16].copy_from_slice(&index.to_le_bytes());
}

fn errno<T>(number: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(number))
}

fn guest() -> DomId {
    DomId::new(3).expect("a domain")
}

fn refs(numbers: &[u32]) -> Vec<GrantRef> {
    numbers.iter().copied().map(GrantRef::new).collect()
}

#[test]
fn mapping_gives_its_slots_back_at_once_and_unmapping_is_one_call() {
    let log = Log::default();
    let _fake = kernel(&log, |call| {
        if let Call::Ioctl { opcode: MAP, operand } = call {
            put_index(operand, 0x3000);
        }
        Ok(0)
    });
    let gnttab = gnttab();
    let mapping = gnttab.map(guest(), &refs(&[8, 9])).expect("mapped");
    mapping.write(4096, &7_u64).expect("inside");
    drop(gnttab);
    drop(mapping);
    let expected =
        ["map 2 0 0 0 3 8 3 9", "mmap 0x3000+0x2000 rw", "dontfork", "unmap 3000 0 2 0", "munmap 0x2000"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn the_notification_is_set_before_the_memory_is_there() {
    let log = Log::default();
    let _fake = kernel(&log, |call| {
        if let Call::Ioctl { opcode: MAP, operand } = call {
            put_index(operand, 0x1000);
        }
        Ok(0)
    });
    let gnttab = gnttab();
    let other = DomId::new(4).expect("a domain");
    let grants = [Grant::new(guest(), GrantRef::new(1)), Grant::new(other, GrantRef::new(2))];
    let notify = UnmapNotify::new().clear_byte(4097).send_event(Port::new(6));
    let mapping = gnttab.options().notify(notify).map(&grants).expect("mapped");
    let expected =
        ["map 2 0 0 0 3 1 4 2", "notify 2001 0 3 6", "mmap 0x1000+0x2000 rw", "dontfork", "unmap 1000 0 2 0"];
    assert_eq!(*log.borrow(), expected);
    drop(mapping);
}

#[test]
fn a_failed_mapping_tells_nobody_and_gives_its_slots_back() {
    let log = Log::default();
    let _fake = kernel(&log, |call| match call {
        Call::Mmap { .. } => errno(ENOMEM),
        _ => Ok(0),
    });
    let notify = UnmapNotify::new().send_event(Port::new(6));
    let error = gnttab().options().notify(notify).map_read_only(&[Grant::new(guest(), GrantRef::new(1))]);
    assert!(matches!(error, Err(Error::Map { count: 1, .. })), "{error:?}");
    let expected =
        ["map 1 0 0 0 3 1", "notify 0 0 2 6", "mmap 0x0+0x1000 ro", "notify 0 0 0 0", "unmap 0 0 1 0"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_refused_notification_is_named_and_cancels_nothing() {
    let log = Log::default();
    let _fake = kernel(&log, |call| match call {
        Call::Ioctl { opcode: NOTIFY, .. } => errno(EINVAL),
        _ => Ok(0),
    });
    let notify = UnmapNotify::new().send_event(Port::new(6));
    let error =
        gnttab().options().notify(notify).map(&[Grant::new(guest(), GrantRef::new(1))]).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "cannot set what happens on unmapping: nobody holds the port through /dev/xen/evtchn"
    );
    assert_eq!(*log.borrow(), ["map 1 0 0 0 3 1", "notify 0 0 2 6", "unmap 0 0 1 0"]);
}

#[test]
fn a_memory_that_children_would_keep_is_not_handed_out() {
    let log = Log::default();
    let _fake = kernel(&log, |call| match call {
        Call::DontFork => errno(ENOMEM),
        _ => Ok(0),
    });
    let error = gnttab().map(guest(), &refs(&[1])).expect_err("refused");
    assert!(matches!(error, Error::Map { .. }), "{error:?}");
    let expected = ["map 1 0 0 0 3 1", "mmap 0x0+0x1000 rw", "dontfork", "munmap 0x1000", "unmap 0 0 1 0"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn nothing_and_nonsense_make_no_call() {
    let log = Log::default();
    let _fake = kernel(&log, |_| Ok(0));
    let (gnttab, gntalloc) = (gnttab(), gntalloc());
    assert!(matches!(gnttab.map(guest(), &[]), Err(Error::Count { count: 0, .. })));
    assert!(matches!(gntalloc.share(guest(), 0), Err(Error::Count { count: 0, .. })));
    let grant = [Grant::new(guest(), GrantRef::new(1))];
    let outside = gnttab.options().notify(UnmapNotify::new().clear_byte(4096)).map(&grant);
    assert!(matches!(outside, Err(Error::NotifyOffset { offset: 4096, length: 4096 })), "{outside:?}");
    let read_only = gnttab.options().notify(UnmapNotify::new().clear_byte(0)).map_read_only(&grant);
    assert!(matches!(read_only, Err(Error::NotifyReadOnly)), "{read_only:?}");
    let outside = gntalloc.options().notify(2, UnmapNotify::new().clear_byte(0)).share(guest(), 2);
    assert!(matches!(outside, Err(Error::NotifyOffset { offset: 8192, length: 8192 })), "{outside:?}");
    gnttab.copy(&mut []).expect("nothing to do");
    gnttab.set_max_grants(7);
    assert!(log.borrow().is_empty(), "{:?}", log.borrow());
}

#[test]
fn the_grant_to_blame_is_found_and_no_slot_is_lost() {
    let log = Log::default();
    let live = Rc::new(RefCell::new(0));
    let counter = Rc::clone(&live);
    let mut bad = false;
    let _fake = kernel(&log, move |call| match call {
        Call::Ioctl { opcode: MAP, operand } => {
            bad = hex(&operand[16..]).split(' ').any(|word| word == "bad");
            *counter.borrow_mut() += 1;
            Ok(0)
        }
        Call::Ioctl { opcode: UNMAP, .. } => {
            *counter.borrow_mut() -= 1;
            Ok(0)
        }
        Call::Mmap { .. } if bad => errno(EINVAL),
        Call::Ioctl { opcode: COPY, operand } => {
            set_statuses(operand, |_| -3);
            Ok(0)
        }
        _ => Ok(0),
    });
    for place in 0..7 {
        let mut list = refs(&[1, 2, 3, 4, 5, 6, 7]);
        list[place] = GrantRef::new(0xbad);
        let error = gnttab().map(guest(), &list).expect_err("one is bad");
        let Error::Grant { index, grant, status, .. } = error else { panic!("{error:?}") };
        assert_eq!((index, grant), (place, Grant::new(guest(), GrantRef::new(0xbad))));
        assert_eq!(status, GrantStatus::BAD_GRANT_REF);
        assert_eq!(*live.borrow(), 0, "all slots are back");
    }
}

#[test]
fn what_the_device_cannot_count_goes_to_another_file() {
    if std::path::Path::new("/dev/xen/gntdev").exists() {
        eprintln!("skipped: here is a device to open");
        return;
    }
    let log = Log::default();
    let _fake = kernel(&log, |_| Ok(0));
    let error = gnttab().map(guest(), &refs(&vec![1; 300_000])).expect_err("no other file here");
    assert!(matches!(error, Error::Open(_)), "{error:?}");
    assert!(log.borrow().is_empty(), "the first file was not asked: {:?}", log.borrow());
}

#[test]
fn more_than_the_kernels_limit_is_said_so() {
    let log = Log::default();
    let _fake = kernel(&log, |call| match call {
        Call::Ioctl { opcode: MAP, .. } => errno(EINVAL),
        _ => Ok(0),
    });
    let error = gnttab().map(guest(), &refs(&vec![1; 70_000])).expect_err("too many");
    assert!(error.to_string().contains("xen_gntdev.limit"), "{error}");
    assert_eq!(log.borrow().len(), 1, "there is no slot to give back");
}

/// Writes the statuses that `status` gives into the segments of a copy request.
fn set_statuses(operand: &[u8], status: impl Fn(usize) -> i16) {
    let count = u32::from_le_bytes(operand[..4].try_into().expect("4 bytes")) as usize;
    let address = u64::from_le_bytes(operand[8..16].try_into().expect("8 bytes"));
    let segments = std::ptr::with_exposed_provenance_mut::<u8>(usize::try_from(address).expect("an address"));
    for index in 0..count {
        // SAFETY: the request says that `count` segments of 24 bytes are there; the status is at byte 20.
        let at = unsafe { segments.add(index * 24 + 20) }.cast::<[u8; 2]>();
        // SAFETY: they are exclusively borrowed for the call.
        unsafe { at.write(status(index).to_ne_bytes()) };
    }
}

/// The 24 bytes of each segment of a copy request, in 16-bit words from byte 16 on.
fn lengths_and_flags(operand: &[u8]) -> Vec<(u16, u16)> {
    let count = u32::from_le_bytes(operand[..4].try_into().expect("4 bytes")) as usize;
    let address = u64::from_le_bytes(operand[8..16].try_into().expect("8 bytes"));
    let segments =
        std::ptr::with_exposed_provenance::<[u16; 12]>(usize::try_from(address).expect("an address"));
    // SAFETY: as in `set_statuses`.
    let segments = unsafe { std::slice::from_raw_parts(segments, count) };
    segments.iter().map(|words| (words[8], words[9])).collect()
}

#[test]
fn a_copy_reports_each_segment() {
    let log = Log::default();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&seen);
    let _fake = kernel(&log, move |call| {
        if let Call::Ioctl { opcode: COPY, operand } = call {
            noted.borrow_mut().push(lengths_and_flags(operand));
            set_statuses(operand, |index| if index == 1 { -8 } else { 0 });
        }
        Ok(0)
    });
    let grant = Grant::new(guest(), GrantRef::new(5));
    let (mut first, mut second, mut third) = ([0; 10], [0; 4096], [0; 3]);
    let mut segments = [
        CopySegment::from_grant(grant, 4086, &mut first).expect("inside"),
        CopySegment::from_grant(grant, 0, &mut second).expect("inside"),
        CopySegment::from_grant(grant, 9, &mut third).expect("inside"),
    ];
    let error = gnttab().copy(&mut segments).expect_err("the second failed");
    assert!(
        matches!(
            error,
            Error::Copy { failed: 1, count: 3, first: 1, status: GrantStatus::PERMISSION_DENIED }
        ),
        "{error:?}"
    );
    assert_eq!(segments.each_ref().map(|segment| segment.status().get()), [0, -8, 0]);
    assert_eq!(*seen.borrow(), [[(10, 1), (4096, 1), (3, 1)]]);
}

#[test]
fn a_call_that_fails_as_a_whole_claims_nothing_of_its_segments() {
    let log = Log::default();
    let mut calls = 0;
    let _fake = kernel(&log, move |call| {
        let Call::Ioctl { opcode: COPY, operand } = call else { return Ok(0) };
        calls += 1;
        // As the kernel does: everything that was queued is marked as done, then dropped.
        set_statuses(operand, |_| 0);
        if calls == 2 { errno(ENOMEM) } else { Ok(0) }
    });
    let grant = Grant::new(guest(), GrantRef::new(5));
    let mut target = [0; 8];
    let mut segments = [
        CopySegment::from_grant(grant, 0, &mut target).expect("inside"),
        CopySegment::to_grant(b"bytes", grant, 0).expect("inside"),
        CopySegment::between((grant, 0), (grant, 8), 8).expect("inside"),
    ];
    let error = gnttab().copy(&mut segments).expect_err("refused");
    assert!(matches!(error, Error::CopyCall { count: 3, .. }), "{error:?}");
    assert_eq!(log.borrow().len(), 2, "a call for each direction");
    let statuses = segments.each_ref().map(CopySegment::status);
    assert_eq!(statuses, [GrantStatus::OKAY, GrantStatus::UNKNOWN, GrantStatus::UNKNOWN]);
}

#[test]
fn segments_stay_inside_their_page() {
    let grant = Grant::new(guest(), GrantRef::new(5));
    let mut page = [0; 4097];
    assert!(CopySegment::from_grant(grant, 0, &mut page[..4096]).is_ok());
    assert!(CopySegment::from_grant(grant, 0, &mut page).is_err());
    assert!(CopySegment::from_grant(grant, 1, &mut page[..4096]).is_err());
    assert!(CopySegment::to_grant(&page[..1], grant, 4096).is_err());
    assert!(CopySegment::to_grant(&vec![0; 0x1_0000], grant, 0).is_err());
    assert!(CopySegment::between((grant, 4095), (grant, 0), 1).is_ok());
    assert!(CopySegment::between((grant, 4095), (grant, 0), 2).is_err());
    let error = CopySegment::between((grant, 0), (grant, u16::MAX), 1).expect_err("outside");
    assert_eq!(
        error.to_string(),
        "1 bytes at offset 65535 do not stay inside the 4096 bytes of a granted page"
    );
}

#[test]
fn sharing_releases_the_device_at_once_and_unsharing_is_one_call() {
    let log = Log::default();
    let _fake = kernel(&log, |call| {
        if let Call::Ioctl { opcode: ALLOC, operand } = call {
            put_index(operand, 0x2000);
            for (number, reference) in operand[16..].chunks_exact_mut(4).take(3).enumerate() {
                reference.copy_from_slice(&(0x10 + u32::try_from(number).expect("small")).to_le_bytes());
            }
        }
        Ok(0)
    });
    let notify = UnmapNotify::new().clear_byte(5).send_event(Port::new(9));
    let pages = gntalloc().options().notify(2, notify).share(guest(), 3).expect("shared");
    assert_eq!(pages.grants(), refs(&[0x10, 0x11, 0x12]));
    pages.copy_from_slice(4090, b"across a border").expect("inside");
    let mut bytes = [0; 15];
    pages.copy_to_slice(4090, &mut bytes).expect("inside");
    assert_eq!(&bytes, b"across a border");
    drop(pages);
    let expected = [
        "alloc 10003 3 0 0 0 0 0 0",
        "notify 4005 0 3 9",
        "mmap 0x2000+0x3000 rw",
        "dealloc 2000 0 3 0",
        "munmap 0x3000",
    ];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_failed_sharing_leaves_nothing_behind() {
    let log = Log::default();
    let _fake = kernel(&log, |call| match call {
        Call::Mmap { .. } => errno(ENOMEM),
        _ => Ok(0),
    });
    let notify = UnmapNotify::new().send_event(Port::new(9));
    let error =
        gntalloc().options().read_only(true).notify(0, notify).share(guest(), 1).expect_err("no memory");
    assert!(matches!(error, Error::Share { count: 1, .. }), "{error:?}");
    let expected =
        ["alloc 3 1 0 0 0 0", "notify 0 0 2 9", "mmap 0x0+0x1000 rw", "notify 0 0 0 0", "dealloc 0 0 1 0"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn the_limit_of_shared_pages_is_named() {
    let log = Log::default();
    let _fake = kernel(&log, |_| errno(ENOSPC));
    let error = gntalloc().share(guest(), 2000).expect_err("too many");
    assert_eq!(
        error.to_string(),
        "cannot share 2000 pages with domain 3: no grant is left, or the kernel parameter xen_gntalloc.limit is reached"
    );
}

#[test]
fn dmabufs_are_asked_for_in_the_kernels_bytes() {
    let log = Log::default();
    let lent = memfd();
    let number = std::os::fd::IntoRawFd::into_raw_fd(lent);
    let _fake = kernel(&log, move |call| match call {
        Call::Ioctl { opcode: 0x0014_4709, operand } => {
            operand[8..12].copy_from_slice(&number.to_le_bytes());
            Ok(0)
        }
        Call::Ioctl { opcode: 0x0008_470a, .. } => errno(110),
        Call::Ioctl { opcode: 0x0014_470b, operand } => {
            operand[16..24].copy_from_slice(&[1, 1, 0, 0, 2, 1, 0, 0]);
            Ok(0)
        }
        _ => Ok(0),
    });
    let gnttab = gnttab();
    let mut exported =
        gnttab.export_dmabuf(guest(), &refs(&[8, 9, 10]), DmabufFlags::WRITE_COMBINED).expect("exported");
    assert!(!exported.wait_released(Duration::from_millis(1500)).expect("a time-out is no error"));
    let dmabuf = memfd();
    let imported = gnttab.import_dmabuf(dmabuf.as_fd(), guest(), 2).expect("imported");
    assert_eq!(imported.grants(), refs(&[0x101, 0x102]));
    drop(imported);
    let log = log.borrow();
    assert_eq!(log[0], "ioctl 1 3 ffffffff 3 8 9 a 0");
    assert_eq!(log[1], format!("ioctl {number:x} 5dc"));
    assert!(log[2].ends_with(" 2 3 0 0 0"), "{}", log[2]);
    let ours = log[2].split(' ').nth(1).expect("a descriptor");
    assert_eq!(log[3], format!("ioctl {ours} 0"), "released under the number it was imported under");
}

#[test]
fn a_kernel_without_dmabufs_is_named() {
    let log = Log::default();
    let _fake = kernel(&log, |_| errno(25));
    let error = gnttab().export_dmabuf(guest(), &refs(&[8]), DmabufFlags::empty()).expect_err("not built in");
    assert_eq!(
        error.to_string(),
        "exporting grants as a dma-buf needs a kernel with CONFIG_XEN_GNTDEV_DMABUF"
    );
}

#[test]
fn handles_and_memory_go_to_other_threads() {
    fn shared_between_threads<T: Send + Sync + 'static>() {}
    shared_between_threads::<Gnttab>();
    shared_between_threads::<Gntalloc>();
    shared_between_threads::<xen_gnttab::GrantMapping>();
    shared_between_threads::<xen_gnttab::GrantMapping<xen_gnttab::ReadOnly>>();
    shared_between_threads::<xen_gnttab::SharedPages>();
    shared_between_threads::<Error>();
}
