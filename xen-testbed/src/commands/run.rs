//! `run` and `runner`: one program in dom0.

use anyhow::Result;

use super::{environment, pass_on};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Run;
use crate::machine::Workshop;

/// Runs the program; its exit status is the answer.
pub(super) fn run(cell: &'static Cell, options: &Run) -> Result<u8> {
    let cache = Cache::open()?;
    let workshop = Workshop::open(&cache, cell)?;
    let (mut machine, script) = workshop.equip(&options.boot, |payload| {
        let invocation = payload.command(&options.program, &options.arguments)?;
        payload.script(&environment(&options.boot), &invocation)
    })?;
    machine.run(script, options.boot.limit(), &mut pass_on)
}
