//! Cpupools on real Xen. The test bed keeps one CPU out of the first.

mod common;

use common::{free_cpu, output, xenctrl};
use xen_ctrl::domain::CreateDomain;
use xen_ctrl::sched::Scheduler;
use xen_ctrl::{CpuMap, DomId};

const ENOENT: Option<i32> = Some(2);
const EBUSY: Option<i32> = Some(16);
const EEXIST: Option<i32> = Some(17);
const ENODEV: Option<i32> = Some(19);
const EINVAL: Option<i32> = Some(22);
const ENOSPC: Option<i32> = Some(28);
const EADDRNOTAVAIL: Option<i32> = Some(99);

#[test]
#[ignore = "needs Xen dom0"]
fn the_first_cpupool_is_described_as_xl_does() {
    let xen = xenctrl();
    let info = xen.cpupool(0).info().expect("always there");
    let text = output("xl", &["cpupool-list"]);
    let columns: Vec<_> = text.lines().nth(1).expect("a line").split_whitespace().collect();
    assert_eq!(columns[0], "Pool-0");
    assert_eq!(columns[1], info.cpus.len().to_string());
    assert_eq!(columns[2], info.scheduler.to_string());
    let domains = xen.domains().expect("a list");
    let members = domains.iter().filter(|domain| domain.cpupool == Some(0)).count();
    // Xen's own count has those that are being destroyed, too
    assert!(usize::try_from(info.domains).expect("few") >= members, "{info:?} {members}");
    let free = xen.free_cpus().expect("answered");
    assert!((&free & &info.cpus).is_empty(), "{free} {info:?}");
    let pools = xen.cpupools().expect("a list");
    let taken = pools.iter().fold(CpuMap::new(), |all, pool| &all | &pool.cpus);
    let online = xen.host().info().expect("the host").cpus;
    assert_eq!((&free | &taken).len().to_string(), online.to_string());
}

#[test]
#[ignore = "needs Xen dom0"]
fn cpupools_are_made_found_and_destroyed() {
    let xen = xenctrl();
    let pool = xen.create_cpupool(Scheduler::Credit2, Some(4000)).expect("made");
    assert_eq!(pool.id(), 4000);
    let error = xen.create_cpupool(Scheduler::Credit2, Some(4000)).expect_err("taken");
    assert!([EEXIST, ENOSPC].contains(&error.errno()), "no more cpupools than CPUs, on some: {error:?}");
    let numbers: Vec<_> = xen.cpupools().expect("a list").iter().map(|pool| pool.id).collect();
    assert_eq!(numbers, [0, 4000]);
    let info = pool.info().expect("there");
    assert_eq!((info.id, info.scheduler, info.domains), (4000, Scheduler::Credit2, 0));
    assert!(info.cpus.is_empty());
    assert_eq!(xen.cpupool(3999).info().expect_err("4000 is another one").errno(), ENOENT);

    // without a CPU, and with numbers that are none
    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    let error = pool.move_domain(domain.id()).expect_err("where would it run?");
    assert!([ENOENT, ENODEV].contains(&error.errno()), "{error:?}");
    assert_eq!(domain.info().expect("there").cpupool, Some(0));
    let cpu = xen.cpupool(0).info().expect("there").cpus.first().expect("a CPU");
    assert_eq!(pool.add_cpu(cpu).expect_err("it is not free").errno(), ENODEV);
    let error = pool.remove_cpu(cpu).expect_err("it is not its");
    assert!([ENODEV, EADDRNOTAVAIL].contains(&error.errno()), "{error:?}");
    assert_eq!(pool.add_cpu(100_000).expect_err("no such CPU").errno(), EINVAL);
    let nobody = DomId::new(4321).expect("ordinary");
    assert!(xen.cpupool(0).move_domain(nobody).is_err());
    xen.cpupool(0).move_domain(domain.id()).expect("there it is already");

    pool.destroy().expect("empty");
    assert_eq!(pool.destroy().expect_err("gone").errno(), ENOENT);
    let any = xen.create_cpupool(Scheduler::Credit2, None).expect("made");
    let numbers: Vec<_> = xen.cpupools().expect("a list").iter().map(|pool| pool.id).collect();
    assert_eq!(numbers, [0, any.id()]);
    any.destroy().expect("empty");
    let error = xen.create_cpupool(Scheduler::Other(99), None).expect_err("no such scheduler");
    assert!([ENOENT, EINVAL].contains(&error.errno()), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_cpu_moves_from_one_to_another() {
    let xen = xenctrl();
    let (first, cpu) = (xen.cpupool(0), free_cpu(&xen));
    let cpus = first.info().expect("there").cpus;
    let pool = xen.create_cpupool(Scheduler::Credit2, None).expect("made");
    pool.add_cpu(cpu).expect("it is free");
    assert_eq!(pool.info().expect("there").cpus.iter().collect::<Vec<_>>(), [cpu]);
    assert!(!xen.free_cpus().expect("answered").contains(cpu));
    assert_eq!(first.add_cpu(cpu).expect_err("it is not free").errno(), ENODEV);

    let domain = xen.create_domain(&CreateDomain::default()).expect("a domain");
    pool.move_domain(domain.id()).expect("it has a CPU");
    assert_eq!(domain.info().expect("there").cpupool, Some(pool.id()));
    assert_eq!(pool.info().expect("there").domains, 1);
    assert_eq!(pool.destroy().expect_err("a domain is in it").errno(), EBUSY);
    first.move_domain(domain.id()).expect("back");
    pool.remove_cpu(cpu).expect("no domain is left");
    pool.destroy().expect("empty");

    first.add_cpu(cpu).expect("it is free");
    assert!(first.info().expect("there").cpus.contains(cpu));
    first.remove_cpu(cpu).expect("another is left");
    assert_eq!(first.info().expect("there").cpus, cpus);
    assert_eq!(free_cpu(&xen), cpu);
    let last = cpus.first().expect("a CPU");
    let error = first.remove_cpu(last).expect_err("dom0 runs there");
    assert!([EBUSY, EINVAL].contains(&error.errno()), "{error:?}");
}
