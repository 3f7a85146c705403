//! `xen-testbed`, also known as `cargo xen`: real Xen in one command. See the README.

mod apt;
mod builds;
mod cache;
mod cargo;
mod cells;
mod child;
mod cli;
mod commands;
mod image;
mod libtest;
mod machine;
mod minipv;
mod payload;
mod progress;
mod source;
mod toolchain;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::Arguments;
use crate::progress::note;

/// What a user gets who made a mistake, or whose machine lacks something; distinct from most programs' own statuses.
const FAILURE: u8 = 125;

fn main() -> ExitCode {
    match commands::perform(&Arguments::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            note(&format!("{error:#}"));
            if error.chain().any(is_disk_full) {
                note(
                    "the disk is full: make room for 1 GiB, or set XEN_TESTBED_CACHE to a folder on another disk",
                );
            }
            ExitCode::from(FAILURE)
        }
    }
}

fn is_disk_full(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}
