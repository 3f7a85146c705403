//! The test programs of one architecture, built once and the same in all its cells.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::targets::{FOR_DOM0, FOR_GUESTS, Targets};
use crate::builds::{Linking, Program, build};
use crate::cache::{Cache, fingerprint};
use crate::cells::Architecture;
use crate::cli::Test;
use crate::commands::environment;
use crate::payload::{Invocation, Payload};
use crate::progress::note;
use crate::toolchain::Toolchain;

/// A step in a cell: one program in dom0, or all those for guests in one guest.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The number of its script.
    pub(super) script: usize,
    /// For the report.
    pub(super) name: String,
    /// How many test programs tell their results.
    pub(super) programs: usize,
}

/// An archive of programs, and what to do with them.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: TempDir,
    pub(super) steps: Vec<Step>,
}

impl Bundle {
    /// Builds the workspace's tests for `architecture`.
    pub(super) fn prepare(
        cache: &Cache,
        architecture: Architecture,
        options: &Test,
        targets: &Targets,
    ) -> Result<Self> {
        let toolchain = Toolchain::prepare(cache, architecture)?;
        let mut arguments = ["test", "--workspace", "--all-features", "--no-run"].map(str::to_owned).to_vec();
        arguments.extend(targets.selection(options.program.as_deref()));
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut programs = build(architecture, &toolchain, Linking::Static, &arguments)?;
        // cargo tells them in the order of completion
        programs.sort_by(|one, other| (&one.package, &one.name).cmp(&(&other.package, &other.name)));
        note(&format!(
            "the same {} programs run in all cells of {} (fingerprint {})",
            programs.len(),
            architecture.gnu(),
            identity(&programs)?
        ));
        let folder = cache.scratch()?;
        let mut payload = Payload::create(&folder.path().join(ARCHIVE), architecture)?;
        let steps = fill(&mut payload, options, &programs)?;
        payload.finish()?;
        Ok(Self { folder, steps })
    }

    /// The archive's file.
    pub(super) fn archive(&self) -> PathBuf {
        self.folder.path().join(ARCHIVE)
    }
}

const ARCHIVE: &str = "payload";

fn fill(payload: &mut Payload, options: &Test, programs: &[Program]) -> Result<Vec<Step>> {
    let mut arguments =
        ["--include-ignored", "--test-threads=1", "--show-output"].map(str::to_owned).to_vec();
    arguments.extend(options.filter.clone());
    let environment = environment(&options.boot);
    let mut steps = Vec::new();
    let mut guests = 0;
    for program in programs {
        if !program.is_test {
            payload.program(&program.path, "t/bin", &[])?;
        } else if program.name.starts_with(FOR_DOM0) {
            let invocation = payload.program(&program.path, "t/tests", &arguments)?;
            let script = payload.script(&environment, &invocation.limited_to(options.boot.timeout))?;
            steps.push(Step { script, name: format!("{} {}", program.package, program.name), programs: 1 });
        } else if program.name.starts_with(FOR_GUESTS) {
            payload.program(&program.path, "t/guest-tests", &[])?;
            guests += 1;
        }
    }
    if guests > 0 {
        arguments.insert(0, options.boot.timeout.to_string());
        let script = payload.script(&environment, &Invocation::new("guest-tests", &arguments))?;
        // first, because the guest stays, and tests in dom0 that need one need not boot it
        steps.insert(0, Step { script, name: format!("in a guest: {FOR_GUESTS}*"), programs: guests });
    }
    for file in &options.boot.file {
        payload.file(file)?;
    }
    Ok(steps)
}

/// Tells whether two runs had the same programs, byte for byte.
fn identity(programs: &[Program]) -> Result<String> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let contents = programs.iter().map(|program| read(&program.path)).collect::<Result<Vec<_>>>()?;
    Ok(fingerprint(contents))
}
