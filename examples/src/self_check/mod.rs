//! Checks of the whole crate family on the machine at hand.
//!
//! Each module has a list of checks on one device. A check opens what it needs; when it is over, everything must be as it
//! was before (`census`).

mod census;
mod domains;
mod events;
mod grants;
mod hypercalls;
mod machine;
mod memory;

use std::fmt;
use std::io::{self, Write};

use anyhow::{Result, ensure};

use census::Census;
use machine::Machine;

/// Something to check, under the name that is printed.
#[derive(Clone, Copy)]
struct Check {
    name: &'static str,
    run: fn(&Machine) -> Result<()>,
}

/// Ends a check that cannot be made here, for this reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(String);

/// How many checks ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// What was as it must be.
    pub good: u32,
    /// What was not.
    pub failed: u32,
    /// What cannot be checked here.
    pub skipped: u32,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ok, {} failed, {} skipped", self.good, self.failed, self.skipped)
    }
}

/// Makes all checks and prints a line for each, then one with the counts.
///
/// # Errors
/// If it cannot print.
pub fn run(out: &mut impl Write) -> io::Result<Counts> {
    let machine = Machine::find();
    let mut counts = Counts::default();
    let devices = [domains::CHECKS, events::CHECKS, grants::CHECKS, hypercalls::CHECKS, memory::CHECKS];
    for Check { name, run } in devices.concat() {
        match leaving_nothing_behind(|| run(&machine)) {
            Ok(()) => {
                counts.good += 1;
                writeln!(out, "ok {name}")?;
            }
            Err(error) if error.is::<Skipped>() => {
                counts.skipped += 1;
                writeln!(out, "skipped {name}: {error}")?;
            }
            Err(error) => {
                counts.failed += 1;
                writeln!(out, "FAILED {name}: {error:#}")?;
            }
        }
    }
    writeln!(out, "{machine}: {counts}")?;
    Ok(counts)
}

/// Runs a check. It fails if it leaves a file, a mapping or a port behind.
fn leaving_nothing_behind(check: impl Fn() -> Result<()>) -> Result<()> {
    // Other programs bind ports as well, but not every time.
    let mut tries = 3;
    loop {
        let before = Census::take()?;
        check()?;
        let after = Census::take()?;
        tries -= 1;
        if before == after {
            return Ok(());
        }
        ensure!(tries > 0, "before it there were {before}, after it {after}");
    }
}

/// Fails unless an operation was refused with an error of the given pattern.
macro_rules! refused {
    ($outcome:expr, $pattern:pat $(if $guard:expr)?) => {
        match $outcome {
            Err($pattern) $(if $guard)? => {}
            Err(error) => anyhow::bail!("{} was refused in an unexpected way: {error:?}", stringify!($outcome)),
            Ok(_) => anyhow::bail!("{} was not refused", stringify!($outcome)),
        }
    };
}
use refused;
