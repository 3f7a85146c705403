//! Attacks a `blkback` of its own from the frontend's side, in the same domain, and looks at what becomes of it.
//!
//! A backend may answer nonsense with an error, or disconnect the frontend. It may not touch the image, write to pages
//! that it was not asked to, answer success, or fall over.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod attacks;
mod requests;
mod victim;

use std::process::ExitCode;

use clap::Parser;

use attacks::Attack;

/// Attacks a block backend from the frontend's side and looks at what becomes of it.
#[derive(Debug, Parser)]
struct Arguments {
    /// How the attacked backend moves data: copy or map.
    #[arg(long, default_value = "copy")]
    transfer: String,
}

fn main() -> ExitCode {
    let Arguments { transfer } = Arguments::parse();
    println!("Attacking blkback (transfer by {transfer})");
    let attacks = attacks::all();
    let mut failed = 0;
    for Attack { name, run } in &attacks {
        match run(&transfer) {
            Ok(outcome) => println!("  ✓ {name}: {outcome}"),
            Err(error) => {
                failed += 1;
                println!("  ✗ {name}: {error:#}");
            }
        }
    }
    if failed == 0 {
        println!("The backend withstood all {} attacks.", attacks.len());
        ExitCode::SUCCESS
    } else {
        println!("{failed} of {} attacks had an effect that they must not have.", attacks.len());
        ExitCode::FAILURE
    }
}
