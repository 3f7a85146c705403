//! Puts together what several programs measured: numbers for other programs, a table for a terminal, a chart.

mod chart;
mod comparison;
mod sections;
mod table;

pub use chart::chart;
pub use comparison::{Comparison, Ratio, Row};

use crate::results::{Backend, Items, Measured, Threads};
use anyhow::Result;
use serde::Serialize;

/// All that was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Operations, each by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operations: Option<Comparison>,
    /// Block backends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disk: Vec<Backend>,
    /// Several threads, on real and fake kernels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub threads: Vec<Threads>,
    /// Many items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Items>,
}

impl Report {
    /// Puts results together.
    ///
    /// # Errors
    ///
    /// As [`Comparison::new`].
    pub fn new(results: Vec<Measured>) -> Result<Self> {
        let mut report = Self { operations: None, disk: Vec::new(), threads: Vec::new(), items: Vec::new() };
        let mut runs = Vec::new();
        for result in results {
            match result {
                Measured::Operations(run) => runs.push(run),
                Measured::Disk(backends) => report.disk.extend(backends),
                Measured::Threads(threads) => report.threads.push(threads),
                Measured::Items(items) => report.items.extend(items),
            }
        }
        if !runs.is_empty() {
            report.operations = Some(Comparison::new(&runs)?);
        }
        Ok(report)
    }

    /// For a terminal: a table for each part that was measured.
    #[must_use]
    pub fn table(&self) -> String {
        let mut tables = Vec::new();
        tables.extend(self.operations.as_ref().map(table::table));
        if !self.disk.is_empty() {
            tables.push(sections::disk(&self.disk));
        }
        tables.extend(self.threads.iter().map(sections::threads));
        if !self.items.is_empty() {
            tables.push(sections::items(&self.items));
        }
        tables.join("\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::comparison::tests::comparison;
    use super::*;
    use crate::results::{Concurrent, Kernel, Phase, Rates};

    #[test]
    fn table_and_chart_have_every_operation() {
        let comparison = comparison();
        assert!(chart(&comparison).contains("notify &lt;1&gt;"));
        let mut report = Report::new(Vec::new()).expect("nothing");
        assert_eq!(report.table(), "");
        report.operations = Some(comparison);
        assert!(report.table().contains("notify <1>"), "{}", report.table());
    }

    #[test]
    fn the_table_has_all_parts() {
        let phase = Phase {
            name: "read".into(),
            requests: 4,
            request_bytes: 1 << 20,
            seconds: 2.0,
            dom0_seconds: 1.0,
        };
        let ours = Rates { one: 1e6, shared: 2.5e6, apart: 2e6 };
        let concurrent = Concurrent { name: "notify".into(), ours, floor: None };
        let results = [
            Measured::Disk(vec![Backend { name: "kernel".into(), phases: vec![phase] }]),
            Measured::Threads(Threads { kernel: Kernel::Real, operations: vec![concurrent] }),
            Measured::Items(vec![Items { name: "map".into(), nanoseconds: vec![(16, 12.3)] }]),
        ];
        let json: Vec<_> = results.iter().map(|part| serde_json::to_string(part).expect("JSON")).collect();
        let read = json.iter().map(|text| serde_json::from_str(text).expect("the same"));
        let table = Report::new(read.collect()).expect("parts").table();
        for expected in ["250000.0", "2.0", "1.00", "2.50", "2.00", "12.3"] {
            assert!(table.contains(expected), "{expected}: {table}");
        }
    }
}
