//! `run` and `runner`: one program in dom0.

use std::time::Duration;

use anyhow::Result;

use super::{environment, pass_on};
use crate::cli::Run;
use crate::machine::{Machine, Workshop};
use crate::payload::Payload;
use crate::release::Release;

/// Runs the program; its exit status is the answer.
pub(super) fn run(release: &'static Release, options: &Run) -> Result<u8> {
    let workshop = Workshop::open(release)?;
    let folder = workshop.cache.scratch()?;
    let archive = folder.path().join("payload");
    let mut payload = Payload::create(&archive)?;
    let invocation = payload.command(&options.program, &options.arguments)?;
    let script = payload.script(&environment(&options.boot), &invocation)?;
    for file in &options.boot.file {
        payload.file(file)?;
    }
    payload.finish()?;
    let mut machine = Machine::start(&workshop, options.boot.setup(), &archive, options.boot.fresh)?;
    machine.run(script, Duration::from_secs(options.boot.timeout), &mut pass_on)
}
