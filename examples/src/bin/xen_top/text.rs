//! The table as text, for the screen and for pipes.

use crate::sample::{Row, Sample, Totals};

/// How many columns there are.
pub(crate) const COUNT: usize = 9;

/// The columns: heading and width. Numbers stand at the right.
pub(crate) const COLUMNS: [(&str, u16); COUNT] = [
    ("NAME", 20),
    ("ID", 5),
    ("STATE", 6),
    ("CPU(sec)", 9),
    ("CPU(%)", 7),
    ("MEM(k)", 10),
    ("MEM(%)", 6),
    ("VCPUS", 5),
    ("EVENTS/s", 8),
];

/// The cells of a line, in the order of [`COLUMNS`].
pub(crate) fn cells(row: &Row) -> [String; COUNT] {
    let mut name = row.name.clone();
    name.truncate(name.char_indices().nth(20).map_or(name.len(), |(end, _)| end));
    [
        name,
        row.id.to_string(),
        row.state.clone(),
        format!("{:.1}", row.cpu_time.as_secs_f64()),
        format!("{:.1}", row.cpu_percent),
        row.memory_kib.to_string(),
        format!("{:.1}", row.memory_percent),
        row.vcpus.to_string(),
        row.events.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
    ]
}

/// What stands above the table.
pub(crate) fn headline(sample: &Sample) -> String {
    let Totals { cpus, mhz, memory_mib, free_mib } = sample.totals;
    let paused = sample.rows.iter().filter(|row| row.is_paused).count();
    let domains = sample.rows.len();
    format!(
        "{domains} domains, {paused} paused; {cpus} CPUs at {mhz} MHz; {memory_mib} MiB of memory, {free_mib} free"
    )
}

/// The whole table.
pub(crate) fn table(sample: &Sample) -> String {
    let mut lines = vec![headline(sample), line(&COLUMNS.map(|(heading, _)| heading.to_owned()))];
    lines.extend(sample.rows.iter().map(|row| line(&cells(row))));
    lines.join("\n")
}

fn line(cells: &[String; COUNT]) -> String {
    let padded = cells.iter().zip(COLUMNS).enumerate().map(|(column, (cell, (_, width)))| {
        let width = usize::from(width);
        if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
    });
    padded.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use xen_ctrl::DomId;

    use super::{Row, Sample, Totals, table};
    use crate::sample::Order;

    fn row(id: u16, name: &str, cpu_percent: f64, memory_kib: u64, events: Option<f64>) -> Row {
        Row {
            id: DomId::new(id).expect("an ordinary number"),
            name: name.to_owned(),
            state: "-b----".to_owned(),
            is_paused: false,
            cpu_time: Duration::from_millis(12_340),
            cpu_percent,
            memory_kib,
            memory_percent: 12.5,
            vcpus: 2,
            events,
        }
    }

    #[test]
    fn columns_stay_where_they_are() {
        let totals = Totals { cpus: 4, mhz: 2400, memory_mib: 2048, free_mib: 512 };
        let long = "a name that is far too long for its column";
        let rows = vec![row(0, "Domain-0", 1.25, 262_144, Some(1234.5)), row(12, long, 99.0, 4, None)];
        let mut sample = Sample { totals, rows };
        Order::Cpu.sort(&mut sample.rows);
        let expected = "\
2 domains, 0 paused; 4 CPUs at 2400 MHz; 2048 MiB of memory, 512 free
NAME                    ID  STATE  CPU(sec)  CPU(%)     MEM(k) MEM(%) VCPUS EVENTS/s
a name that is far t    12 -b----      12.3    99.0          4   12.5     2        -
Domain-0                 0 -b----      12.3     1.2     262144   12.5     2     1234";
        assert_eq!(table(&sample), expected);
        let orders =
            [(Order::Id, 0), (Order::Name, 0), (Order::Memory, 0), (Order::Cpu, 12), (Order::Events, 0)];
        for (order, first) in orders {
            order.sort(&mut sample.rows);
            assert_eq!(sample.rows[0].id.get(), first, "{order:?}");
        }
    }
}
