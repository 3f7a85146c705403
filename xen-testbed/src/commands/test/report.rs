//! The table at the end of `test`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::libtest::{Counts, Results};

/// What one program did on one cell.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) cell: String,
    /// The program; nothing if the cell did not get so far.
    pub(super) program: String,
    pub(super) results: Results,
    pub(super) duration: Duration,
}

impl Row {
    fn place(&self) -> String {
        format!("{} {}", self.cell, self.program).trim_end().to_owned()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { passed, failed, skipped } = self.results.counts;
        write!(f, "{} {}: {passed} passed", self.cell, self.program)?;
        for (count, what) in [(failed, "FAILED"), (skipped, "skipped")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        write!(f, " ({:.1} s)", self.duration.as_secs_f64())
    }
}

/// All results.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

/// A line of the table.
struct Line {
    title: String,
    counts: Counts,
    duration: Duration,
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
        self.rows.iter().map(|row| row.results.counts).sum()
    }

    /// A line for each cell, or, if there is only one beside the host, one for each program.
    fn lines(&self) -> Vec<Line> {
        let mut cells: Vec<_> = self.rows.iter().map(|row| row.cell.as_str()).collect();
        cells.dedup();
        if cells.len() <= 2 {
            return self.rows.iter().map(Line::of_program).collect();
        }
        let line = |cell: &str| {
            let rows = || self.rows.iter().filter(|row| row.cell == cell);
            Line {
                title: cell.to_owned(),
                counts: rows().map(|row| row.results.counts).sum(),
                duration: rows().map(|row| row.duration).sum(),
            }
        };
        cells.into_iter().map(line).collect()
    }
}

impl Line {
    fn of_program(row: &Row) -> Self {
        Self { title: row.place(), counts: row.results.counts, duration: row.duration }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = Line {
            title: "all".into(),
            counts: self.counts(),
            duration: self.rows.iter().map(|row| row.duration).sum(),
        };
        let lines = self.lines();
        let width = lines.iter().map(|line| line.title.len()).max().unwrap_or(0).max(4);
        writeln!(f, "{:width$}  passed  failed  skipped  seconds", "cell")?;
        for Line { title, counts, duration } in lines.iter().chain([&total]) {
            let Counts { passed, failed, skipped } = counts;
            let seconds = duration.as_secs_f64();
            writeln!(f, "{title:width$}  {passed:6}  {failed:6}  {skipped:7}  {seconds:7.1}")?;
        }
        write_reasons(f, &self.rows)?;
        let failures =
            || self.rows.iter().flat_map(|row| row.results.failures.iter().map(move |what| (row, what)));
        for (row, failure) in failures() {
            write_explanation(f, row, failure)?;
        }
        for (row, failure) in failures() {
            let what = failure.lines().next().unwrap_or_default().trim_end_matches(':');
            writeln!(f, "FAILED on {}: {what}", row.place())?;
        }
        let Counts { passed, failed, skipped } = total.counts;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The beginning and the end of what is known of a failure, so that they are in whatever is kept of a long log.
fn write_explanation(f: &mut fmt::Formatter<'_>, row: &Row, failure: &str) -> fmt::Result {
    const HALF: usize = 12;
    let lines: Vec<_> = failure.lines().collect();
    if lines.len() < 2 {
        return Ok(());
    }
    writeln!(f, "--- {}: {}", row.place(), lines[0])?;
    let left_out = lines.len().saturating_sub(1 + 2 * HALF);
    for (number, line) in lines.iter().enumerate().skip(1) {
        if number <= HALF || number > HALF + left_out {
            writeln!(f, "{line:.160}")?;
        } else if number == HALF + 1 {
            writeln!(f, "[{left_out} lines]")?;
        }
    }
    Ok(())
}

/// Each reason once, with the cells and how many tests it kept from running there.
fn write_reasons(f: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let mut reasons: Vec<(&str, BTreeMap<&str, u64>)> = Vec::new();
    for row in rows {
        for reason in &row.results.reasons {
            let known = reasons.iter().position(|(known, _)| known == reason);
            let index = known.unwrap_or_else(|| {
                reasons.push((reason, BTreeMap::new()));
                reasons.len() - 1
            });
            *reasons[index].1.entry(&row.cell).or_default() += 1;
        }
    }
    for (reason, cells) in reasons {
        let cells: Vec<_> = cells.iter().map(|(cell, count)| format!("{cell} ({count})")).collect();
        writeln!(f, "skipped on {}: {reason}", cells.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cell: &str, program: &str, passed: u64) -> Row {
        let results = Results { counts: Counts { passed, ..Counts::default() }, ..Results::default() };
        Row { cell: cell.into(), program: program.into(), results, duration: Duration::from_millis(1234) }
    }

    #[test]
    fn one_cell_is_shown_by_program() {
        let mut report = Report::default();
        assert!(!report.is_success(), "no test is no success");
        report.add(row("4.17", "pages hw_map", 12));
        report.add(row("4.17", "pages hw_share", 1));
        assert!(report.is_success());
        assert_eq!(
            report.to_string(),
            "cell                 passed  failed  skipped  seconds\n\
             4.17 pages hw_map        12       0        0      1.2\n\
             4.17 pages hw_share       1       0        0      1.2\n\
             all                      13       0        0      2.5\n\
             13 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn failures_come_last_with_their_explanations_cut() {
        let mut report = Report::default();
        let mut results = Results::failure("b".into());
        results.add_failure((0..30).map(|line| format!("l{line}")).collect::<Vec<_>>().join("\n"));
        report.add(Row { results, ..row("4.17", "pages hw_map", 0) });
        let text = report.to_string();
        let (_, end) = text.split_once("--- 4.17 pages hw_map: l0\nl1\n").expect("explained");
        assert!(end.contains("\nl12\n[5 lines]\nl18\n"), "{end}");
        assert!(
            end.ends_with("\nl29\nFAILED on 4.17 pages hw_map: b\nFAILED on 4.17 pages hw_map: l0\n0 passed, 2 failed, 0 skipped"),
            "{end}"
        );
    }

    #[test]
    fn many_cells_are_shown_by_cell_with_what_is_missing() {
        let mut report = Report::default();
        report.add(row("host", "cargo test", 7));
        for cell in ["4.14", "4.17"] {
            report.add(row(cell, "pages hw_map", 2));
            let mut results = Results::skip("no floppy".into());
            results.reasons.push("no floppy".into());
            results.counts.skipped = 2;
            report.add(Row { results, ..row(cell, "pages hw_share", 0) });
        }
        report.add(Row { results: Results::failure("no network".into()), ..row("4.20", "", 0) });
        assert!(!report.is_success());
        assert_eq!(
            report.to_string(),
            "cell  passed  failed  skipped  seconds\n\
             host       7       0        0      1.2\n\
             4.14       2       0        2      2.5\n\
             4.17       2       0        2      2.5\n\
             4.20       0       1        0      1.2\n\
             all       11       1        4      7.4\n\
             skipped on 4.14 (2), 4.17 (2): no floppy\n\
             FAILED on 4.20: no network\n\
             11 passed, 1 failed, 4 skipped"
        );
    }
}
