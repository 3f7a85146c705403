//! `test`: a workspace's tests, on this machine and in every cell of the matrix.

#![expect(clippy::print_stdout, reason = "the report is this command's output")]

mod bench;
mod bundle;
mod host;
mod report;
mod targets;
mod transcript;

use std::time::Instant;

use anyhow::Result;

use self::bench::Bench;
use self::bundle::Bundle;
use self::report::{Report, Row};
use self::targets::Targets;
use crate::cache::Cache;
use crate::cells::{Architecture, Cell};
use crate::cli::Test;
use crate::libtest::Results;
use crate::machine::Workshop;
use crate::progress::note;

/// Runs the tests and prints the report; the answer is 0 if there were some and all of them passed.
pub(super) fn test(cells: &[&'static Cell], options: &Test) -> Result<u8> {
    let targets = Targets::find()?;
    let mut report = Report::default();
    if !options.dom0_only && options.program.is_none() {
        report.add(host::ordinary_tests(options)?);
        if let Some(row) = host::header_tests(options, &targets)? {
            report.add(row);
        }
    }
    if !targets.selection(options.program.as_deref()).is_empty() {
        let cache = Cache::open()?;
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let cells: Vec<_> =
                cells.iter().copied().filter(|cell| cell.architecture == architecture).collect();
            if !cells.is_empty() {
                test_architecture(&cache, &cells, options, &targets, &mut report);
            }
        }
    }
    println!("\n{report}");
    Ok(u8::from(!report.is_success()))
}

/// Goes through cells of the same architecture. Whatever goes wrong in one of them, the others have their turn.
fn test_architecture(
    cache: &Cache,
    cells: &[&'static Cell],
    options: &Test,
    targets: &Targets,
    report: &mut Report,
) {
    let bundle = Bundle::prepare(cache, cells[0].architecture, options, targets);
    for cell in cells {
        let start = Instant::now();
        let rows = match &bundle {
            Ok(bundle) => test_cell(cache, cell, options, bundle),
            Err(error) => vec![failure(cell, start, error)],
        };
        for row in rows {
            report.add(row);
        }
    }
}

fn test_cell(cache: &Cache, cell: &'static Cell, options: &Test, bundle: &Bundle) -> Vec<Row> {
    let start = Instant::now();
    match Workshop::open(cache, cell) {
        Ok(workshop) => Bench { workshop, cell, options, bundle, machine: None }.run(),
        Err(error) if cell.is_optional => {
            note(&format!("{cell} is skipped: {error:#}"));
            let results = Results::skip(format!("it cannot be had: {error:#}").replace('\n', " "));
            vec![row(cell, start, results)]
        }
        Err(error) => vec![failure(cell, start, &error)],
    }
}

fn failure(cell: &Cell, start: Instant, error: &anyhow::Error) -> Row {
    note(&format!("{cell} cannot be tested: {error:#}"));
    row(cell, start, Results::failure(format!("it cannot be tested: {error:#}")))
}

fn row(cell: &Cell, start: Instant, results: Results) -> Row {
    Row { cell: cell.name.into(), program: String::new(), results, duration: start.elapsed() }
}
