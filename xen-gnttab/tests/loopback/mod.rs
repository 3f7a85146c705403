//! Grants of a domain to itself that are mapped, which Xen allows, on real Xen: in dom0 as well as in a guest.

use crate::sharing::{gnttab, mappings_of, own, share};
use std::fs;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use xen_evtchn::Evtchn;
use xen_gnttab::{
    DmabufFlags, DomId, Error, Gntalloc, Grant, GrantRef, GrantStatus, SharedParts, UnmapNotify,
};

#[test]
#[ignore = "needs Xen"]
fn both_sides_see_each_others_writes() {
    let pages = share(4);
    assert_eq!(pages.grants().len(), 4);
    let mut zeros = vec![1; pages.len()];
    pages.copy_to_slice(0, &mut zeros).expect("inside");
    assert!(zeros.iter().all(|&byte| byte == 0), "fresh pages are zeroed");
    pages.copy_from_slice(4090, b"hello, page border").expect("inside");
    let mapping = gnttab().map(own(), pages.grants()).expect("mapped");
    assert_eq!(&mapping.read::<[u8; 18]>(4090).expect("inside"), b"hello, page border");
    mapping.atomic_u32(8192).expect("inside").store(0xfeed, Ordering::Release);
    assert_eq!(pages.load_u32(8192), Ok(0xfeed));
    mapping.atomic_u16(8198).expect("inside").store(0xabcd, Ordering::Release);
    mapping.atomic_u64(8200).expect("inside").fetch_add(1 << 40, Ordering::AcqRel);
    mapping.atomic_u8(8197).expect("inside").store(9, Ordering::Relaxed);
    assert_eq!(pages.read::<[u8; 4]>(8196), Ok([0, 9, 0xcd, 0xab]));
    assert_eq!(pages.read::<u64>(8200), Ok(1 << 40));
    assert!(mapping.atomic_u16(1).is_err() && mapping.atomic_u64(4).is_err(), "misaligned");
    assert!(mapping.atomic_u64(4 * 4096).is_err(), "outside");
    mapping.fill(12288, 4096, 7).expect("inside");
    assert_eq!(pages.read::<[u8; 4096]>(12288), Ok([7; 4096]));
    let read_only = gnttab().map_read_only(own(), &pages.grants()[1..]).expect("mapped");
    assert_eq!(read_only.load_u32(4096), Ok(0xfeed));
    assert!(read_only.load_u32(4098).is_err(), "misaligned");
    assert!(read_only.read::<u32>(3 * 4096 - 3).is_err(), "outside");
}

#[test]
#[ignore = "needs Xen"]
fn what_is_shared_read_only_cannot_be_mapped_writable() {
    let gntalloc = Gntalloc::open().expect("the sharing device");
    let pages = gntalloc.share_read_only(own(), 2).expect("shared");
    pages.write(5, &0x55_u8).expect("we may write");
    let mapping = gnttab().map_read_only(own(), pages.grants()).expect("mapped");
    assert_eq!(mapping.read::<u8>(5), Ok(0x55));
    let error = gnttab().map(own(), pages.grants()).expect_err("read-only");
    assert!(
        matches!(error, Error::Grant { index: 0, status: GrantStatus::PERMISSION_DENIED, .. }),
        "{error:?}"
    );
}

#[test]
#[ignore = "needs Xen"]
fn unmapping_clears_the_byte_and_sends_the_event() {
    let evtchn = Evtchn::open().expect("the event channel device");
    let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("bound");
    let expect_event = |expected: bool| {
        // The kernel sends before `munmap` returns: what has not come soon does not come.
        let patience = Duration::from_millis(if expected { 60_000 } else { 50 });
        assert_eq!(evtchn.wait(Some(patience)).expect("wait"), expected);
        if let Some(port) = evtchn.pending_one().expect("a port") {
            assert_eq!(port, far.port());
            evtchn.unmask(&[port]).expect("unmasked");
        }
    };
    expect_event(true); // binding causes one
    let pages = share(3);
    let grants: Vec<_> = pages.grants().iter().map(|&reference| Grant::new(own(), reference)).collect();
    let gnttab = gnttab();
    let byte = 2 * 4096 + 17;
    for (clear, send) in [(true, false), (false, true), (true, true)] {
        pages.write(byte, &1_u8).expect("inside");
        let mut notify = UnmapNotify::new();
        if clear {
            notify = notify.clear_byte(byte);
        }
        if send {
            notify = notify.send_event(near.port());
        }
        let mapping = gnttab.options().notify(notify).map(&grants).expect("mapped");
        expect_event(false);
        assert_eq!(pages.read::<u8>(byte), Ok(1));
        drop(mapping);
        expect_event(send);
        assert_eq!(pages.read::<u8>(byte), Ok(u8::from(!clear)));
    }
    let notify = UnmapNotify::new().send_event(near.port());
    drop(gnttab.options().notify(notify).map_read_only(&grants).expect("mapped"));
    expect_event(true);
    let nobody = UnmapNotify::new().send_event(xen_gnttab::Port::new(3999));
    let error = gnttab.options().notify(nobody).map(&grants).expect_err("nobody holds the port");
    assert!(matches!(error, Error::Notify { .. }), "{error:?}");

    let mut bad = grants.clone();
    bad[1] = Grant::new(own(), GrantRef::new(1_000_000));
    let error = gnttab.options().notify(notify).map(&bad).expect_err("no such grant");
    assert!(matches!(error, Error::Grant { index: 1, .. }), "{error:?}");
    expect_event(false);
}

/// With this variable set, this program is the child of a test: it maps the grant, says so, and waits to be killed.
const CHILD: &str = "XEN_GNTTAB_TEST_CHILD";

#[test]
#[ignore = "needs Xen"]
fn a_process_that_dies_is_noticed() {
    if let Ok(task) = std::env::var(CHILD) {
        let numbers: Vec<u32> = task.split(' ').map(|word| word.parse().expect("a number")).collect();
        let notify = UnmapNotify::new().clear_byte(0).send_event(numbers[1].into());
        let grant = Grant::new(own(), numbers[0].into());
        let mapping = gnttab().options().notify(notify).map(&[grant]).expect("mapped");
        mapping.write(0, &2_u8).expect("inside");
        loop {
            thread::park();
        }
    }
    let evtchn = Evtchn::open().expect("the event channel device");
    let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("bound");
    assert_eq!(evtchn.pending_one().expect("the event that binding causes"), Some(far.port()));
    far.unmask().expect("unmasked");
    let pages = share(1);
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "loopback::a_process_that_dies_is_noticed", "--include-ignored", "--nocapture"])
        .env(CHILD, format!("{} {}", pages.grants()[0], near.port()))
        .spawn()
        .expect("a child");
    for _ in 0..12_000 {
        if pages.read::<u8>(0) == Ok(2) {
            break;
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(pages.read::<u8>(0), Ok(2), "the child has mapped the page");
    child.kill().expect("killed");
    child.wait().expect("gone");
    assert!(evtchn.wait(Some(Duration::from_secs(60))).expect("wait"), "an event tells of the death");
    assert_eq!(pages.read::<u8>(0), Ok(0), "and the byte is clear");
}

#[test]
#[ignore = "needs Xen"]
fn releasing_a_shared_page_notifies_too() {
    let evtchn = Evtchn::open().expect("the event channel device");
    let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("bound");
    assert_eq!(evtchn.pending_one().expect("the event that binding causes"), Some(far.port()));
    far.unmask().expect("unmasked");
    let gntalloc = Gntalloc::open().expect("the sharing device");
    let notify = UnmapNotify::new().clear_byte(9).send_event(near.port());
    let pages = gntalloc.options().notify(1, notify).share(own(), 2).expect("shared");
    let mapping = gnttab().map(own(), pages.grants()).expect("mapped");
    mapping.write(4096 + 9, &1_u8).expect("inside");
    mapping.write(9, &1_u8).expect("inside");
    drop(pages);
    assert!(evtchn.wait(Some(Duration::from_secs(60))).expect("wait"));
    assert_eq!(mapping.read::<u8>(4096 + 9), Ok(0), "the page of the notification");
    assert_eq!(mapping.read::<u8>(9), Ok(1), "and no other; the memory is there as long as it is mapped");
}

#[test]
#[ignore = "needs Xen"]
fn a_live_mapping_takes_no_room_in_the_device() {
    let gnttab = gnttab();
    let pages = share(2);
    let mappings: Vec<_> = (0..20).map(|_| gnttab.map(own(), pages.grants()).expect("mapped")).collect();
    let lines = mappings_of("/dev/xen/gntdev");
    let offsets: Vec<_> = lines.iter().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(offsets, vec!["00000000"; 20], "each was mapped from the start of the device");
    mappings[0].write(0, &7_u64).expect("inside");
    assert!(mappings.iter().all(|mapping| mapping.read::<u64>(0) == Ok(7)));
    drop(gnttab);
    assert_eq!(mappings[19].read::<u64>(0), Ok(7), "a mapping does not need the handle");
    drop(mappings);
    assert!(mappings_of("/dev/xen/gntdev").is_empty());
}

#[test]
#[ignore = "needs Xen"]
fn nothing_leaks_over_thousands_of_rounds() {
    let gnttab = gnttab();
    let gntalloc = Gntalloc::open().expect("the sharing device");
    for _ in 0..400 {
        let pages = gntalloc.share(own(), 8).expect("shared: the limit is 1024 pages");
        drop(gnttab.map(own(), pages.grants()).expect("mapped"));
        gnttab.map(own(), &[pages.grants()[0], GrantRef::new(1_000_000)]).expect_err("a bad grant");
    }
    assert!(mappings_of("/dev/xen/gntdev").is_empty() && mappings_of("/dev/xen/gntalloc").is_empty());
}

#[test]
#[ignore = "needs Xen"]
fn children_do_not_inherit_mappings() {
    let pages = share(1);
    let mapping = gnttab().map(own(), pages.grants()).expect("mapped");
    let smaps = fs::read_to_string("/proc/self/smaps").expect("smaps");
    let mut lines = smaps.lines().skip_while(|line| !line.ends_with("/dev/xen/gntdev"));
    let flags = lines.find(|line| line.starts_with("VmFlags:")).expect("flags");
    assert!(flags.split(' ').any(|flag| flag == "dc"), "not copied on fork: {flags}");
    drop(mapping);
}

#[test]
#[ignore = "needs Xen"]
fn files_go_straight_through_a_mapping() {
    let pages = share(3);
    let mapping = gnttab().map(own(), pages.grants()).expect("mapped");
    let path = "/tmp/xen-gnttab-file";
    let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    fs::write(path, &text).expect("written");
    let file = fs::File::options().read(true).write(true).open(path).expect("a file");
    assert_eq!(mapping.read_from_file(100, 9000, &file, 50).expect("read"), 9000);
    let mut seen = vec![0; 9000];
    pages.copy_to_slice(100, &mut seen).expect("inside");
    assert_eq!(seen, text[50..9050]);
    assert_eq!(
        mapping.read_from_file(0, 4096, &file, 9000).expect("the end"),
        1000,
        "short at the end of the file"
    );
    assert!(mapping.read_from_file(8192, 4097, &file, 0).is_err(), "outside");
    let read_only = gnttab().map_read_only(own(), pages.grants()).expect("mapped");
    assert_eq!(read_only.write_to_file(100, 5000, &file, 20_000).expect("written"), 5000);
    assert_eq!(fs::read(path).expect("read")[20_000 + 950..], seen[950..5000]);
    fs::remove_file(path).expect("removed");
}

#[test]
#[ignore = "needs Xen"]
fn files_go_through_parts_of_several_mappings_at_once() {
    let pages = share(3);
    let gnttab = gnttab();
    let mappings: Vec<_> =
        pages.grants().iter().rev().map(|page| gnttab.map(own(), &[*page]).expect("mapped")).collect();
    let path = "/tmp/xen-gnttab-parts";
    let text: Vec<u8> = (0..=250).cycle().take(9000).collect();
    fs::write(path, &text).expect("written");
    let file = fs::File::options().read(true).write(true).open(path).expect("a file");
    let mut parts = SharedParts::default();
    assert!(parts.is_empty() && parts.read_from_file(&file, 0).expect("nothing") == 0);
    for mapping in &mappings {
        parts.push(mapping, 96, 3000).expect("inside");
        assert!(parts.push(mapping, 4000, 97).is_err(), "outside");
    }
    assert_eq!(parts.len(), 9000);
    assert_eq!(parts.read_from_file(&file, 0).expect("read"), 9000);
    for (page, text) in [2, 1, 0].into_iter().zip(text.chunks(3000)) {
        let mut seen = vec![0; 3000];
        pages.copy_to_slice(page * 4096 + 96, &mut seen).expect("inside");
        assert_eq!(seen, text);
    }
    parts.advance(3500);
    assert_eq!(parts.len(), 5500);
    assert_eq!(parts.write_to_file(&file, 10_000).expect("written"), 5500);
    assert_eq!(fs::read(path).expect("read")[10_000..], text[3500..]);
    assert_eq!(parts.read_from_file(&file, 15_000).expect("the end"), 500, "short at the end of the file");
    let read_only = fs::File::open(path).expect("a file");
    let refused = parts.write_to_file(&read_only, 0).expect_err("opened for reading");
    assert_eq!(refused.raw_os_error(), Some(9), "EBADF: {refused}");
    assert!(parts.write_to_file(&file, u64::MAX).is_err(), "no such position");
    parts.advance(usize::MAX);
    assert!(parts.is_empty() && parts.write_to_file(&file, 0).expect("nothing") == 0);

    // more parts than the kernel takes at a time
    let mut parts = SharedParts::default();
    for index in 0..2500 {
        parts.push(&mappings[index % 3], index, 1).expect("inside");
    }
    assert_eq!(parts.write_to_file(&file, 1).expect("written"), 2500);
    let written = fs::read(path).expect("read");
    for index in 0..2500 {
        let byte: u8 = mappings[index % 3].read(index).expect("inside");
        assert_eq!(written[1 + index], byte, "part {index}");
    }
    fs::remove_file(path).expect("removed");
}

#[test]
#[ignore = "needs Xen"]
fn threads_map_and_unmap_on_one_handle() {
    let gnttab = gnttab();
    let pages = share(8);
    thread::scope(|scope| {
        for &reference in pages.grants() {
            let gnttab = &gnttab;
            scope.spawn(move || {
                for round in 0..50_u64 {
                    let mapping = gnttab.map(own(), &[reference]).expect("mapped");
                    mapping.write(8, &round).expect("inside");
                    assert_eq!(mapping.read::<u64>(8), Ok(round), "nobody else's page");
                }
            });
        }
    });
    assert!((0..8).all(|page| pages.read::<u64>(page * 4096 + 8) == Ok(49)));
}

#[test]
#[ignore = "needs Xen"]
fn dmabufs_answer_with_typed_errors_where_they_cannot_be() {
    let pages = share(1);
    let pv = fs::read_to_string("/sys/hypervisor/guest_type").is_ok_and(|kind| kind.trim() == "PV");
    match gnttab().export_dmabuf(own(), pages.grants(), DmabufFlags::empty()) {
        Err(Error::Unsupported { operation, needs }) => println!("{operation} needs {needs}"),
        Err(error) => panic!("{error}"),
        Ok(mut exported) => {
            assert!(!pv, "a PV domain cannot");
            let fd = exported.take_fd().expect("a descriptor");
            assert!(!exported.wait_released(Duration::from_millis(50)).expect("a time-out is no error"));
            drop(fd);
            assert!(exported.wait_released(Duration::from_secs(60)).expect("released"));
        }
    }
    let file = fs::File::open("/proc/self/exe").expect("a file");
    let error = gnttab().import_dmabuf(std::os::fd::AsFd::as_fd(&file), own(), 1).expect_err("no dma-buf");
    assert!(matches!(error, Error::Unsupported { .. } | Error::Dmabuf { .. }), "{error:?}");
    println!("importing: {error}");
}
