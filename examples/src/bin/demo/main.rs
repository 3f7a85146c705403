//! The demonstrations, each with a stock Linux guest: `blkback` serves its disks, or `device_model` is its devices. Runs in dom0 of
//! the test bed: `cargo xen demo`, `cargo xen demo device-model`.
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod block;
mod device_model;
mod guest;
mod image;
mod report;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};

/// What there is to see.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Show {
    /// A block backend
    Block,
    /// A device model. x86 only
    DeviceModel,
}

/// Shows what the crates are good for, with a Linux guest.
#[derive(Debug, Parser)]
struct Arguments {
    /// What to show
    #[arg(value_enum, default_value = "block")]
    show: Show,
    /// Leave out the attacks on the block backend
    #[arg(long)]
    no_attacks: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let start = Instant::now();
    let outcome = match arguments.show {
        Show::Block => block::demo(!arguments.no_attacks),
        Show::DeviceModel => device_model::demo(),
    };
    match outcome {
        Ok(()) => {
            println!("\n✓ All of it worked, in {:.0} s.", start.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\n✗ The demo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
