//! Creating domains on real Xen.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use common::{output, xenctrl, xl_list};
use xen_ctrl::domain::{CreateDomain, DomainFlags, DomainKind, DomainList, GrantVersion, Uuid};
use xen_ctrl::host::HostCapabilities;
use xen_ctrl::{DomId, Error, Xenctrl};

const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

/// The kinds that this host can run.
fn kinds(xen: &Xenctrl) -> Vec<DomainKind> {
    let capabilities = xen.host().info().expect("the host").capabilities;
    let mut kinds = vec![DomainKind::Hvm];
    if cfg!(target_arch = "x86_64") {
        kinds.push(DomainKind::Pv);
        if capabilities.contains(HostCapabilities::SHADOW) {
            kinds.push(DomainKind::HvmShadow);
        }
    }
    kinds
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_new_domain_is_as_it_was_asked_for_and_ends_when_dropped() {
    let xen = xenctrl();
    for kind in kinds(&xen) {
        let uuid = Uuid(*b"a newborn domain");
        let options = CreateDomain::new(kind).uuid(uuid).max_vcpus(2).max_port(20).max_grant_frames(7);
        let domain = xen.create_domain(&options).expect("created");
        let info = domain.info().expect("there");
        assert_eq!((info.uuid, info.max_vcpu, info.cpupool), (uuid, None, Some(0)), "{kind:?}");
        assert!(info.flags.contains(DomainFlags::PAUSED), "{kind:?}: {info:?}");
        let is_hvm = info.flags.contains(DomainFlags::HVM_GUEST);
        assert_eq!(is_hvm, kind != DomainKind::Pv);
        if cfg!(target_arch = "x86_64") {
            assert_eq!(info.flags.contains(DomainFlags::HAP), kind == DomainKind::Hvm, "{info:?}");
        }
        assert_eq!(&xl_list(domain.id())[4][2..3], "p", "xl sees it too");

        assert_eq!(domain.set_max_vcpus(3).expect_err("made for two").errno(), Some(EINVAL));
        domain.set_max_vcpus(2).expect("vCPUs");
        assert_eq!(domain.info().expect("there").max_vcpu, Some(1));
        assert_eq!(domain.grant_table_size().expect("there").max_frames, 7);
        let mut ports = BTreeSet::new();
        let full = loop {
            match domain.alloc_unbound(DomId::ZERO) {
                Ok(port) => assert!(ports.insert(port.get()), "{port} twice"),
                Err(error) => break error,
            }
        };
        assert_eq!((full.errno(), ports.last()), (Some(ENOSPC), Some(&20)), "max_port");

        let id = domain.id();
        drop(domain);
        let error = xen.domain(id).info().expect_err("it ended");
        assert!(matches!(error, Error::NoSuchDomain { .. }), "{kind:?}: {error}");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_number_can_be_asked_for_once_and_kept() {
    let xen = xenctrl();
    let id = DomId::new(12_345).expect("an ordinary number");
    let options = CreateDomain::default().id(id);
    let kept = xen.create_domain(&options).expect("created").keep();
    assert_eq!(kept.id(), id);
    let error = xen.create_domain(&options).expect_err("the number is taken");
    assert_eq!(error.errno(), Some(EEXIST), "{error}");
    kept.info().expect("it outlives what is returned");
    kept.destroy().expect("destroyed");
    xen.create_domain(&options).expect("free again").destroy().expect("destroyed");
}

#[test]
#[ignore = "needs Xen dom0"]
fn what_this_hypervisor_has_not_is_refused() {
    let xen = xenctrl();
    let minor = xen.version().minor;
    let options = CreateDomain::default();

    let shadow = xen.create_domain(&CreateDomain::new(DomainKind::HvmShadow));
    if !kinds(&xen).contains(&DomainKind::HvmShadow) {
        let error = shadow.expect_err("no shadow paging");
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    }
    let second = xen.create_domain(&options.clone().grant_version(GrantVersion::V2));
    let host = xen.host().info().expect("the host").capabilities;
    if minor < 16 {
        let error = second.expect_err("nothing to say it with");
        assert!(matches!(error, Error::Unsupported { needs: Some(_), .. }), "{error:?}");
    } else if host.contains(HostCapabilities::GNTTAB_V2) {
        assert_eq!(second.expect("allowed").grant_version().expect("there"), GrantVersion::V1, "at first");
    } else {
        assert_eq!(second.expect_err("forbidden on this host").errno(), Some(EINVAL));
    }
    let pool = xen.create_domain(&options.clone().cpupool(0));
    if minor < 17 {
        assert!(matches!(pool.expect_err("too old"), Error::Unsupported { .. }));
    } else {
        assert_eq!(pool.expect("the first one").info().expect("there").cpupool, Some(0));
    }
    let none = xen.create_domain(&options.max_vcpus(0)).expect_err("no vCPU");
    assert_eq!(none.errno(), Some(EINVAL), "{none}");
}

#[test]
#[ignore = "needs Xen dom0"]
#[cfg(target_arch = "aarch64")]
fn xen_tells_which_interrupt_controller_it_chose() {
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::default()).expect("created");
    let interrupts = std::fs::read_to_string("/proc/interrupts").expect("dom0's own controller");
    let is_third = interrupts.contains("GICv3");
    let expected = if is_third { xen_ctrl::domain::Gic::V3 } else { xen_ctrl::domain::Gic::V2 };
    assert_eq!(domain.gic(), Some(expected));
}

/// How many domains come and go.
const COMING: u16 = 50;
/// How many of them are there at the same time.
const TOGETHER: usize = 3;

/// A UUID by which a domain of this test is known: its turn.
fn uuid_of(turn: u16) -> Uuid {
    let mut uuid = *b"coming and going";
    uuid[14..].copy_from_slice(&turn.to_be_bytes());
    Uuid(uuid)
}

fn turn_of(uuid: Uuid) -> Option<u16> {
    let turn = u16::from_be_bytes(uuid.0[14..].try_into().expect("2 bytes"));
    (uuid == uuid_of(turn)).then_some(turn)
}

/// Creates domains, and destroys each some turns later. Tells which number each of them had.
fn come_and_go(xen: &Xenctrl) -> BTreeMap<u16, DomId> {
    let mut numbers = BTreeMap::new();
    let mut alive = Vec::new();
    for turn in 0..COMING {
        let domain = xen.create_domain(&CreateDomain::default().uuid(uuid_of(turn))).expect("created");
        numbers.insert(turn, domain.id());
        alive.push(domain);
        if alive.len() > TOGETHER {
            alive.remove(0).destroy().expect("destroyed");
        }
        thread::yield_now();
    }
    numbers
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_list_is_right_while_domains_come_and_go() {
    let xen = xenctrl();
    let stays = xen.create_domain(&CreateDomain::default().uuid(uuid_of(u16::MAX))).expect("created");
    let mut list = DomainList::new(&xen).expect("memory");
    let mut readings = Vec::new();
    let numbers = thread::scope(|scope| {
        let others = scope.spawn(|| come_and_go(&xen));
        while !others.is_finished() {
            readings.push(list.read().expect("a list"));
            thread::yield_now();
        }
        others.join().expect("all came and went")
    });

    let mut seen = BTreeSet::new();
    for reading in &readings {
        let ids: Vec<DomId> = reading.iter().map(|info| info.id).collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "sorted, and none twice: {ids:?}");
        assert!(ids.contains(&DomId::ZERO) && ids.contains(&stays.id()), "{ids:?}");
        for info in reading {
            let Some(turn) = turn_of(info.uuid).filter(|turn| *turn != u16::MAX) else { continue };
            assert_eq!(numbers.get(&turn), Some(&info.id), "turn {turn} had this number");
            assert_eq!((info.max_vcpu, info.pages), (None, 0), "{info:?}");
            seen.insert(turn);
        }
    }
    println!("{} readings, which saw {} of {COMING} domains", readings.len(), seen.len());
    assert!(seen.len() >= usize::from(COMING) / 5, "only {seen:?} were seen");
    let after = list.read().expect("a list");
    assert_eq!(after.iter().filter_map(|info| turn_of(info.uuid)).collect::<Vec<_>>(), [u16::MAX]);
    let xl = output("xl", &["list"]);
    let number = |line: &str| line.split_whitespace().nth(1)?.parse::<DomId>().ok();
    assert!(xl.lines().filter_map(number).any(|id| id == stays.id()), "{xl}");
}
