//! `disk BLKBACK DISK_LOAD`: measures, in dom0, the block backend `blkback` of the package `examples` beside the kernel's, with
//! a stock Linux guest, and prints the results as JSON.
//!
//! Each backend serves the same image, on tmpfs, to a guest of its own, in which the program `disk_load` runs. What counts is the
//! processor time of dom0 as Xen accounts for it: of the backend, and of everything that works for it in the kernel. What
//! dom0 uses when nothing happens is taken off.
//!
//! See `cargo xen bench`, which counts instructions: a nanosecond of dom0's processor is one.

mod backend;
mod guest;

use anyhow::{Context, Result, bail};
use backend::{Backend, Image};
use benches::results::{self, Measured};
use guest::Guest;
use std::env;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [blkback, load] = &arguments[..] else { bail!("usage: disk BLKBACK DISK_LOAD") };
    let image = Image::create()?;
    let mut disks = Vec::new();
    // The kernel's comes last: once it is loaded, it would answer all guests.
    let backends = [
        ("ours, keep", Some("keep")),
        ("ours, copy", Some("copy")),
        ("ours, map", Some("map")),
        ("xen-blkback", None),
    ];
    for (name, transfer) in backends {
        let guest = Guest::start(load)?;
        let backend = match transfer {
            None => Backend::kernel(&image, &guest.domain),
            Some(transfer) => Backend::ours(blkback, &image, &guest.domain, transfer),
        };
        let backend = backend.with_context(|| format!("cannot start the backend: {name}"))?;
        let phases = guest.watch().with_context(|| format!("{name}: {}", backend.log()))?;
        disks.push(results::Backend { name: name.to_owned(), phases });
    }
    Ok(Measured::Disk(disks).print()?)
}
