//! What is set on domains, and done to them, on real Xen: its effect, seen from elsewhere.

mod common;

use std::time::Duration;

use common::{output, xenctrl};
use xen_ctrl::bitmap::NodeMap;
use xen_ctrl::domain::{
    Binding, CreateDomain, CreatedDomain, DomainFlags, DomainKind, GrantVersion, ShutdownReason, Trigger,
    VirtualNode,
};
use xen_ctrl::{DomId, Error, VcpuId, Virq, Xenctrl};
use xen_evtchn::Evtchn;

const ESRCH: i32 = 3;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

const SOON: Option<Duration> = Some(Duration::from_secs(60));
const NOT_NOW: Option<Duration> = Some(Duration::from_millis(300));

/// A domain with `vcpus` vCPUs and nothing else.
fn bare(xen: &Xenctrl, kind: DomainKind, vcpus: u32) -> CreatedDomain<'_> {
    let domain = xen.create_domain(&CreateDomain::new(kind).max_vcpus(vcpus)).expect("created");
    domain.set_max_vcpus(vcpus).expect("vCPUs");
    domain
}

/// The kind whose frames are the host's, where there is one.
fn plain_kind() -> DomainKind {
    if cfg!(target_arch = "x86_64") { DomainKind::Pv } else { DomainKind::Hvm }
}

/// What Xen says when a debug key is pressed.
fn after_key(key: &str) -> String {
    output("xl", &["dmesg", "-c"]);
    output("xl", &["debug-keys", key]);
    output("xl", &["dmesg"])
}

fn is_unsupported<T: std::fmt::Debug>(answer: Result<T, Error>) -> bool {
    matches!(answer.expect_err("this machine cannot do it"), Error::Unsupported { .. })
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_shutdown_has_a_reason_and_a_subscriber_hears_of_a_suspend() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 1);
    let evtchn = Evtchn::open().expect("the device");
    let port = domain.alloc_unbound(DomId::ZERO).expect("a port");
    let Binding::Unbound { remote: Some(DomId::ZERO) } = domain.port_info(port).expect("there").binding
    else {
        panic!("{:?}", domain.port_info(port));
    };
    let channel = evtchn.bind_interdomain(domain.id(), port).expect("bound");
    let connected = Binding::Interdomain { remote: DomId::ZERO, port: channel.port() };
    assert_eq!(domain.port_info(port).expect("there").binding, connected);
    while evtchn.wait(NOT_NOW).expect("waited") {
        let port = evtchn.pending_one().expect("read").expect("one");
        evtchn.unmask(&[port]).expect("unmasked"); // binding raises one
    }
    domain.subscribe_suspend(port).expect("subscribed");

    assert_eq!(domain.info().expect("there").shutdown_reason, None);
    domain.shutdown(ShutdownReason::Suspend).expect("shut down");
    assert!(evtchn.wait(SOON).expect("waited"), "the event of the subscription");
    assert_eq!(evtchn.pending_one().expect("read"), Some(channel.port()));
    assert_eq!(domain.info().expect("there").shutdown_reason, Some(ShutdownReason::Suspend));
    domain.resume().expect("resumed");
    assert_eq!(domain.info().expect("there").shutdown_reason, None);
    for reason in [ShutdownReason::PowerOff, ShutdownReason::Crash, ShutdownReason::Other(77)] {
        domain.shutdown(reason).expect("shut down");
        assert_eq!(domain.info().expect("there").shutdown_reason, Some(reason));
        domain.resume().expect("resumed");
    }

    domain.reset_ports().expect("reset");
    assert_eq!(domain.port_info(port).expect("there").binding, Binding::Closed);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_soft_reset_closes_ports_of_a_domain_that_has_shut_down() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 1);
    if cfg!(target_arch = "aarch64") {
        assert_eq!(domain.soft_reset().expect_err("it runs").errno(), Some(EINVAL));
        return;
    }
    let port = domain.alloc_unbound(DomId::ZERO).expect("a port");
    assert_eq!(domain.soft_reset().expect_err("it has not shut down").errno(), Some(EINVAL));
    domain.shutdown(ShutdownReason::SoftReset).expect("shut down");
    domain.soft_reset().expect("reset");
    assert_eq!(domain.port_info(port).expect("there").binding, Binding::Closed);
    assert!(!domain.info().expect("there").flags.contains(DomainFlags::SHUTDOWN), "it can begin again");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_virtual_interrupt_goes_to_the_domain_that_handles_it() {
    let xen = xenctrl();
    // which is what binds it in dom0
    let interrupts = || -> u64 {
        let text = std::fs::read_to_string("/proc/interrupts").expect("the kernel's account");
        let lines = text.lines().filter(|line| line.contains("evtchn:xenconsoled"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    let is_raised = || {
        let before = interrupts();
        output("xl", &["debug-keys", "h"]);
        let has_come = |_| {
            std::thread::sleep(Duration::from_millis(100));
            interrupts() > before
        };
        (0..20).any(has_come)
    };
    if !is_raised() {
        println!("skipped: xenconsoled does not listen to Xen's console");
        return;
    }
    let domain = bare(&xen, DomainKind::Hvm, 1);
    domain.set_virq_handler(Virq::CON_RING).expect("handled there");
    assert!(!is_raised(), "it goes elsewhere");
    assert_eq!(domain.set_virq_handler(Virq::TIMER).expect_err("not global").errno(), Some(EINVAL));
    domain.destroy().expect("destroyed");
    assert!(is_raised(), "and comes back");
}

#[test]
#[ignore = "needs Xen dom0"]
#[cfg(target_arch = "x86_64")]
fn a_time_offset_shows_in_the_domains_clock() {
    /// Where the shared page has the seconds of the clock.
    const SECONDS: usize = 3076;
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Pv, 1);
    let frame = xen_ctrl::Gfn::new(domain.info().expect("there").shared_info_frame);
    let memory = xen_ctrl::ForeignMemory::open().expect("the device");
    let page = memory.map_read_only(domain.id(), &[frame]).expect("its shared page");
    let clock = || i64::from(page.load_u32(SECONDS).expect("in the page"));
    domain.set_time_offset(0).expect("set");
    let before = clock();
    for offset in [3600, -7200] {
        domain.set_time_offset(offset).expect("set");
        let ahead = clock() - before;
        assert!((offset..offset + 60).contains(&ahead), "{ahead} s instead of {offset} s");
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_time_stamp_counter_is_as_set() {
    use xen_ctrl::domain::{TscInfo, TscMode};
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 1);
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(domain.tsc_info()), "there is none on Arm");
        return;
    }
    let first = domain.tsc_info().expect("there");
    assert_eq!(first.mode, TscMode::Default, "{first:?}");
    let age = Duration::from_secs(5000);
    let tsc = TscInfo { mode: TscMode::AlwaysEmulate, khz: 1_234_567, incarnation: 3, elapsed: age };
    domain.set_tsc_info(tsc).expect("set");
    let after = domain.tsc_info().expect("there");
    assert_eq!((after.mode, after.khz, after.incarnation), (tsc.mode, tsc.khz, 4), "one more");
    assert!((age..age + Duration::from_secs(60)).contains(&after.elapsed), "{after:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_debugger_and_a_target_show() {
    let xen = xenctrl();
    let (first, second) = (bare(&xen, DomainKind::Hvm, 1), bare(&xen, DomainKind::Hvm, 1));
    let is_debugged = || first.info().expect("there").flags.contains(DomainFlags::DEBUGGED);
    assert!(!is_debugged());
    first.set_debugging(true).expect("debugged");
    assert!(is_debugged());
    first.set_debugging(false).expect("no longer");
    assert!(!is_debugged());

    let own = first.set_target(first.id()).expect_err("itself");
    assert_eq!(own.errno(), Some(EINVAL), "{own}");
    first.set_target(second.id()).expect("a target");
    assert_eq!(first.set_target(second.id()).expect_err("it has one").errno(), Some(EINVAL));
    let nobody = DomId::new(4321).expect("an ordinary number");
    assert!(matches!(second.set_target(nobody).expect_err("nobody"), Error::NoSuchDomain { .. }));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_trigger_needs_a_vcpu() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 1);
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(domain.send_trigger(Trigger::Nmi, VcpuId::new(0))));
        return;
    }
    domain.send_trigger(Trigger::Nmi, VcpuId::new(0)).expect("sent");
    let error = domain.send_trigger(Trigger::Nmi, VcpuId::new(7)).expect_err("no such vCPU");
    assert!(matches!(error, Error::Refused { .. }) && error.errno() == Some(ESRCH), "{error:?}");
    let nobody = xen.domain(DomId::new(4321).expect("an ordinary number"));
    let error = nobody.send_trigger(Trigger::Nmi, VcpuId::new(0)).expect_err("no such domain");
    assert!(matches!(error, Error::NoSuchDomain { .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_width_of_a_guest_gives_its_protocol() {
    use xen_ctrl::domain::GuestWidth;
    let xen = xenctrl();
    let domain = xen.create_domain(&CreateDomain::new(plain_kind())).expect("created");
    if cfg!(target_arch = "aarch64") {
        assert!(is_unsupported(domain.guest_width()));
        assert_eq!(domain.native_protocol().expect("one for all"), "arm-abi");
        return;
    }
    assert_eq!(domain.guest_width().expect("there"), GuestWidth::Bits64);
    assert_eq!(domain.native_protocol().expect("there"), "x86_64-abi");
    match domain.set_guest_width(GuestWidth::Bits32) {
        Ok(()) => {
            assert_eq!(domain.guest_width().expect("there"), GuestWidth::Bits32);
            assert_eq!(domain.native_protocol().expect("there"), "x86_32-abi");
        }
        Err(error) => {
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            println!("skipped: this Xen runs no PV domains of 32 bits");
        }
    }
}

#[test]
#[ignore = "needs Xen dom0"]
fn memory_for_page_tables_is_as_set() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 1);
    if xen.version().minor < 17 {
        let error = domain.paging_memory().expect_err("too old");
        assert!(matches!(error, Error::Unsupported { needs: Some(_), .. }), "{error:?}");
        return;
    }
    let before = domain.paging_memory().expect("there");
    let free = || xen.host().info().expect("the host").free_pages;
    let free_before = free();
    domain.set_paging_memory(before + (4 << 20)).expect("more");
    assert_eq!(domain.paging_memory().expect("there"), before + (4 << 20));
    // domains of earlier tests are being freed meanwhile
    assert!(free() + 500 < free_before, "about 1024 pages are taken: {free_before} -> {}", free());
    assert_eq!(domain.set_paging_memory(before + 1).expect_err("no whole page").errno(), Some(EINVAL));
}

#[test]
#[ignore = "needs Xen dom0"]
fn nodes_are_preferred_and_shown() {
    let xen = xenctrl();
    let domain = bare(&xen, DomainKind::Hvm, 2);
    let zero: NodeMap = [0].into_iter().collect();
    domain.set_node_affinity(&zero).expect("the only one");
    assert_eq!(domain.node_affinity().expect("there"), zero);
    let far: NodeMap = [60].into_iter().collect();
    assert_eq!(domain.set_node_affinity(&far).expect_err("no such node").errno(), Some(EINVAL));

    let node =
        |vcpu, memory| VirtualNode { physical: 0, memory: vec![memory], vcpus: vec![VcpuId::new(vcpu)] };
    let nodes = [node(0, 0..32 << 20), node(1, 32 << 20..64 << 20)];
    domain.set_vnuma(&nodes, |from, to| if from == to { 10 } else { 23 }).expect("set");
    if cfg!(target_arch = "x86_64") {
        let said = after_key("u");
        assert!(said.contains("2 vnodes, 2 vcpus"), "{said}");
        assert!(said.contains("0000000000000000 - 0000000002000000"), "{said}");
    }
    let one = [node(0, 0..32 << 20)];
    assert_eq!(domain.set_vnuma(&one, |_, _| 10).expect_err("a vCPU is in none").errno(), Some(EINVAL));
    assert_eq!(domain.set_vnuma(&[], |_, _| 10).expect_err("no node").errno(), Some(EINVAL));
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_grant_table_grows_and_its_frames_are_those_of_the_resource() {
    use xen_foreignmem::{ForeignMemory, GrantTableFrames, Resource};
    let xen = xenctrl();
    let domain = bare(&xen, plain_kind(), 1);
    assert_eq!(domain.grant_version().expect("there"), GrantVersion::V1);
    let frames = domain.grant_table_frames(3).expect("three");
    assert_eq!(frames.len(), 3);
    let size = domain.grant_table_size().expect("there");
    assert!(size.frames >= 3 && size.max_frames >= size.frames, "{size:?}");
    let many = usize::try_from(size.max_frames).expect("a number") + 1;
    assert_eq!(domain.grant_table_frames(many).expect_err("too many").errno(), Some(EINVAL));
    if cfg!(target_arch = "aarch64") {
        return; // the domain has not mapped it, so that its frames have no number
    }
    let memory = ForeignMemory::open().expect("the device");
    let resource = memory.map_resource(domain.id(), Resource::GrantTable(GrantTableFrames::Shared), 2, 1);
    let resource = resource.expect("the third frame");
    let third = memory.map(domain.id(), &frames[2..]).expect("the same");
    third.write(64, &0xfeed_u32).expect("in the page");
    assert_eq!(resource.load_u32(64).expect("in the page"), 0xfeed);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_has_two_watchdogs() {
    let xen = xenctrl();
    let hour = Duration::from_secs(3600);
    let first = xen.start_watchdog(hour).expect("one");
    let second = xen.start_watchdog(hour).expect("two");
    assert_eq!(xen.start_watchdog(hour).expect_err("no third").errno(), Some(ENOSPC));
    first.feed(hour).expect("fed");
    first.stop().expect("stopped");
    let third = xen.start_watchdog(hour).expect("room again");
    third.stop().expect("stopped");
    second.stop().expect("stopped");
}
