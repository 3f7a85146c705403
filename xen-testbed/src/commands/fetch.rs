//! `fetch`: everything is made ready, so that later runs need no network.

use std::fs;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::cells::{CellName, USUAL};
use crate::cli::Fetch;
use crate::image::Image;
use crate::machine::emulator::Emulator;
use crate::progress::note;
use crate::toolchain::Toolchain;

/// What can be thrown away, and comes again.
const FETCHED: [&str; 10] =
    ["apt", "build-tools", "built", "compiler", "headers", "image", "linux", "qemu", "rust", "tools"];

/// Brings the cache up to date.
pub(super) fn fetch(cells: &[CellName], options: &Fetch) -> Result<u8> {
    let cache = Cache::open()?;
    if options.again {
        for part in FETCHED {
            let folder = cache.path(part);
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
    }
    for name in if cells.is_empty() { &[USUAL] } else { cells } {
        let cell = name.cell();
        let emulator = Emulator::prepare(&cache, cell.architecture)?;
        Image::prepare(&cache, cell, true)?;
        Toolchain::prepare(&cache, cell.architecture)?;
        note(&format!("{cell} is ready on {}", emulator.version));
    }
    Ok(0)
}
