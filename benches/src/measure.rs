//! Measures all operations: the sides of each interleaved, so that what disturbs one disturbs the others.

use crate::SystemCalls;
use crate::operation::{Operation, Side};
use crate::operations::GROUPS;
use crate::results::{self, Cost, Run, Unit};
use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};

/// Runs before the first one that counts: they open and fill what lasts.
const WARM_UP: usize = 3;
/// An operation is repeated until both are reached.
const ROUNDS: usize = 25;
const LEAST_TIME: Duration = Duration::from_millis(300);
/// And no more often than this.
const MOST_ROUNDS: usize = 201;

/// Measures each operation whose `group: name` contains `filter`. The clock counts `unit`, and `allocations` tells how many
/// there were so far.
///
/// # Errors
///
/// If an operation cannot be set up, or the kernel does not count system calls.
pub fn run(unit: Unit, filter: &str, allocations: fn() -> u64) -> Result<Run> {
    let mut meter = Meter { system_calls: SystemCalls::new()?, allocations, overhead: 0 };
    meter.overhead = meter.overhead();
    let mut operations = Vec::new();
    for (group, make) in GROUPS {
        for operation in make().with_context(|| format!("cannot set up {group}"))? {
            if format!("{group}: {}", operation.name).contains(filter) {
                tell(group, &operation.name);
                operations.push(meter.measure(group, operation)?);
            }
        }
    }
    let hypervisor = |name| fs::read_to_string(format!("/sys/hypervisor/version/{name}"));
    let (major, minor) = (hypervisor("major")?, hypervisor("minor")?);
    Ok(Run {
        unit,
        xen: format!("{}.{}", major.trim(), minor.trim_start_matches('.').trim()),
        linux: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        operations,
    })
}

struct Meter {
    system_calls: SystemCalls,
    allocations: fn() -> u64,
    /// Nanoseconds that two looks at the clock take, with a call in between that does nothing.
    overhead: u128,
}

impl Meter {
    fn overhead(&self) -> u128 {
        let mut nothing = Side::new(|| ());
        let times = (0..1000).map(|_| self.time(&mut nothing, 1));
        times.min().unwrap_or(0)
    }

    /// Nanoseconds that `repeat` runs take, less what looking at the clock takes.
    fn time(&self, side: &mut Side, repeat: u32) -> u128 {
        side.prepare();
        let start = Instant::now();
        for _ in 0..repeat {
            side.run();
        }
        start.elapsed().as_nanos().saturating_sub(self.overhead)
    }

    fn measure(&mut self, group: &str, operation: Operation) -> Result<results::Operation> {
        let Operation { name, units, repeat, ours, c, floor } = operation;
        let c = c.and_then(|c| c.inspect_err(complain).ok());
        let mut sides = [Some(ours), c, floor];
        let mut times = [const { Vec::new() }; 3];
        let start = Instant::now();
        for round in 0..WARM_UP + MOST_ROUNDS {
            if round >= WARM_UP + ROUNDS && start.elapsed() >= LEAST_TIME {
                break;
            }
            // Another one begins each time, so that none always finds what the same other one left.
            for index in [round % 3, (round + 1) % 3, (round + 2) % 3] {
                let time = sides[index].as_mut().map(|side| self.time(side, repeat));
                times[index].extend(time.filter(|_| round >= WARM_UP));
            }
        }
        let [mut ours, mut c, mut floor] = sides;
        let [our_times, c_times, floor_times] = times;
        let mut cost = |side: &mut Option<Side>, times| {
            side.as_mut().map(|side| self.cost(side, times, repeat)).transpose()
        };
        Ok(results::Operation {
            group: group.to_owned(),
            ours: cost(&mut ours, our_times)?.context("our side is always there")?,
            c: cost(&mut c, c_times)?,
            floor: cost(&mut floor, floor_times)?,
            name,
            units,
        })
    }

    fn cost(&mut self, side: &mut Side, mut times: Vec<u128>, repeat: u32) -> Result<Cost> {
        side.prepare();
        let before = (self.allocations)();
        let ((), system_calls) = self.system_calls.count(|| side.run())?;
        let allocations = (self.allocations)() - before;
        times.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "no operation takes more than 2^53 ns")]
        let per_run = |time: Option<&u128>| time.map_or(0.0, |&time| time as f64 / f64::from(repeat));
        Ok(Cost {
            median: per_run(times.get(times.len() / 2)),
            min: per_run(times.first()),
            system_calls,
            allocations,
        })
    }
}

#[expect(clippy::print_stderr, reason = "for whoever watches")]
fn tell(group: &str, name: &str) {
    eprintln!("{group}: {name}");
}

#[expect(clippy::print_stderr, reason = "for whoever watches")]
fn complain(error: &anyhow::Error) {
    eprintln!("without the C libraries: {error:#}");
}
