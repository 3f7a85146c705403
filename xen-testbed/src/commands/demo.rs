//! `demo`: the workspace's own show, in dom0.

use anyhow::{Context, Result};

use super::{environment, pass_on};
use crate::builds::{Linking, build};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Demo;
use crate::machine::Workshop;
use crate::payload::Invocation;
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
    let (mut machine, script) = workshop.equip(&options.boot, |payload| {
        for program in &programs {
            payload.program(&program.path, "t/bin", &[])?;
        }
        payload.script(&environment(&options.boot), &Invocation::new(PROGRAM, &options.arguments))
    })?;
    machine.run(script, options.boot.limit(), &mut pass_on)
}
