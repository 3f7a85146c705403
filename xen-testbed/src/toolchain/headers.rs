//! The C headers of each hypervisor and kernel, for tests that compare them with Rust's records.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, CELLS};
use crate::progress::Progress;

/// The folder that has a folder `xen-VERSION-ARCHITECTURE` for each version that Debian ships, in which `usr/include` is.
pub(crate) fn prepare(cache: &Cache) -> Result<PathBuf> {
    let mut done = Vec::new();
    for cell in &CELLS {
        for architecture in [Architecture::Amd64, Architecture::Arm64] {
            let place = format!("{FOLDER}/xen-{}-{}", cell.xen, architecture.debian());
            if !done.contains(&place) {
                fetch(cache, cell.suite, architecture, &place)?;
                done.push(place);
            }
        }
    }
    Ok(cache.path(FOLDER))
}

const FOLDER: &str = "headers";

/// Xen's public headers, and the kernel's.
const PACKAGES: [&str; 2] = ["libxen-dev", "linux-libc-dev"];

fn fetch(cache: &Cache, suite: &'static str, architecture: Architecture, place: &str) -> Result<Collection> {
    let extract = |downloads: &Path, into: &Path, _: &Progress| {
        let is_header = |path: &Path| path.starts_with("usr/include") || path.starts_with("usr/lib/linux");
        packages_in(downloads)?.into_iter().try_for_each(|package| unpack(&package, into, is_header))
    };
    let order = Order {
        place: place.to_owned(),
        what: format!("the headers of Debian {suite}"),
        suite,
        architecture,
        seeds: PACKAGES.map(str::to_owned).into(),
        needed: &|package| PACKAGES.contains(&package),
        recipe: fingerprint(include_str!("headers.rs")),
        extract: &extract,
    };
    Collection::prepare(cache, &order)
}
