//! `shell`: a prompt in dom0, or a script from standard input.

use std::io::{IsTerminal, read_to_string, stdin};

use anyhow::{Context, Result};

use super::{environment, pass_on};
use crate::cache::Cache;
use crate::cells::Cell;
use crate::cli::Boot;
use crate::machine::Workshop;
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
    let (mut machine, script) =
        workshop.equip(options, |payload| payload.user_script(&environment(options), &commands))?;
    if is_interactive {
        note(&format!("dom0 of {cell}; `exit` or Ctrl-D leaves"));
        machine.shell()
    } else {
        machine.run(script, options.limit(), &mut pass_on)
    }
}
