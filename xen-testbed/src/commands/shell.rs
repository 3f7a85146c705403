//! `shell`: a prompt in dom0, or a script from standard input.

use std::io::{IsTerminal, read_to_string, stdin};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{environment, pass_on};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Boot;
use crate::machine::{Machine, Workshop};
use crate::payload::Payload;
use crate::progress::note;

/// The answer is the shell's exit status.
pub(super) fn shell(cell: &'static Cell, options: &Boot) -> Result<u8> {
    let is_interactive = stdin().is_terminal();
    let commands = if is_interactive {
        String::new()
    } else {
        read_to_string(stdin()).context("cannot read the script")?
    };
    let cache = Cache::open()?;
    let workshop = Workshop::open(&cache, cell)?;
    let folder = cache.scratch()?;
    let archive = folder.path().join("payload");
    let mut payload = Payload::create(&archive, cell.architecture)?;
    let script = payload.user_script(&environment(options), &commands)?;
    for file in &options.file {
        payload.file(file)?;
    }
    payload.finish()?;
    let mut machine = Machine::start(&workshop, options.setup(cell), &archive, options.fresh)?;
    if is_interactive {
        note(&format!("dom0 of {cell}; `exit` or Ctrl-D leaves"));
        machine.shell()
    } else {
        machine.run(script, Duration::from_secs(options.timeout), &mut pass_on)
    }
}
