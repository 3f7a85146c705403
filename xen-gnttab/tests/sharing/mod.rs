//! Pages that are shared, and grants that are not there, on real Xen: in dom0 as well as in a guest. Nothing is mapped.

use std::fs;
use std::io::{Read, Write};
use std::sync::OnceLock;
use std::time::Duration;
use xen_evtchn::Evtchn;
use xen_gnttab::{
    CopySegment, DomId, Error, Gntalloc, Gnttab, Grant, GrantRef, GrantStatus, Port, SharedPages, UnmapNotify,
};

/// This domain's number, as xenstore tells it.
pub(crate) fn own() -> DomId {
    static OWN: OnceLock<DomId> = OnceLock::new();
    *OWN.get_or_init(|| {
        let mut xenstore =
            fs::File::options().read(true).write(true).open("/dev/xen/xenbus").expect("xenstore");
        // XS_READ, request 0, no transaction, 6 bytes; then the path.
        let request = [&[2_u32, 0, 0, 6].map(u32::to_ne_bytes).concat(), &b"domid\0"[..]].concat();
        xenstore.write_all(&request).expect("asked");
        let mut reply = [0; 64];
        let mut length = 0;
        while length < 16 || length < 16 + usize::from(reply[12]) {
            length += xenstore.read(&mut reply[length..]).expect("answered");
        }
        std::str::from_utf8(&reply[16..length]).expect("text").parse().expect("a domain")
    })
}

pub(crate) fn gnttab() -> Gnttab {
    Gnttab::open().expect("the grant device")
}

pub(crate) fn share(pages: usize) -> SharedPages {
    Gntalloc::open().expect("the sharing device").share(own(), pages).expect("shared")
}

/// The lines of a file about this process's mappings of the grant device.
pub(crate) fn mappings_of(device: &str) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("maps");
    maps.lines().filter(|line| line.ends_with(device)).map(str::to_owned).collect()
}

fn gntalloc() -> Gntalloc {
    Gntalloc::open().expect("the sharing device")
}

#[test]
#[ignore = "needs Xen"]
fn shared_pages_are_fresh_and_ours_to_write() {
    for domain in [DomId::ZERO, own(), DomId::new(4321).expect("a number")] {
        let pages = gntalloc().share(domain, 3).expect("shared, whoever that is");
        assert_eq!((pages.pages(), pages.grants().len()), (3, 3));
        let mut bytes = vec![1; pages.len()];
        pages.copy_to_slice(0, &mut bytes).expect("inside");
        assert!(bytes.iter().all(|&byte| byte == 0), "fresh pages are zeroed");
        pages.copy_from_slice(4090, b"hello, page border").expect("inside");
        assert_eq!(&pages.read::<[u8; 18]>(4090).expect("inside"), b"hello, page border");
        let read_only = gntalloc().share_read_only(domain, 1).expect("shared");
        read_only.write(5, &0x55_u8).expect("we may write what others may not");
        assert!(!pages.grants().contains(&read_only.grants()[0]));
    }
    assert!(mappings_of("/dev/xen/gntalloc").is_empty(), "nothing stays");
}

#[test]
#[ignore = "needs Xen"]
fn releasing_shared_pages_sends_the_event() {
    let evtchn = Evtchn::open().expect("the event channel device");
    let near = evtchn.bind_unbound(DomId::SELF).expect("bound");
    let far = evtchn.bind_interdomain(DomId::SELF, near.port()).expect("bound");
    assert_eq!(evtchn.pending_one().expect("the event that binding causes"), Some(far.port()));
    far.unmask().expect("unmasked");
    let gntalloc = gntalloc();
    let notify = UnmapNotify::new().clear_byte(9).send_event(near.port());
    let pages = gntalloc.options().notify(1, notify).share(DomId::ZERO, 2).expect("shared");
    assert!(!evtchn.wait(Some(Duration::from_millis(50))).expect("wait"), "not yet");
    drop(pages);
    assert!(evtchn.wait(Some(Duration::from_secs(60))).expect("wait"));
    assert_eq!(evtchn.pending_one().expect("an event"), Some(far.port()));

    let nobody = UnmapNotify::new().send_event(Port::new(3999));
    let error =
        gntalloc.options().notify(0, nobody).share(DomId::ZERO, 1).expect_err("nobody holds the port");
    assert!(matches!(error, Error::Notify { .. }), "{error:?}");
    for (page, byte) in [(0, 4096), (1, 0)] {
        let outside = UnmapNotify::new().clear_byte(byte);
        let error = gntalloc.options().notify(page, outside).share(DomId::ZERO, 1).expect_err("outside");
        assert!(matches!(error, Error::NotifyOffset { length: 4096, .. }), "{error:?}");
    }
}

#[test]
#[ignore = "needs Xen"]
fn xen_copies_to_and_from_our_own_grants() {
    let pages = share(2);
    let grant = |page: usize| Grant::new(own(), pages.grants()[page]);
    let text: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let mut back = [0; 3000];
    let mut segments = [
        CopySegment::to_grant(&text, grant(0), 1000).expect("inside"),
        CopySegment::between((grant(0), 1000), (grant(1), 7), 3000).expect("inside"),
        CopySegment::from_grant(grant(1), 7, &mut back).expect("inside"),
    ];
    gnttab().copy(&mut segments).expect("copied, in order");
    assert!(back == text[..], "there and back");
    assert_eq!(pages.read::<[u8; 256]>(4096 + 7).expect("inside"), text[..256]);

    let read_only = gntalloc().share_read_only(own(), 1).expect("shared");
    let grant = Grant::new(own(), read_only.grants()[0]);
    let mut to = [CopySegment::to_grant(&text, grant, 0).expect("inside")];
    let error = gnttab().copy(&mut to).expect_err("read-only");
    assert!(matches!(error, Error::Copy { failed: 1, count: 1, first: 0, .. }), "{error:?}");
    assert_eq!(read_only.read::<u64>(0), Ok(0), "untouched");
    let mut byte = [9];
    let mut from = [CopySegment::from_grant(grant, 0, &mut byte).expect("inside")];
    gnttab().copy(&mut from).expect("it may be read");
    assert_eq!(byte, [0]);
}

#[test]
#[ignore = "needs Xen"]
fn grants_that_are_not_there_are_named() {
    let nobody = DomId::new(4321).expect("a number");
    let beyond =
        [1_000_000, 1 << 31, u32::MAX].map(|reference| (own(), reference, GrantStatus::BAD_GRANT_REF));
    for (domain, reference, expected) in beyond.into_iter().chain([(nobody, 8, GrantStatus::BAD_DOMAIN)]) {
        let reference = GrantRef::new(reference);
        let refusals = [
            gnttab().map(domain, &[reference]).map(drop),
            gnttab().map_read_only(domain, &[reference]).map(drop),
            gnttab().options().map(&[Grant::new(domain, reference)]).map(drop),
        ];
        for refusal in refusals {
            let Err(Error::Grant { index: 0, grant, status, .. }) = refusal else { panic!("{refusal:?}") };
            assert_eq!((grant.domain(), grant.reference(), status), (domain, reference, expected));
        }
    }
    let error = gnttab().map(own(), &[]).expect_err("none");
    assert!(matches!(error, Error::Count { count: 0, .. }), "{error:?}");
    assert!(mappings_of("/dev/xen/gntdev").is_empty(), "nothing stays");
}

#[test]
#[ignore = "needs Xen"]
fn what_is_released_can_be_shared_again() {
    let gntalloc = gntalloc();
    for _ in 0..20 {
        assert_eq!(gntalloc.share(DomId::ZERO, 100).expect("the limit is 1024 pages").pages(), 100);
    }
}

#[test]
#[ignore = "needs Xen"]
fn the_limit_of_shared_pages_is_named() {
    let gntalloc = Gntalloc::open().expect("the sharing device");
    let error = gntalloc.share(own(), 2000).expect_err("more than the limit of 1024");
    assert!(error.to_string().contains("xen_gntalloc.limit"), "{error}");
    assert_eq!(gntalloc.share(own(), 900).expect("within the limit").pages(), 900);
    let error = gnttab().map(own(), &vec![GrantRef::new(8); 70_000]).expect_err("more than 65536");
    assert!(error.to_string().contains("xen_gntdev.limit"), "{error}");
}
