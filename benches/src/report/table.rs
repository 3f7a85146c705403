//! The results for a terminal.

use super::{Comparison, Ratio, Row};
use crate::results::Operation;

/// One line for each operation. Ratios are of instructions, but for that of time, which has half its spread behind it; system
/// calls and allocations are those of each side.
pub(super) fn table(comparison: &Comparison) -> String {
    let head = [
        "instructions",
        "ours/C",
        "ours/floor",
        "time ours/C",
        "calls: ours",
        "C",
        "floor",
        "allocations: ours",
        "C",
    ];
    let mut lines = vec![comparison.title(), String::new(), columns("operation", head)];
    lines.extend(comparison.rows.iter().map(line));
    lines.join("\n")
}

fn line(row: &Row) -> String {
    let Operation { ours, c, floor, .. } = row.operation;
    let ratio = |ratio: Option<Ratio>| ratio.map_or_else(String::new, |ratio| format!("{:.3}", ratio.mean));
    let time = row.time_ours_to_c.map(|ratio| format!("{:.2} ±{:.2}", ratio.mean, ratio.spread / 2.0));
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let cells = [
        format!("{:.0}", ours.median),
        ratio(row.ours_to_c),
        ratio(row.ours_to_floor),
        time.unwrap_or_default(),
        number(Some(ours.system_calls)),
        number(c.map(|c| c.system_calls)),
        number(floor.map(|floor| floor.system_calls)),
        number(Some(ours.allocations)),
        number(c.map(|c| c.allocations)),
    ];
    columns(&row.operation.full_name(), cells.each_ref().map(String::as_str))
}

fn columns(name: &str, cells: [&str; 9]) -> String {
    const WIDTHS: [usize; 9] = [14, 8, 12, 14, 13, 5, 7, 19, 4];
    let cells = cells.iter().zip(WIDTHS).map(|(cell, width)| format!("{cell:>width$}"));
    format!("{name:<42}{}", cells.collect::<String>())
}
