//! The table at the end of `test`.

use std::fmt;
use std::time::Duration;

use crate::libtest::Counts;

/// One program's result.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cell: String,
    pub(super) program: String,
    pub(super) counts: Counts,
    pub(super) duration: Duration,
}

/// All results.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether there was a test at all, and none failed.
    pub(super) fn is_success(&self) -> bool {
        let counts = self.counts();
        counts.total() > 0 && counts.failed == 0
    }

    fn counts(&self) -> Counts {
        self.rows.iter().map(|row| row.counts).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |title: &str, of: fn(&Row) -> usize| self.rows.iter().map(of).max().unwrap_or(0).max(title.len());
        let cell = width("cell", |row| row.cell.len());
        let program = width("program", |row| row.program.len());
        writeln!(f, "{:cell$}  {:program$}  passed  failed  skipped  seconds", "cell", "program")?;
        for row in &self.rows {
            let Counts { passed, failed, skipped } = row.counts;
            let seconds = row.duration.as_secs_f64();
            writeln!(
                f,
                "{:cell$}  {:program$}  {passed:6}  {failed:6}  {skipped:7}  {seconds:7.1}",
                row.cell, row.program
            )?;
        }
        let Counts { passed, failed, skipped } = self.counts();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let mut report = Report::default();
        assert!(!report.is_success(), "no test is no success");
        let counts = Counts { passed: 12, failed: 0, skipped: 1 };
        report.add(Row {
            cell: "xen-4.17-amd64".into(),
            program: "hw_map".into(),
            counts,
            duration: Duration::from_millis(1234),
        });
        assert!(report.is_success());
        assert_eq!(
            report.to_string(),
            "cell            program  passed  failed  skipped  seconds\n\
             xen-4.17-amd64  hw_map       12       0        1      1.2\n\
             12 passed, 0 failed, 1 skipped"
        );
    }
}
