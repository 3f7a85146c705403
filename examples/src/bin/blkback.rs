//! Serves an image file to a running guest as a disk. The modules are in `examples::blkback`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use examples::blkback::negotiate::Offer;
use examples::blkback::{self, Options, Transfer, VirtualDevice};
use tracing_subscriber::EnvFilter;
use xen_evtchn::DomId;

/// Serves an image file to a running guest as a disk, until the guest gives it up or this program gets SIGINT or SIGTERM.
#[derive(Debug, Parser)]
struct Arguments {
    /// The guest's domain number (see `xl list`).
    #[arg(long)]
    domain: DomId,
    /// The image: a raw file, or a block device.
    #[arg(long)]
    image: PathBuf,
    /// The guest's name for the disk.
    #[arg(long, default_value = "xvda")]
    device: VirtualDevice,
    /// Do not let the guest write.
    #[arg(long)]
    read_only: bool,
    /// How data moves between the guest and the image.
    #[arg(long, value_enum, default_value = "keep")]
    transfer: Transfer,
    /// Rings that the guest may use, each with a thread of ours.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    queues: u32,
    /// Pages that a ring may have, as a power of two.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=4))]
    ring_page_order: u32,
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    let arguments = Arguments::parse();
    let served = blkback::run(&Options {
        domain: arguments.domain,
        image: arguments.image,
        device: arguments.device,
        read_only: arguments.read_only,
        transfer: arguments.transfer,
        offer: Offer {
            queues: arguments.queues,
            ring_page_order: arguments.ring_page_order,
            persistent: arguments.transfer == Transfer::Keep,
        },
    });
    match served {
        Ok(stats) => {
            println!("{stats}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("blkback: {error:#}");
            ExitCode::FAILURE
        }
    }
}
