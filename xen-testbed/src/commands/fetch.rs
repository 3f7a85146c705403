//! `fetch`: everything is made ready, so that later runs need no network.

use std::fs;

use anyhow::{Context, Result};

use crate::cache::Cache;
use crate::cli::Fetch;
use crate::image::Image;
use crate::machine::emulator::Emulator;
use crate::progress::note;
use crate::release::Release;

/// Brings the cache up to date.
pub(super) fn fetch(release: &'static Release, options: &Fetch) -> Result<u8> {
    let cache = Cache::open()?;
    if options.again {
        for part in ["apt", "image", "parts", "qemu"] {
            let folder = cache.path(part);
            if folder.exists() {
                fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
    }
    let emulator = Emulator::prepare(&cache)?;
    Image::update(&cache, release)?;
    note(&format!("{release} is ready on {}", emulator.version));
    Ok(0)
}
