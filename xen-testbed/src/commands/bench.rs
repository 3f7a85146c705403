//! `bench`: the workspace's own measurements, in dom0, and a report of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{environment, pass_on};
use crate::builds::{Linking, build};
use crate::cache::Cache;
use crate::cells::{Architecture, Cell};
use crate::child;
use crate::cli::{Bench, Part};
use crate::machine::{Stream, Workshop};
use crate::progress::note;
use crate::toolchain::Toolchain;

/// The package with the programs, and the one with the block backend that is measured.
const PACKAGE: &str = "benches";
const EXAMPLES: &str = "examples";

/// How operations are measured: what the program is told to count, and whether the machine counts instructions.
const RUNS: [(&str, bool); 4] =
    [("instructions", true), ("nanoseconds", false), ("instructions", true), ("nanoseconds", false)];

/// The answer is the exit status of the report.
pub(super) fn bench(cell: &'static Cell, options: &Bench) -> Result<u8> {
    let cache = Cache::open()?;
    let toolchain = Toolchain::prepare(&cache, cell.architecture)?;
    let workshop = Workshop::open(&cache, cell)?;
    let folder = cache.scratch()?;
    let mut bench = Session { toolchain, workshop, options, folder, results: Vec::new() };
    if options.wants(Part::Operations) {
        bench.operations()?;
    }
    if options.wants(Part::Disk) {
        bench.disk()?;
    }
    if options.wants(Part::Threads) {
        bench.threads()?;
    }
    if options.wants(Part::Fake) {
        bench.fake()?;
    }
    bench.report()
}

/// Programs are run one after another, and what they print is kept.
struct Session<'a> {
    toolchain: Toolchain,
    workshop: Workshop<'a>,
    options: &'a Bench,
    folder: TempDir,
    results: Vec<PathBuf>,
}

impl Session<'_> {
    /// The program loads the C libraries.
    fn operations(&mut self) -> Result<()> {
        let program = self.built(Linking::Dynamic, PACKAGE, "bench")?;
        for (number, (unit, count)) in RUNS.into_iter().enumerate() {
            note(&format!("operations, run {} of {}: {unit}", number + 1, RUNS.len()));
            let arguments: Vec<_> =
                [unit.to_owned()].into_iter().chain(self.options.filter.clone()).collect();
            self.run(&program, &arguments, &[], count, 1)?;
        }
        Ok(())
    }

    /// The guest with the load is a PV guest.
    fn disk(&mut self) -> Result<()> {
        if self.workshop.image.cell().architecture != Architecture::Amd64 {
            note(
                "block backends are left out: they are measured with a PV guest, which this architecture has not",
            );
            return Ok(());
        }
        note("block backends");
        let program = self.built(Linking::Static, PACKAGE, "disk")?;
        let load = self.built(Linking::Static, PACKAGE, "disk_load")?;
        let backend = self.built(Linking::Static, EXAMPLES, "blkback")?;
        let arguments = ["/t/blkback".to_owned(), "/t/disk_load".to_owned()];
        self.run(&program, &arguments, &[backend, load], true, 1)
    }

    fn threads(&mut self) -> Result<()> {
        note("threads");
        let program = self.built(Linking::Static, PACKAGE, "threads")?;
        self.run(&program, &[], &[], false, 2)
    }

    /// On this machine.
    fn fake(&mut self) -> Result<()> {
        let toolchain = Toolchain::host();
        let program = built(&toolchain, Linking::Dynamic, PACKAGE, "fake", &["--features", "fake"])?;
        for what in ["threads", "items"] {
            note(&format!("{what} with a fake kernel"));
            let output = child::command(&program).arg(what).output().context("cannot start the program")?;
            if !output.status.success() {
                bail!("`fake {what}` failed: {}", String::from_utf8_lossy(&output.stderr));
            }
            self.keep(&output.stdout)?;
        }
        Ok(())
    }

    /// The answer is the exit status.
    fn report(&self) -> Result<u8> {
        let program = built(&Toolchain::host(), Linking::Dynamic, PACKAGE, "report", &[])?;
        let mut report = child::command(program);
        report.args(&self.results);
        if self.options.is_complete() {
            report.arg("--into").arg(&self.options.into);
        }
        let status = report.status().context("cannot start the report")?;
        Ok(u8::from(!status.success()))
    }

    fn built(&self, linking: Linking, package: &str, name: &str) -> Result<PathBuf> {
        built(&self.toolchain, linking, package, name, &[])
    }

    /// Runs a program in a machine of its own, and keeps what it prints.
    fn run(
        &mut self,
        program: &Path,
        arguments: &[String],
        files: &[PathBuf],
        count: bool,
        vcpus: u32,
    ) -> Result<()> {
        let mut boot = self.options.boot.clone();
        (boot.count, boot.vcpus) = (count, vcpus);
        boot.file.extend_from_slice(files);
        let (mut machine, script) = self.workshop.equip(&boot, |payload| {
            self.toolchain.libraries().into_iter().for_each(|folder| payload.look_into(folder));
            let invocation = payload.program(program, "t", arguments)?;
            payload.script(&environment(&boot), &invocation)
        })?;
        let mut output = Vec::new();
        let status = machine.run(script, boot.limit(), &mut |stream, data| match stream {
            Stream::Output => {
                output.extend_from_slice(data);
                Ok(())
            }
            Stream::Error => pass_on(stream, data),
        })?;
        if status != 0 {
            bail!("{} failed with status {status}", program.display());
        }
        self.keep(&output)
    }

    fn keep(&mut self, output: &[u8]) -> Result<()> {
        let file = self.folder.path().join(format!("result-{}.json", self.results.len()));
        fs::write(&file, output).with_context(|| format!("cannot write {}", file.display()))?;
        self.results.push(file);
        Ok(())
    }
}

/// Builds one program as users build theirs: optimised.
fn built(
    toolchain: &Toolchain,
    linking: Linking,
    package: &str,
    name: &str,
    options: &[&str],
) -> Result<PathBuf> {
    let arguments = [&["build", "--release", "--package", package, "--bin", name], options].concat();
    let programs = build(toolchain.architecture, toolchain, linking, &arguments)?;
    let program = programs.into_iter().find(|program| program.name == name);
    Ok(program.with_context(|| format!("the package {package} has no program {name}"))?.path)
}
