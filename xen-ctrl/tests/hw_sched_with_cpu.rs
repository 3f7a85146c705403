//! A scheduler with a CPU of its own, on real Xen. The test bed's free CPU stays with it, so this is a program of its own: some Xens
//! panic or hang when a cpupool of rtds or credit loses its last CPU.

mod common;

use std::time::Duration;

use common::{free_cpu, output, xenctrl};
use xen_ctrl::domain::CreateDomain;
use xen_ctrl::sched::{Reservation, Scheduler, Share};
use xen_ctrl::{Domain, VcpuId};

const ENOENT: Option<i32> = Some(2);
const EINVAL: Option<i32> = Some(22);

/// Runs the domain's checks with rtds, where Xen was built with it, else with credit.
#[test]
#[ignore = "needs Xen dom0"]
fn what_a_domain_gets_is_kept_and_shown() {
    let xen = xenctrl();
    let (pool, check): (_, fn(&Domain<'_>)) = match xen.create_cpupool(Scheduler::Rtds, None) {
        Ok(pool) => (pool, reservations_are_kept_for_each_vcpu),
        Err(error) => {
            assert_eq!(error.errno(), ENOENT, "{error:?}");
            println!("skipped: this hypervisor was built without the scheduler rtds");
            (xen.create_cpupool(Scheduler::Credit, None).expect("always there"), shares_are_what_xl_shows)
        }
    };
    pool.add_cpu(free_cpu(&xen)).expect("it is free");
    output("xenstore-write", &[&format!("/local/pool/{}/name", pool.id()), "lent"]); // xl wants a name
    let domain = xen.create_domain(&CreateDomain::default().max_vcpus(2)).expect("a domain");
    domain.set_max_vcpus(2).expect("vCPUs");
    pool.move_domain(domain.id()).expect("moved");
    check(&domain);
    xen.cpupool(0).move_domain(domain.id()).expect("back");
}

fn reservations_are_kept_for_each_vcpu(domain: &Domain<'_>) {
    assert_eq!(domain.rtds_default().expect("there"), Reservation::default());
    let all = Reservation { budget: Duration::from_millis(3), ..Reservation::default() };
    domain.set_rtds(all.period, all.budget).expect("taken");
    let (period, budget) = (Duration::from_millis(50), Duration::from_micros(12_345));
    let one = Reservation { period, budget, extra_time: false };
    domain.set_rtds_vcpus(&[(VcpuId::new(1), one)]).expect("taken");
    assert_eq!(domain.rtds(&[VcpuId::new(1), VcpuId::new(0)]).expect("there"), [one, all]);
    let text = output("xl", &["sched-rtds", "-d", &domain.id().to_string(), "-v", "1"]);
    assert!(text.contains("50000") && text.contains("12345"), "{text}");
    assert_eq!(domain.set_rtds(period, period * 2).expect_err("more than there is").errno(), EINVAL);
    assert_eq!(domain.rtds(&[VcpuId::new(2)]).expect_err("no such vCPU").errno(), EINVAL);
}

fn shares_are_what_xl_shows(domain: &Domain<'_>) {
    assert_eq!(domain.credit().expect("there"), Share::default());
    let share = Share { weight: 300, cap: Some(90) };
    domain.set_credit(share).expect("taken");
    assert_eq!(domain.credit().expect("there"), share);
    let text = output("xl", &["sched-credit", "-d", &domain.id().to_string()]);
    let line = text.lines().last().expect("a line for the domain");
    let columns: Vec<_> = line.split_whitespace().collect();
    assert_eq!(columns[columns.len() - 2..], ["300", "90"], "{text}");
}
