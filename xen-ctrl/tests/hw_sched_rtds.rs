//! The real time scheduler on real Xen. A program of its own, because the free CPU stays with the scheduler.

mod common;

use std::time::Duration;

use common::{free_cpu, output, xenctrl};
use xen_ctrl::VcpuId;
use xen_ctrl::domain::CreateDomain;
use xen_ctrl::sched::{Reservation, Scheduler};

const ENOENT: Option<i32> = Some(2);
const EINVAL: Option<i32> = Some(22);

#[test]
#[ignore = "needs Xen dom0"]
fn reservations_are_kept_for_each_vcpu() {
    let xen = xenctrl();
    let pool = match xen.create_cpupool(Scheduler::Rtds, None) {
        Ok(pool) => pool,
        Err(error) => {
            assert_eq!(error.errno(), ENOENT, "{error:?}");
            return println!("skipped: this hypervisor was built without the scheduler rtds");
        }
    };
    // for good: Xen 4.14 and 4.17 panic when a cpupool of this scheduler loses its last CPU
    pool.add_cpu(free_cpu(&xen)).expect("it is free");

    let domain = xen.create_domain(&CreateDomain::default().max_vcpus(2)).expect("a domain");
    domain.set_max_vcpus(2).expect("vCPUs");
    pool.move_domain(domain.id()).expect("moved");
    assert_eq!(domain.rtds_default().expect("there"), Reservation::default());
    let all = Reservation { budget: Duration::from_millis(3), ..Reservation::default() };
    domain.set_rtds(all.period, all.budget).expect("taken");
    let one = Reservation {
        period: Duration::from_millis(50),
        budget: Duration::from_micros(12_345),
        extra_time: false,
    };
    domain.set_rtds_vcpus(&[(VcpuId::new(1), one)]).expect("taken");
    assert_eq!(domain.rtds(&[VcpuId::new(1), VcpuId::new(0)]).expect("there"), [one, all]);
    output("xenstore-write", &[&format!("/local/pool/{}/name", pool.id()), "real-time"]); // xl wants a name
    let text = output("xl", &["sched-rtds", "-d", &domain.id().to_string(), "-v", "1"]);
    assert!(text.contains("50000") && text.contains("12345"), "{text}");
    assert_eq!(domain.set_rtds(one.period, one.period * 2).expect_err("more than there is").errno(), EINVAL);
    assert_eq!(domain.rtds(&[VcpuId::new(2)]).expect_err("no such vCPU").errno(), EINVAL);
    xen.cpupool(0).move_domain(domain.id()).expect("back");
}
