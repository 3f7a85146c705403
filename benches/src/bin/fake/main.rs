//! `fake items|threads`: what our code costs by itself, on any machine, with a fake kernel that does nothing. See `cargo xen
//! bench`.

mod items;
mod threads;

use anyhow::{Result, bail};
use benches::results::Measured;
use std::os::fd::OwnedFd;

fn main() -> Result<()> {
    let measured = match std::env::args().nth(1).as_deref() {
        Some("items") => Measured::Items(items::items()?),
        Some("threads") => Measured::Threads(threads::threads()?),
        _ => bail!("usage: fake items|threads"),
    };
    Ok(measured.print()?)
}

/// Memory in a device's place.
fn memfd(bytes: u64) -> Result<OwnedFd> {
    let fd = rustix::fs::memfd_create("xen", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&fd, bytes)?;
    Ok(fd)
}
