//! The smaller tables.

use crate::results::{Backend, Items, Kernel, Phase, Rates, Threads};
use std::fmt::Write;

/// Two lines for each backend: dom0's processor time, and the guest's speed.
pub(super) fn disk(backends: &[Backend]) -> String {
    let mut table = "block backends".to_owned();
    let Some(first) = backends.first() else { return table };
    let mut row = |name: &str, cells: Vec<String>| add_row(&mut table, name, 42, 26, cells.into_iter());
    row("", first.phases.iter().map(|phase| phase.name.clone()).collect());
    for Backend { name, phases } in backends {
        let figures =
            |figure: fn(&Phase) -> f64| phases.iter().map(|phase| format!("{:.1}", figure(phase))).collect();
        row(&format!("{name}: dom0, us per request"), figures(microseconds));
        row(&format!("{name}: MiB per second"), figures(mebibytes_per_second));
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "some thousand")]
fn microseconds(phase: &Phase) -> f64 {
    1e6 * phase.dom0_seconds / phase.requests as f64
}

#[expect(clippy::cast_precision_loss, reason = "some thousand, of a few KiB")]
fn mebibytes_per_second(phase: &Phase) -> f64 {
    phase.requests as f64 * phase.request_bytes as f64 / f64::from(1 << 20) / phase.seconds
}

/// Million operations in a second; behind ours those of the bare system calls.
pub(super) fn threads(threads: &Threads) -> String {
    let kernel = match threads.kernel {
        Kernel::Real => "threads in dom0",
        Kernel::Fake => "threads with a fake kernel",
    };
    let mut table = format!("{kernel}, million operations per second");
    let head = ["1 thread", "2, 1 handle", "2, 2 handles"].map(str::to_owned);
    add_row(&mut table, "", 42, 16, head.into_iter());
    for operation in &threads.operations {
        let mut row = |side: &str, rates: Rates| {
            let cells = [rates.one, rates.shared, rates.apart].map(|rate| format!("{:.4}", rate / 1e6));
            add_row(&mut table, &format!("{}{side}", operation.name), 42, 16, cells.into_iter());
        };
        row("", operation.ours);
        if let Some(floor) = operation.floor {
            row(" (floor)", floor);
        }
    }
    table
}

/// Nanoseconds for each item.
pub(super) fn items(items: &[Items]) -> String {
    let mut table = "many items with a fake kernel, nanoseconds per item".to_owned();
    let longest = items.iter().max_by_key(|row| row.nanoseconds.len());
    let counts = longest.map_or(&[][..], |row| &row.nanoseconds);
    add_row(&mut table, "", 42, 9, counts.iter().map(|(count, _)| count.to_string()));
    for row in items {
        let cells = row.nanoseconds.iter().map(|(_, cost)| format!("{cost:.1}"));
        add_row(&mut table, &row.name, 42, 9, cells);
    }
    table
}

fn add_row(table: &mut String, name: &str, left: usize, width: usize, cells: impl Iterator<Item = String>) {
    // A string takes everything.
    let _ = write!(table, "\n{name:<left$}");
    for cell in cells {
        let _ = write!(table, "{cell:>width$}");
    }
}
