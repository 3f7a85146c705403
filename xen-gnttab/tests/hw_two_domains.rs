//! dom0 and a guest, on real Xen: what one side does, the other one sees.

mod common;

use common::{MiniGuest, command, guest, word};
use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;
use xen_evtchn::Evtchn;
use xen_gnttab::{CopySegment, DomId, Error, Gnttab, Grant, GrantRef, GrantStatus, Port};

/// For what is certain to come: a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);
const READING: u32 = 8;
const WRITING: u32 = 16;

fn gnttab() -> Gnttab {
    Gnttab::open().expect("the grant device")
}

#[test]
#[ignore = "needs Xen dom0"]
fn events_and_memory_reach_the_guest_and_come_back() {
    let mini = MiniGuest::shared();
    assert_eq!(&mini.control.read::<[u8; 4]>(word::MAGIC).expect("inside"), b"MINI");
    let before = mini.word(word::EVENTS);
    for round in 1..=200 {
        mini.channel.notify().expect("sent");
        assert!(mini.take(PATIENCE), "round {round}");
        assert_eq!(mini.word(word::EVENTS), before + round);
    }
    assert_eq!(mini.command(command::FILL, 0x5a), 0);
    let page = gnttab().map(mini.domain, &mini.pool[..1]).expect("mapped");
    let mut bytes = [0; 4096];
    page.copy_to_slice(0, &mut bytes).expect("inside");
    assert_eq!(bytes, [0x5a; 4096], "the guest wrote, we read");
    assert_eq!(mini.command(command::SEND, 25), 0);
    mini.settle();
}

#[test]
#[ignore = "needs Xen dom0"]
fn hundreds_of_pages_are_mapped_at_once() {
    let mini = MiniGuest::shared();
    let pool = gnttab().map(mini.domain, &mini.pool).expect("mapped");
    assert_eq!(pool.len(), mini.pool.len() * 4096);
    for index in 0..pool.pages() {
        assert_eq!(pool.read::<u64>(index * 4096).expect("inside"), index as u64);
    }
    // Across a page border, both ways.
    let text: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    pool.copy_from_slice(4096 * 7 - 5, &text).expect("inside");
    let mut back = vec![0; text.len()];
    let again = gnttab().map_read_only(mini.domain, &mini.pool[6..10]).expect("mapped twice");
    again.copy_to_slice(4096 - 5, &mut back).expect("inside");
    assert_eq!(back, text, "another mapping of the same grants sees it");
    assert!(pool.read::<u64>(pool.len() - 7).is_err());
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_guest_sees_its_page_mapped_and_unmapped() {
    let mini = MiniGuest::shared();
    let mapping = gnttab().map_read_only(mini.domain, &[mini.read_only]).expect("mapped");
    let expected: Vec<u8> = (0..=255).cycle().take(4096).collect();
    let mut bytes = vec![0; 4096];
    mapping.copy_to_slice(0, &mut bytes).expect("inside");
    assert_eq!(bytes, expected);
    let flags = mini.command(command::REVOKE, 0);
    assert_eq!(flags & (READING | WRITING), READING, "in use: {flags:#x}");
    assert_eq!(mini.command(command::GRANT_AGAIN, 0), 0);
    drop(mapping);
    let flags = mini.command(command::REVOKE, 0);
    assert_eq!(flags & (READING | WRITING), 0, "dropping the mapping unmaps it: {flags:#x}");
    let error = gnttab().map_read_only(mini.domain, &[mini.read_only]).expect_err("revoked");
    assert!(matches!(error, Error::Grant { index: 0, status: GrantStatus::GENERAL_ERROR, .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_grant_that_fails_is_named() {
    let mini = MiniGuest::shared();
    let error = gnttab().map(mini.domain, &[mini.read_only]).expect_err("read-only");
    assert!(
        matches!(error, Error::Grant { index: 0, status: GrantStatus::PERMISSION_DENIED, .. }),
        "{error:?}"
    );
    for place in [0, 1, 37, 63] {
        let mut list = mini.pool[..64].to_vec();
        list[place] = mini.read_only;
        let error = gnttab().map(mini.domain, &list).expect_err("one is read-only");
        let Error::Grant { index, grant, status, .. } = error else { panic!("{error:?}") };
        assert_eq!(
            (index, grant.reference(), status),
            (place, mini.read_only, GrantStatus::PERMISSION_DENIED)
        );
        list[place] = GrantRef::new(1_000_000);
        let error = gnttab().map_read_only(mini.domain, &list).expect_err("one does not exist");
        assert!(
            matches!(error, Error::Grant { index, status: GrantStatus::BAD_GRANT_REF, .. } if index == place),
            "{error:?}"
        );
    }
    let nobody = DomId::new(4321).expect("a number");
    let grants = [Grant::new(mini.domain, mini.pool[0]), Grant::new(nobody, GrantRef::new(8))];
    let error = gnttab().options().map(&grants).expect_err("no such domain");
    assert!(matches!(error, Error::Grant { index: 1, status: GrantStatus::BAD_DOMAIN, .. }), "{error:?}");
    drop(gnttab().map(mini.domain, &mini.pool).expect("and nothing is left mapped or lost"));
}

/// The grants of a domain that Xen says are mapped: debug key `g` lists every grant in use.
fn grants_in_use_by_xens_account(domain: DomId) -> usize {
    let run = |arguments: &[&str]| {
        let output = Command::new("xl").args(arguments).output().expect("xl");
        assert!(output.status.success(), "xl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    run(&["dmesg", "-c"]);
    run(&["debug-keys", "g"]);
    let text = run(&["dmesg"]);
    assert!(text.contains("gnttab_usage_print_all ] done"), "Xen lists before the order returns: {text}");
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if line.contains("grant-table for remote") {
            inside = line.split(|c: char| !c.is_ascii_digit()).any(|word| word == domain.to_string());
        }
        inside && line.contains("[0x")
    });
    lines.count()
}

#[test]
#[ignore = "needs Xen dom0"]
fn xens_own_account_agrees() {
    let mini = MiniGuest::shared();
    let before = grants_in_use_by_xens_account(mini.domain);
    let mapping = gnttab().map(mini.domain, &mini.pool[10..30]).expect("mapped");
    assert_eq!(grants_in_use_by_xens_account(mini.domain), before + 20);
    drop(mapping);
    assert_eq!(
        grants_in_use_by_xens_account(mini.domain),
        before,
        "dropping unmaps, with the device still open"
    );
}

#[test]
#[ignore = "needs Xen dom0"]
fn copies_go_both_ways_and_between_grants() {
    let mini = MiniGuest::shared();
    let grant = |index: usize| Grant::new(mini.domain, mini.pool[index]);
    let gnttab = gnttab();
    let mapping = gnttab.map(mini.domain, &mini.pool).expect("mapped");

    let text: Vec<u8> = (0..=255).cycle().skip(3).take(256 * 4096).collect();
    let mut to: Vec<_> = text
        .chunks(4096)
        .enumerate()
        .map(|(index, page)| CopySegment::to_grant(page, grant(index), 0).expect("a page"))
        .collect();
    gnttab.copy(&mut to).expect("copied");
    let mut seen = vec![0; text.len()];
    mapping.copy_to_slice(0, &mut seen).expect("inside");
    assert_eq!(seen, text, "the mapping sees what was copied");

    let mut back = vec![0; text.len()];
    let mut from: Vec<_> = back
        .chunks_mut(4096)
        .enumerate()
        .map(|(index, page)| CopySegment::from_grant(grant(index), 0, page).expect("a page"))
        .collect();
    gnttab.copy(&mut from).expect("copied");
    assert!(from.iter().all(|segment| segment.status().is_okay()));
    drop(from);
    assert_eq!(back, text);

    let mut odd = [0; 33];
    let mut mixed = [
        CopySegment::between((grant(0), 4000), (grant(300), 7), 96).expect("inside"),
        CopySegment::from_grant(grant(300), 7, &mut odd).expect("inside"),
        CopySegment::to_grant(b"unaligned", grant(301), 4087).expect("inside"),
    ];
    gnttab.copy(&mut mixed).expect("copied, in order");
    assert_eq!(odd, text[4000..4033]);
    assert_eq!(&mapping.read::<[u8; 9]>(302 * 4096 - 9).expect("inside"), b"unaligned");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_copy_that_fails_in_part_says_where() {
    let mini = MiniGuest::shared();
    let (mut first, mut second, mut third) = ([1; 64], [1; 64], [1; 64]);
    let good = Grant::new(mini.domain, mini.read_only);
    let bad = Grant::new(mini.domain, GrantRef::new(1_000_000));
    let mut segments = [
        CopySegment::from_grant(good, 0, &mut first).expect("inside"),
        CopySegment::from_grant(bad, 0, &mut second).expect("inside"),
        CopySegment::from_grant(good, 64, &mut third).expect("inside"),
    ];
    let error = gnttab().copy(&mut segments).expect_err("the second is bad");
    assert!(
        matches!(error, Error::Copy { failed: 1, count: 3, first: 1, status: GrantStatus::BAD_GRANT_REF }),
        "{error:?}"
    );
    assert_eq!((first[63], second[63], third[63]), (63, 1, 127), "all others are done");
    let mut to = [CopySegment::to_grant(&[9; 8], good, 0).expect("inside")];
    let error = gnttab().copy(&mut to).expect_err("read-only");
    assert!(matches!(error, Error::Copy { failed: 1, .. }), "{error:?}");
    let mapping = gnttab().map_read_only(mini.domain, &[mini.read_only]).expect("mapped");
    assert_eq!(mapping.read::<u8>(7).expect("inside"), 7, "and untouched");
}

#[test]
#[ignore = "needs Xen dom0"]
fn hundreds_of_ports_of_a_guest_are_taken_in_one_batch() {
    const PORTS: usize = 700;
    let mini = MiniGuest::shared();
    assert_eq!(mini.command(command::OFFER_PORTS, 700), 700);
    let evtchn = Evtchn::open().expect("the event channel device");
    let remote: [u32; PORTS] = mini.control.read(word::EXTRA_PORTS).expect("inside");
    let channels: Vec<_> = remote
        .iter()
        .map(|&port| evtchn.bind_interdomain(mini.domain, Port::new(port)).expect("bound"))
        .collect();
    let local: BTreeSet<_> = channels.iter().map(xen_evtchn::EventChannel::port).collect();
    let mut ports = [Port::default(); 1024];
    let mut take = |what: &str| {
        let mut seen = BTreeSet::new();
        let mut reads = 0;
        while seen.len() < PORTS {
            assert!(evtchn.wait(Some(PATIENCE)).expect("wait"), "{what}: {} of {PORTS}", seen.len());
            let count = evtchn.pending(&mut ports).expect("ports");
            seen.extend(&ports[..count]);
            reads += 1;
        }
        assert_eq!(seen, local);
        evtchn.unmask(&seen.into_iter().collect::<Vec<_>>()).expect("unmasked");
        reads
    };
    take("the events that binding causes");
    assert_eq!(mini.command(command::SEND_ON_EXTRA_PORTS, 0), 0);
    assert!(take("one event on each port") < 20, "in batches");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_far_end_that_goes_away_says_nothing() {
    let mini = MiniGuest::start("away");
    assert_eq!(mini.command(command::CLOSE_PORT, 0), 0);
    mini.channel.notify().expect("nobody is there, and nobody says so");
    assert!(!mini.take(Duration::from_millis(200)));
    let error = mini.evtchn.bind_interdomain(mini.domain, mini.port).expect_err("closed");
    assert!(error.to_string().contains("it does not exist"), "{error}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_outlives_its_domain() {
    let mini = MiniGuest::start("crash");
    let pool = gnttab().map(mini.domain, &mini.pool[..4]).expect("mapped");
    pool.write(100, &0x1234_5678_u32).expect("inside");
    mini.order(command::CRASH, 0);
    std::thread::sleep(Duration::from_millis(100));
    guest(&["stop", "crash"]);
    assert_eq!(pool.read::<u32>(100).expect("inside"), 0x1234_5678, "no fault, no other memory");
    drop(pool);
    // The control page is still mapped, which keeps what is left of the domain in Xen.
    let error = gnttab().map(mini.domain, &mini.pool[..1]).expect_err("the domain is dying");
    assert!(matches!(error, Error::Grant { index: 0, .. }), "{error:?}");
}
