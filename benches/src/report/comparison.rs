//! Puts several runs of operations together: ratios, and how much they differ from run to run.

use crate::results::{Cost, Operation, Run, Unit};
use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// What several runs on the same hypervisor have in common.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The hypervisor's version, as `4.17`.
    pub xen: String,
    /// Dom0's kernel.
    pub linux: String,
    /// The processor.
    pub architecture: String,
    /// One for each operation.
    pub rows: Vec<Row>,
}

/// One operation.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The operation; the costs are instructions.
    #[serde(flatten)]
    pub operation: Operation,
    /// Our instructions as a part of C's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours_to_c: Option<Ratio>,
    /// Our instructions as a multiple of those of the bare system calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours_to_floor: Option<Ratio>,
    /// Our time as a part of C's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ours_to_c: Option<Ratio>,
}

/// A ratio, found in several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The mean.
    pub mean: f64,
    /// The difference between the largest and the smallest.
    pub spread: f64,
}

impl Ratio {
    fn of(ratios: &[f64]) -> Option<Self> {
        let count = u32::try_from(ratios.len()).ok().filter(|&count| count > 0)?;
        let largest = ratios.iter().copied().fold(f64::MIN, f64::max);
        let smallest = ratios.iter().copied().fold(f64::MAX, f64::min);
        Some(Self { mean: ratios.iter().sum::<f64>() / f64::from(count), spread: largest - smallest })
    }
}

impl Comparison {
    /// Puts runs together. At least one must have counted instructions.
    ///
    /// # Errors
    ///
    /// If none has, or the runs have not the same operations.
    pub fn new(runs: &[Run]) -> Result<Self> {
        let (counted, timed): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.unit == Unit::Instructions);
        let first = counted.first().context("no run counted instructions")?;
        let names = |run: &Run| run.operations.iter().map(Operation::full_name).collect::<Vec<_>>();
        ensure!(runs.iter().all(|run| names(run) == names(first)), "the runs have different operations");
        let rows = first.operations.iter().enumerate().map(|(index, operation)| {
            let ratios = |runs: &[&Run], to: fn(&Operation) -> Option<Cost>, of: fn(&Cost) -> f64| {
                let one = |run: &&Run| {
                    let operation = run.operations.get(index)?;
                    Some(of(&operation.ours) / of(&to(operation)?))
                };
                Ratio::of(&runs.iter().filter_map(one).collect::<Vec<_>>())
            };
            Row {
                operation: operation.clone(),
                ours_to_c: ratios(&counted, |operation| operation.c, |cost| cost.median),
                ours_to_floor: ratios(&counted, |operation| operation.floor, |cost| cost.median),
                time_ours_to_c: ratios(&timed, |operation| operation.c, |cost| cost.min),
            }
        });
        let (xen, linux) = (first.xen.clone(), first.linux.clone());
        Ok(Self { xen, linux, architecture: first.architecture.clone(), rows: rows.collect() })
    }

    /// What was measured, in words.
    #[must_use]
    pub fn title(&self) -> String {
        format!("Xen {}, Linux {}, {}", self.xen, self.linux, self.architecture)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn comparison() -> Comparison {
        let cost = |median| Cost { median, min: median, system_calls: 1, allocations: 0 };
        let operation = |ours, c: f64| Operation {
            group: "events".into(),
            name: "notify <1>".into(),
            units: 1,
            ours: cost(ours),
            c: Some(cost(c)),
            floor: None,
        };
        let run = |unit, ours, c| Run {
            unit,
            xen: "4.17".into(),
            linux: "6.1".into(),
            architecture: "x86_64".into(),
            operations: vec![operation(ours, c)],
        };
        let runs = [
            run(Unit::Instructions, 50.0, 100.0),
            run(Unit::Nanoseconds, 30.0, 100.0),
            run(Unit::Nanoseconds, 10.0, 50.0),
        ];
        Comparison::new(&runs).expect("alike")
    }

    #[test]
    fn ratios_and_their_spread() {
        let comparison = comparison();
        let row = &comparison.rows[0];
        assert_eq!(row.ours_to_c, Some(Ratio { mean: 0.5, spread: 0.0 }));
        assert_eq!(row.ours_to_floor, None);
        let time = row.time_ours_to_c.expect("two runs");
        assert!((time.mean - 0.25).abs() < 1e-9 && (time.spread - 0.1).abs() < 1e-9, "{time:?}");
    }
}
