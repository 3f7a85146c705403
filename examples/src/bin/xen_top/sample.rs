//! What domains do between two looks at them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use examples::toolstack::{Names, memory_kib, state_letters};
use xen_ctrl::domain::{DomainFlags, DomainInfo, DomainList, Uuid};
use xen_ctrl::host::HostInfo;
use xen_ctrl::{DomId, Error, Xenctrl};

use crate::events::Counts;

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: DomId,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) is_paused: bool,
    pub(crate) cpu_time: Duration,
    /// Of one CPU, since the last sample; more than 100 with several vCPUs.
    pub(crate) cpu_percent: f64,
    pub(crate) memory_kib: u64,
    /// Of the host's memory.
    pub(crate) memory_percent: f64,
    pub(crate) vcpus: u32,
    /// Events a second, since the last sample; `None` if nobody counts them.
    pub(crate) events: Option<f64>,
}

impl Row {
    /// For sorting: who is not counted comes last.
    fn rate(&self) -> f64 {
        self.events.unwrap_or(-1.0)
    }
}

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    Id,
    Name,
    Cpu,
    Memory,
    Vcpus,
    Events,
}

impl Order {
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Id => Self::Name,
            Self::Name => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Vcpus,
            Self::Vcpus => Self::Events,
            Self::Events => Self::Id,
        }
    }

    /// Those who use most come first.
    pub(crate) fn sort(self, rows: &mut [Row]) {
        match self {
            Self::Id => rows.sort_by_key(|row| row.id),
            Self::Name => rows.sort_by(|one, other| one.name.cmp(&other.name)),
            Self::Cpu => rows.sort_by(|one, other| other.cpu_percent.total_cmp(&one.cpu_percent)),
            Self::Memory => rows.sort_by_key(|row| Reverse(row.memory_kib)),
            Self::Vcpus => rows.sort_by_key(|row| Reverse(row.vcpus)),
            Self::Events => rows.sort_by(|one, other| other.rate().total_cmp(&one.rate())),
        }
    }
}

/// The host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    pub(crate) cpus: u32,
    pub(crate) mhz: u32,
    pub(crate) memory_mib: u64,
    pub(crate) free_mib: u64,
}

/// All domains and the host, at one moment.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) totals: Totals,
    pub(crate) rows: Vec<Row>,
}

/// What all domains had used at one moment. A number can be another domain's by now; the UUID tells.
struct Past {
    taken: Instant,
    times: HashMap<(DomId, Uuid), Duration>,
    events: Counts,
}

impl Past {
    /// How much of a CPU a domain has used until now, and its events a second; `None` for a domain that was not there.
    fn until(&self, domain: &DomainInfo, now: &Present) -> Option<(f64, Option<f64>)> {
        let seconds = now.taken.duration_since(self.taken).as_secs_f64();
        let used = domain.cpu_time.checked_sub(*self.times.get(&(domain.id, domain.uuid))?)?;
        // a count that went back has begun anew, with its device
        let events = || now.events.of(domain.id)?.checked_sub(self.events.of(domain.id)?);
        Some((used.as_secs_f64() / seconds, events().map(|events| float(events) / seconds)))
    }
}

/// The moment of a sample.
struct Present {
    taken: Instant,
    events: Counts,
    /// How many pages the host has.
    pages: u64,
}

/// Looks at the domains again and again. Two hypercalls a time.
pub(crate) struct Sampler<'a> {
    xen: &'a Xenctrl,
    list: DomainList<'a>,
    names: Names,
    last: Option<Past>,
}

impl<'a> Sampler<'a> {
    pub(crate) fn new(xen: &'a Xenctrl) -> Result<Self, Error> {
        Ok(Self { xen, list: DomainList::new(xen)?, names: Names::open(), last: None })
    }

    /// Looks. The first sample knows no percentages of CPU, and no rates.
    pub(crate) fn sample(&mut self) -> Result<Sample, Error> {
        let host = self.xen.host().info()?;
        let domains = self.list.read()?;
        let now = Present { taken: Instant::now(), events: Counts::read(), pages: host.pages };
        let rows = domains.iter().map(|domain| self.row(domain, &now)).collect();
        let times = domains.iter().map(|domain| ((domain.id, domain.uuid), domain.cpu_time)).collect();
        self.last = Some(Past { taken: now.taken, times, events: now.events });
        Ok(Sample { totals: totals(&host), rows })
    }

    fn row(&mut self, domain: &DomainInfo, now: &Present) -> Row {
        let since = self.last.as_ref().and_then(|last| last.until(domain, now));
        let (used, events) = since.unwrap_or_default();
        Row {
            id: domain.id,
            name: self.names.of(domain),
            state: state_letters(domain),
            is_paused: domain.flags.contains(DomainFlags::PAUSED),
            cpu_time: domain.cpu_time,
            cpu_percent: used * 100.0,
            memory_kib: memory_kib(domain),
            memory_percent: ratio(domain.pages, now.pages) * 100.0,
            vcpus: domain.online_vcpus,
            events,
        }
    }
}

fn totals(host: &HostInfo) -> Totals {
    Totals {
        cpus: host.cpus,
        mhz: host.cpu_khz / 1000,
        memory_mib: host.pages / 256,
        free_mib: host.free_pages / 256,
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    float(part) / float(whole.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "numbers for people")]
fn float(number: u64) -> f64 {
    number as f64
}
