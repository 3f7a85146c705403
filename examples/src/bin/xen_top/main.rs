//! Shows what domains do: a live table on a terminal, plain text in a pipe.
//!
//! ```text
//! xen_top                     live; q quits, s sorts, p pauses the selected domain
//! xen_top --once              one table
//! xen_top --interval 5 | tee  a table every five seconds
//! ```
//!
//! EVENTS/s: of domain 0, the events that its kernel handles; of others, those that they send to the kernel's backends there, so of
//! a guest that uses disks or networks. A dash where nobody counts: Xen does not, and Linux not before 5.12.

mod events;
mod sample;
mod screen;
mod text;

use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use sample::{Order, Sampler};
use xen_ctrl::Xenctrl;

/// Shows what domains do.
#[derive(Parser)]
struct Arguments {
    /// Print one table and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// What to sort by
    #[arg(long, value_enum, default_value_t = Order::Id)]
    sort: Order,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("0.1 to 3600 seconds".to_owned()) }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let interval = Duration::from_secs_f64(arguments.interval);
    let xen = Xenctrl::open()?;
    let mut sampler = Sampler::new(&xen)?;
    if !arguments.once && stdout().is_terminal() {
        return screen::run(&xen, &mut sampler, interval, arguments.sort);
    }
    sampler.sample()?; // from here on, percentages can be told
    loop {
        thread::sleep(interval);
        let mut sample = sampler.sample()?;
        arguments.sort.sort(&mut sample.rows);
        writeln!(stdout(), "{}", text::table(&sample))?;
        if arguments.once {
            return Ok(());
        }
        writeln!(stdout())?;
    }
}
