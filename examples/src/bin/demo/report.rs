//! Shows the steps as they happen.

use std::io::{Write, stdout};
use std::time::Instant;

use anyhow::Result;

/// Runs one step, and shows its name, then whether it succeeded, what it found, and how long it took.
pub(crate) fn step<T>(name: &str, run: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
    print!("  {name} …");
    // A terminal that is gone must not end the demo.
    let _ = stdout().flush();
    let start = Instant::now();
    match run() {
        Ok((value, detail)) => {
            let separator = if detail.is_empty() { "" } else { ": " };
            println!(" ✓{separator}{detail} ({:.1} s)", start.elapsed().as_secs_f64());
            Ok(value)
        }
        Err(error) => {
            println!(" ✗");
            Err(error)
        }
    }
}

/// A heading between steps.
pub(crate) fn part(title: &str) {
    println!("\n{title}");
}
