//! Schedulers: what each can be told, for a cpupool and for its domains.
//!
//! An operation names the scheduler that the caller takes the cpupool or the domain to have; if it is another one, Xen refuses with
//! `EINVAL`.

mod arinc653;
mod credit;
mod credit2;
mod rtds;

pub use arinc653::{Schedule, Slot};
pub use credit::Credit;
pub use rtds::Reservation;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use xen_sys::xen_public::domctl::{
    DomainParameters, GetDomainParameters, SCHEDULER_ARINC653, SCHEDULER_CREDIT, SCHEDULER_CREDIT2,
    SCHEDULER_NULL, SCHEDULER_RTDS, SetDomainParameters,
};
use xen_sys::xen_public::sysctl::{GetPoolParameters, PoolParameters, SetPoolParameters};

use crate::{CpuPool, Domain, Error};

/// A scheduler that Xen has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scheduler {
    /// `credit`: fair shares.
    Credit,
    /// `credit2`: fair shares, the default.
    Credit2,
    /// `arinc653`: fixed time slots.
    Arinc653,
    /// `rtds`: real time, a budget in each period.
    Rtds,
    /// `null`: a CPU for each vCPU.
    Null,
    /// A number that this crate does not know.
    Other(u32),
}

/// All that have a name, with number and name.
const SCHEDULERS: [(Scheduler, u32, &str); 5] = [
    (Scheduler::Credit, SCHEDULER_CREDIT, "credit"),
    (Scheduler::Credit2, SCHEDULER_CREDIT2, "credit2"),
    (Scheduler::Arinc653, SCHEDULER_ARINC653, "arinc653"),
    (Scheduler::Rtds, SCHEDULER_RTDS, "rtds"),
    (Scheduler::Null, SCHEDULER_NULL, "null"),
];

impl Scheduler {
    /// The scheduler that Xen means by this number (`XEN_SCHEDULER_*`).
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let known = SCHEDULERS.iter().find(|(_, of, _)| *of == number);
        known.map_or(Self::Other(number), |(scheduler, ..)| *scheduler)
    }

    /// Xen's number for it.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Credit => SCHEDULER_CREDIT,
            Self::Credit2 => SCHEDULER_CREDIT2,
            Self::Arinc653 => SCHEDULER_ARINC653,
            Self::Rtds => SCHEDULER_RTDS,
            Self::Null => SCHEDULER_NULL,
            Self::Other(number) => number,
        }
    }
}

/// The name that the hypervisor's own option `sched=` has for it.
impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SCHEDULERS.iter().find(|(scheduler, ..)| scheduler == self) {
            Some((.., name)) => f.pad(name),
            None => write!(f, "scheduler {}", self.number()),
        }
    }
}

/// A text is the name of no scheduler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no scheduler: there are credit, credit2, arinc653, rtds, and null")]
#[non_exhaustive]
pub struct ParseSchedulerError {
    /// The text.
    pub name: String,
}

impl FromStr for Scheduler {
    type Err = ParseSchedulerError;

    fn from_str(name: &str) -> Result<Self, ParseSchedulerError> {
        let known = SCHEDULERS.iter().find(|(.., of)| *of == name);
        known.map(|(scheduler, ..)| *scheduler).ok_or_else(|| ParseSchedulerError { name: name.to_owned() })
    }
}

/// What the credit and the credit2 scheduler know of a domain: how much processor time it gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// A domain of weight 512 gets twice the time of one of weight 256, when both want more than there is. The credit scheduler
    /// takes 1 to 65535. 0 leaves it as it is.
    pub weight: u16,
    /// The most that it gets, in percent of one CPU, even when others want nothing.
    pub cap: Option<u16>,
}

impl Default for Share {
    /// What Xen gives to a new domain: weight 256, no limit.
    fn default() -> Self {
        Self { weight: 256, cap: None }
    }
}

/// As many whole microseconds, or too many for any scheduler.
fn microseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

fn from_microseconds(microseconds: u32) -> Duration {
    Duration::from_micros(microseconds.into())
}

impl Domain<'_> {
    fn scheduler_parameters<P: DomainParameters>(&self) -> Result<P, Error> {
        let record = self.xen.domctl(self.id, &GetDomainParameters::<P>::default())?;
        Ok(record.parameters())
    }

    fn set_scheduler_parameters<P: DomainParameters>(&self, parameters: P) -> Result<(), Error> {
        self.xen.domctl(self.id, &SetDomainParameters(parameters)).map(drop)
    }
}

impl CpuPool<'_> {
    fn scheduler_parameters<P: PoolParameters>(&self) -> Result<P, Error> {
        let record = self.xen.sysctl(&GetPoolParameters::<P>::new(self.id))?;
        Ok(record.parameters())
    }

    fn set_scheduler_parameters<P: PoolParameters>(&self, parameters: P) -> Result<(), Error> {
        self.xen.sysctl(&SetPoolParameters { cpupool: self.id, parameters }).map(drop)
    }
}

/// How Xen writes a limit, in percent, where 0 is none.
fn cap(cap: Option<u16>) -> u16 {
    cap.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedulers_have_the_names_and_numbers_of_the_hypervisor() {
        for (scheduler, number, name) in SCHEDULERS {
            assert_eq!((Scheduler::from_number(number), scheduler.number()), (scheduler, number));
            assert_eq!((scheduler.to_string().as_str(), name.parse()), (name, Ok(scheduler)));
        }
        assert_eq!(Scheduler::from_number(4), Scheduler::Other(4));
        assert_eq!(Scheduler::Other(4).to_string(), "scheduler 4");
        let error = "sedf".parse::<Scheduler>().expect_err("removed long ago");
        assert!(error.to_string().starts_with("`sedf` is no scheduler"), "{error}");
    }

    #[test]
    fn what_is_too_long_is_refused_and_not_cut() {
        assert_eq!(microseconds(Duration::from_micros(1500)), 1500);
        assert_eq!(microseconds(Duration::from_secs(4295)), u32::MAX);
    }
}
