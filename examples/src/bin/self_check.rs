//! Tells whether the crates work on this machine: every device, every kind of operation, and numbers at the edges of what
//! there is.
//!
//! ```text
//! $ self_check
//! ok versions and capabilities
//! …
//! skipped frames of a guest: no guest runs beside this domain
//! Xen 4.17.4, Linux 6.1.0 on x86_64, domain 0: 21 ok, 0 failed, 1 skipped
//! ```
//!
//! One line for each check; the exit status is 1 if any failed. It harms nothing: it binds free ports, shares fresh pages,
//! and only reads what is not its own. In a domain without privileges, what that may not do is skipped, with the reason.
#![expect(clippy::print_stderr, reason = "a program for a terminal")]

use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    match examples::self_check::run(&mut io::stdout().lock()) {
        Ok(counts) if counts.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("self_check: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}
