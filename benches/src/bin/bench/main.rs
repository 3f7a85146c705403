//! `bench [FILTER]`: measures, in dom0, and prints the results as JSON. See `cargo xen bench`.

mod allocations;

use anyhow::Result;
use std::env;
use std::io::{Write, stdout};

fn main() -> Result<()> {
    let filter = env::args().nth(1).unwrap_or_default();
    let run = benches::run(&filter, allocations::count)?;
    serde_json::to_writer_pretty(stdout(), &run)?;
    writeln!(stdout())?;
    Ok(())
}
