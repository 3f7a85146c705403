//! `run` and `runner`: one program in dom0.

use std::time::Duration;

use anyhow::Result;

use super::{environment, pass_on};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Run;
use crate::machine::{Machine, Workshop};
use crate::payload::Payload;

/// Runs the program; its exit status is the answer.
pub(super) fn run(cell: &'static Cell, options: &Run) -> Result<u8> {
    let cache = Cache::open()?;
    let workshop = Workshop::open(&cache, cell)?;
    let folder = cache.scratch()?;
    let archive = folder.path().join("payload");
    let mut payload = Payload::create(&archive, cell.architecture)?;
    let invocation = payload.command(&options.program, &options.arguments)?;
    let script = payload.script(&environment(&options.boot), &invocation)?;
    for file in &options.boot.file {
        payload.file(file)?;
    }
    payload.finish()?;
    let mut machine = Machine::start(&workshop, options.boot.setup(cell), &archive, options.boot.fresh)?;
    machine.run(script, Duration::from_secs(options.boot.timeout), &mut pass_on)
}
