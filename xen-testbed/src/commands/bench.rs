//! `bench`: the workspace's own measurements, in dom0, and a report of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{environment, pass_on};
use crate::builds::{Linking, build};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::child;
use crate::cli::Bench;
use crate::machine::{Machine, Stream, Workshop};
use crate::payload::Payload;
use crate::progress::note;
use crate::toolchain::Toolchain;

/// The package, the program of it that measures in dom0, and the one that reports here.
const PACKAGE: &str = "benches";
const PROGRAM: &str = "bench";
const REPORT: &str = "report";

/// The runs: what the program is told to count, and whether the machine counts instructions.
const RUNS: [(&str, bool); 4] =
    [("instructions", true), ("nanoseconds", false), ("instructions", true), ("nanoseconds", false)];

/// The answer is the exit status of the first program that fails.
pub(super) fn bench(cell: &'static Cell, options: &Bench) -> Result<u8> {
    let cache = Cache::open()?;
    let program = built(&Toolchain::prepare(&cache, cell.architecture)?, PROGRAM)?;
    let report = built(&Toolchain::host(), REPORT)?;
    let workshop = Workshop::open(&cache, cell)?;
    let folder = cache.scratch()?;
    let mut results = Vec::new();
    for (number, (unit, count)) in RUNS.into_iter().enumerate() {
        note(&format!("run {} of {}: {unit}", number + 1, RUNS.len()));
        let mut options = options.clone();
        options.boot.count = count;
        let (status, output) = run(&workshop, &options, &program, unit)?;
        if status != 0 {
            return Ok(status);
        }
        let file = folder.path().join(format!("run-{number}.json"));
        fs::write(&file, output).with_context(|| format!("cannot write {}", file.display()))?;
        results.push(file);
    }
    let mut report = child::command(report);
    report.args(results);
    if options.filter.is_none() {
        report.arg("--into").arg(&options.into);
    }
    let status = report.status().context("cannot start the report")?;
    Ok(u8::from(!status.success()))
}

/// Builds one program as users build theirs: optimised, and linked to the C library, because it loads C libraries.
fn built(toolchain: &Toolchain, name: &str) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--package", PACKAGE, "--bin", name];
    let programs = build(toolchain.architecture, toolchain, Linking::Dynamic, &arguments)?;
    let program = programs.into_iter().find(|program| program.name == name);
    Ok(program.with_context(|| format!("the package {PACKAGE} has no program {name}"))?.path)
}

/// Measures in a machine of its own; exit status and output.
fn run(workshop: &Workshop<'_>, options: &Bench, program: &Path, unit: &str) -> Result<(u8, Vec<u8>)> {
    let (cell, boot) = (workshop.image.cell(), &options.boot);
    let folder = workshop.cache.scratch()?;
    let archive = folder.path().join("payload");
    let mut payload = Payload::create(&archive, cell.architecture)?;
    let arguments: Vec<_> = [unit.to_owned()].into_iter().chain(options.filter.clone()).collect();
    let invocation = payload.program(program, "t", &arguments)?;
    let script = payload.script(&environment(boot), &invocation)?;
    for file in &boot.file {
        payload.file(file)?;
    }
    payload.finish()?;
    let mut output = Vec::new();
    let mut machine = Machine::start(workshop, boot.setup(cell), &archive, boot.fresh)?;
    let status =
        machine.run(script, Duration::from_secs(boot.timeout), &mut |stream, data| match stream {
            Stream::Output => {
                output.extend_from_slice(data);
                Ok(())
            }
            Stream::Error => pass_on(stream, data),
        })?;
    Ok((status, output))
}
