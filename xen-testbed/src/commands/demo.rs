//! `demo`: the workspace's own show, in dom0.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{environment, pass_on};
use crate::builds::{Linking, build};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Demo;
use crate::machine::{Machine, Workshop};
use crate::payload::{Invocation, Payload};
use crate::toolchain::Toolchain;

/// The package whose programs are copied, and the one of them that is started.
const PACKAGE: &str = "examples";
const PROGRAM: &str = "demo";

/// The answer is the demo's exit status.
pub(super) fn demo(cell: &'static Cell, options: &Demo) -> Result<u8> {
    let cache = Cache::open()?;
    let toolchain = Toolchain::prepare(&cache, cell.architecture)?;
    let arguments = ["build", "--package", PACKAGE, "--bins"];
    let programs = build(cell.architecture, &toolchain, Linking::Static, &arguments)?;
    programs
        .iter()
        .find(|program| program.name == PROGRAM)
        .with_context(|| format!("the package {PACKAGE} of this workspace has no program {PROGRAM}"))?;
    let workshop = Workshop::open(&cache, cell)?;
    let folder = cache.scratch()?;
    let archive = folder.path().join("payload");
    let mut payload = Payload::create(&archive, cell.architecture)?;
    for program in &programs {
        payload.program(&program.path, "t/bin", &[])?;
    }
    for file in &options.boot.file {
        payload.file(file)?;
    }
    let script =
        payload.script(&environment(&options.boot), &Invocation::new(PROGRAM, &options.arguments))?;
    payload.finish()?;
    let mut machine = Machine::start(&workshop, options.boot.setup(cell), &archive, options.boot.fresh)?;
    machine.run(script, Duration::from_secs(options.boot.timeout), &mut pass_on)
}
