//! The results for a terminal.

use super::{Ratio, Report, Row};
use crate::results::Cost;

/// One line for each operation. Ratios are of instructions, but for those of time; system calls and allocations are those of
/// each side.
#[must_use]
pub fn table(report: &Report) -> String {
    let mut lines = vec![
        report.title(),
        format!(
            "{:<44}{:>12}{:>9}{:>12}{:>15}  {:<15}{}",
            "operation", "instructions", "ours/C", "ours/floor", "time ours/C", "system calls", "allocations"
        ),
        format!("{:<44}{:>63}{}", "", "", "ours C floor   ours C"),
    ];
    lines.extend(report.rows.iter().map(line));
    lines.join("\n")
}

fn line(row: &Row) -> String {
    let operation = &row.operation;
    let ratio = |ratio: Option<Ratio>| ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.mean));
    let time =
        row.time_ours_to_c.map_or_else(String::new, |it| format!("{:.2} ±{:.2}", it.mean, it.spread / 2.0));
    let count = |cost: Option<Cost>, of: fn(Cost) -> u64| {
        cost.map_or_else(|| "-".to_owned(), |cost| of(cost).to_string())
    };
    let calls =
        [Some(operation.ours), operation.c, operation.floor].map(|cost| count(cost, |it| it.system_calls));
    let allocations = [Some(operation.ours), operation.c].map(|cost| count(cost, |it| it.allocations));
    format!(
        "{:<44}{:>12.0}{:>9}{:>12}{:>15}  {:<15}{}",
        operation.full_name(),
        operation.ours.median,
        ratio(row.ours_to_c),
        ratio(row.ours_to_floor),
        time,
        calls.join(" "),
        allocations.join(" "),
    )
}
