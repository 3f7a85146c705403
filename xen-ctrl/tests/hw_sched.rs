//! Schedulers on real Xen: the one that is there, and others in cpupools of their own.
#![expect(clippy::print_stdout, reason = "skipped tests say so")]

mod common;

use std::time::Duration;

use common::{output, xenctrl};
use xen_ctrl::domain::{CreateDomain, CreatedDomain, Uuid};
use xen_ctrl::sched::{Credit, Schedule, Scheduler, Share, Slot};
use xen_ctrl::{CpuPool, Error, VcpuId, Xenctrl};

const ENOENT: Option<i32> = Some(2);
const EINVAL: Option<i32> = Some(22);

fn domain(xen: &Xenctrl) -> CreatedDomain<'_> {
    let domain = xen.create_domain(&CreateDomain::default().max_vcpus(2)).expect("a domain");
    domain.set_max_vcpus(2).expect("vCPUs");
    domain
}

/// A cpupool without a CPU, which is destroyed when dropped.
struct EmptyPool<'a>(CpuPool<'a>);

impl<'a> EmptyPool<'a> {
    /// `None`, with a line that says so, if the hypervisor was built without the scheduler.
    fn of(xen: &'a Xenctrl, scheduler: Scheduler) -> Option<Self> {
        match xen.create_cpupool(scheduler, None) {
            Ok(pool) => Some(Self(pool)),
            Err(error) if error.errno() == ENOENT => {
                println!("skipped: this hypervisor was built without the scheduler {scheduler}");
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

impl Drop for EmptyPool<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.0.destroy() {
            println!("a cpupool is left over: {error}");
        }
    }
}

/// The last two columns that `xl sched-credit2` or `xl sched-credit` prints for a domain: weight and cap.
fn xl_share(command: &str, domain: &CreatedDomain<'_>) -> (u16, u16) {
    let text = output("xl", &[command, "-d", &domain.id().to_string()]);
    let line = text.lines().last().expect("a line for the domain");
    let mut columns = line.split_whitespace().rev().map(|number| number.parse().expect("a number"));
    let cap = columns.next().expect("the cap");
    (columns.next().expect("the weight"), cap)
}

#[test]
#[ignore = "needs Xen dom0"]
fn shares_are_what_xl_shows() {
    let xen = xenctrl();
    assert_eq!(xen.cpupool(0).info().expect("there").scheduler, Scheduler::Credit2, "Xen's default");
    let domain = domain(&xen);
    assert_eq!(domain.credit2().expect("there"), Share::default());
    assert_eq!(xl_share("sched-credit2", &domain), (256, 0));
    let share = Share { weight: 700, cap: Some(40) };
    domain.set_credit2(share).expect("taken");
    assert_eq!(domain.credit2().expect("there"), share);
    assert_eq!(xl_share("sched-credit2", &domain), (700, 40));
    domain.set_credit2(Share { weight: 0, cap: None }).expect("taken");
    assert_eq!(domain.credit2().expect("there"), Share { weight: 700, cap: None }, "0 leaves the weight");
}

#[test]
#[ignore = "needs Xen dom0"]
fn another_scheduler_than_the_one_that_is_there_is_refused() {
    let xen = xenctrl();
    let domain = domain(&xen);
    assert_eq!(domain.credit().expect_err("another one").errno(), EINVAL);
    assert_eq!(domain.rtds_default().expect_err("another one").errno(), EINVAL);
    assert_eq!(domain.rtds(&[VcpuId::new(0)]).expect_err("another one").errno(), EINVAL);
    let pool = xen.cpupool(0);
    assert_eq!(pool.credit().expect_err("another one").errno(), EINVAL);
    assert_eq!(pool.arinc653_schedule().expect_err("another one").errno(), EINVAL);
    let error = xen.cpupool(4321).credit2_ratelimit().expect_err("no such cpupool");
    assert!(matches!(error, Error::Refused { domain: None, .. }), "{error:?}");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_ratelimit_is_what_xl_shows() {
    let xen = xenctrl();
    let pool = xen.cpupool(0);
    let shown = |limit: Duration| {
        let text = output("xl", &["sched-credit2", "-s"]);
        assert!(text.contains(&format!("ratelimit={}us", limit.as_micros())), "{text}");
    };
    let before = pool.credit2_ratelimit().expect("there");
    shown(before);
    let limit = Duration::from_micros(2500);
    pool.set_credit2_ratelimit(limit).expect("taken");
    assert_eq!(pool.credit2_ratelimit().expect("there"), limit);
    shown(limit);
    for wrong in [Duration::from_micros(99), Duration::from_millis(501), Duration::from_secs(1 << 33)] {
        assert_eq!(pool.set_credit2_ratelimit(wrong).expect_err("outside").errno(), EINVAL, "{wrong:?}");
    }
    pool.set_credit2_ratelimit(before).expect("taken");
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_credit_scheduler_is_told_in_its_cpupool() {
    let xen = xenctrl();
    let Some(pool) = EmptyPool::of(&xen, Scheduler::Credit) else { return };
    let default = pool.0.credit().expect("there");
    assert_eq!(default, Credit::default());
    let credit = Credit {
        timeslice: Duration::from_millis(7),
        ratelimit: Duration::from_micros(500),
        migration_delay: Duration::from_micros(123),
    };
    pool.0.set_credit(&credit).expect("taken");
    assert_eq!(pool.0.credit().expect("there"), credit);
    let wrong = Credit { timeslice: Duration::from_secs(2), ..credit };
    assert_eq!(pool.0.set_credit(&wrong).expect_err("too long").errno(), EINVAL);
    assert_eq!(pool.0.credit().expect("there"), credit);
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_schedule_is_set_and_read() {
    let xen = xenctrl();
    let Some(pool) = EmptyPool::of(&xen, Scheduler::Arinc653) else { return };
    let slot = Slot { domain: Uuid([7; 16]), vcpu: VcpuId::new(1), runtime: Duration::from_millis(3) };
    let schedule = Schedule {
        major_frame: Duration::from_millis(10),
        slots: vec![slot, Slot { vcpu: VcpuId::new(0), ..slot }],
    };
    pool.0.set_arinc653_schedule(&schedule).expect("taken");
    assert_eq!(pool.0.arinc653_schedule().expect("there"), schedule);
    for wrong in [
        Schedule { slots: vec![], ..schedule.clone() },
        Schedule { slots: vec![slot; 65], major_frame: Duration::from_secs(1) },
        Schedule { major_frame: Duration::from_millis(5), ..schedule.clone() },
    ] {
        assert_eq!(pool.0.set_arinc653_schedule(&wrong).expect_err("wrong").errno(), EINVAL);
    }
    assert_eq!(pool.0.arinc653_schedule().expect("there"), schedule);
}

#[test]
#[ignore = "needs Xen dom0"]
fn the_null_scheduler_has_nothing_to_be_told() {
    let xen = xenctrl();
    let Some(pool) = EmptyPool::of(&xen, Scheduler::Null) else { return };
    assert_eq!(pool.0.info().expect("there").scheduler, Scheduler::Null);
    assert_eq!(pool.0.credit2_ratelimit().expect_err("another one").errno(), EINVAL);
}
