//! Domains on real Xen, compared with what `xl` says.

mod common;

use std::thread;
use std::time::Duration;

use common::{Guest, output, xenctrl, xl_info, xl_list};
use xen_ctrl::domain::{DomainFlags, DomainInfo, DomainList, Uuid};
use xen_ctrl::{DomId, Error};

#[test]
#[ignore = "needs Xen dom0"]
fn the_interface_of_this_hypervisor_is_found() {
    let xen = xenctrl();
    let info = xl_info();
    assert_eq!(xen.version().to_string(), format!("{}.{}", info["xen_major"], info["xen_minor"]));
    let released = match xen.version().minor {
        14 => (0x12, 0x13),
        17 => (0x15, 0x15),
        20 => (0x17, 0x15),
        other => panic!("a version that is not in the test's table: 4.{other}"),
    };
    let abi = xen.abi().expect("asked for");
    assert_eq!((abi.domctl, abi.sysctl), released);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_guest_is_described_as_xl_does_and_paused_and_named_and_destroyed() {
    let xen = xenctrl();
    let guest = Guest::start("described");
    let domain = guest.domain(&xen);
    // its vCPU may wait for its first turn
    let has_run = |info: &DomainInfo| !info.cpu_time.is_zero();
    let mut infos = (0..6000).map(|_| {
        thread::sleep(Duration::from_millis(10));
        domain.info().expect("it is there")
    });
    let info = infos.find(has_run).expect("it runs");

    let columns = xl_list(guest.id);
    assert_eq!(columns[1], guest.id.to_string());
    assert_eq!(columns[3], info.online_vcpus.to_string());
    assert_eq!((info.id, info.max_vcpu, info.cpupool), (guest.id, Some(0), Some(0)));
    let is_hvm = info.flags.contains(DomainFlags::HVM_GUEST);
    assert_eq!(is_hvm, cfg!(target_arch = "aarch64"), "a PV guest on x86: {info:?}");
    assert!(info.pages > 0 && info.pages <= info.max_pages, "{info:?}");
    let long = output("xl", &["list", "-l", &guest.id.to_string()]);
    assert!(long.contains(&info.uuid.to_string()), "{} in {long}", info.uuid);

    domain.pause().expect("paused");
    assert!(domain.info().expect("there").flags.contains(DomainFlags::PAUSED));
    assert_eq!(&xl_list(guest.id)[4][2..3], "p", "xl's third letter");
    domain.unpause().expect("running again");
    assert!(!domain.info().expect("there").flags.contains(DomainFlags::PAUSED));
    assert_eq!(domain.unpause().expect_err("it is not paused").errno(), Some(22));

    let uuid = Uuid([7; 16]);
    domain.set_uuid(uuid).expect("named");
    assert_eq!(domain.info().expect("there").uuid, uuid);
    domain.set_max_memory(200 << 10).expect("limited");
    assert_eq!(domain.info().expect("there").max_pages, (200 << 20) / 4096);
    output("xl", &["destroy", &guest.id.to_string()]);
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_list_has_every_domain_once() {
    let xen = xenctrl();
    let guest = Guest::start("listed");
    let mut list = DomainList::new(&xen).expect("memory");
    let domains = list.read().expect("a list");
    let ids: Vec<_> = domains.iter().map(|info| info.id).collect();
    assert_eq!(ids.first(), Some(&DomId::ZERO));
    assert!(ids.contains(&guest.id) && ids.is_sorted(), "{ids:?}");
    let xls: Vec<String> = output("xl", &["list"])
        .lines()
        .skip(1)
        .filter_map(|line| Some(line.split_whitespace().nth(1)?.to_owned()))
        .collect();
    assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), xls);
    let listed = domains.iter().find(|info| info.id == guest.id).expect("just seen");
    let asked = guest.domain(&xen).info().expect("there");
    assert_eq!((listed.uuid, listed.max_pages), (asked.uuid, asked.max_pages), "the stride is right");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_that_is_not_there_is_named() {
    let xen = xenctrl();
    let id = DomId::new(4321).expect("an ordinary number");
    for error in [
        xen.domain(id).info().expect_err("no such domain"),
        xen.domain(id).pause().expect_err("no such domain"),
    ] {
        assert!(matches!(error, Error::NoSuchDomain { domain, .. } if domain == id), "{error:?}");
        assert!(error.to_string().contains("there is no domain 4321"), "{error}");
    }
    let error = xen.domain(DomId::ZERO).pause().expect_err("nobody pauses himself");
    assert_eq!(error.errno(), Some(22), "{error}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_host_is_described_as_xl_does() {
    let xen = xenctrl();
    let host = xen.host().info().expect("it is there");
    let info = xl_info();
    assert_eq!(host.cpus.to_string(), info["nr_cpus"]);
    assert_eq!(host.nodes.to_string(), info["nr_nodes"]);
    assert_eq!(host.threads_per_core.to_string(), info["threads_per_core"]);
    assert_eq!((host.pages / 256).to_string(), info["total_memory"]);
    assert!((host.free_pages / 256).abs_diff(info["free_memory"].parse().expect("MiB")) <= 1, "{host:?}");
    assert!(host.max_frame.get() > 0);
    let words = host.hardware_capabilities.map(|word| format!("{word:08x}")).join(":");
    assert_eq!(words, info["hw_caps"]);
}
