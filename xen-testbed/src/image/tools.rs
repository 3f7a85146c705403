//! The hypervisor and dom0's programs, out of Debian's packages.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::find;
use super::kernel;
use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, Cell};
use crate::progress::Progress;

/// Of all that the packages depend on, these are fetched; a `*` at the end stands for any rest of the name.
const PACKAGES: [&str; 22] = [
    "xen-hypervisor-*",
    "xen-utils-*",
    "xenstore-utils",
    "busybox-static",
    "e2fsprogs",
    "libc6",
    "libgcc-s1",
    "libxen*",
    "libyajl*",
    "libuuid1*",
    "libncurses*",
    "libtinfo*",
    "liblzma*",
    "zlib1g*",
    "libzstd*",
    "libext2fs*",
    "libcom-err*",
    "libss2*",
    "libblkid*",
    "libbz2*",
    "libnl-*",
    "libfdt1",
];

/// Hypervisor and programs in the cache.
#[derive(Debug)]
pub(crate) struct Tools(Collection);

impl Tools {
    /// The tools from the cache, or from the archive if they are not there or `newer` ones are wished for.
    pub(crate) fn prepare(cache: &Cache, cell: &'static Cell, newer: bool) -> Result<Self> {
        let architecture = cell.architecture;
        let extract = |downloads: &Path, into: &Path, progress: &Progress| {
            extract(architecture, downloads, into, progress)
        };
        let order = Order {
            place: format!("tools/xen-{}-{}", cell.xen, architecture.debian()),
            what: format!("Xen {} of Debian {}", cell.xen, cell.suite),
            suite: cell.suite,
            architecture,
            seeds: vec![
                format!("xen-hypervisor-{}-{}", cell.xen, architecture.debian()),
                format!("xen-utils-{}", cell.xen),
                "xenstore-utils".into(),
                "busybox-static".into(),
                "e2fsprogs".into(),
            ],
            needed: &is_needed,
            recipe: fingerprint([include_str!("tools.rs"), include_str!("kernel.rs")]),
            extract: &extract,
        };
        Collection::prepare_or_renew(cache, &order, newer).map(Self)
    }

    /// The hypervisor, uncompressed.
    pub(crate) fn xen(&self) -> PathBuf {
        self.0.path("xen")
    }

    /// A file that the packages have at `name`.
    pub(crate) fn root(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path("root").join(name)
    }

    /// Changes when the tools change.
    pub(crate) fn identity(&self) -> &str {
        self.0.identity()
    }
}

fn is_needed(package: &str) -> bool {
    PACKAGES.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == *pattern,
    })
}

fn extract(architecture: Architecture, downloads: &Path, into: &Path, progress: &Progress) -> Result<()> {
    let scratch = downloads.join("unpacked");
    for package in packages_in(downloads)? {
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        progress.say(format!("unpacking {}", name.split('_').next().unwrap_or_default()));
        if name.starts_with("xen-hypervisor-") {
            unpack(&package, &scratch, |path| path.starts_with("boot"))?;
        } else {
            unpack(&package, &into.join("root"), is_program_file)?;
        }
    }
    let xen = find(&[scratch.join("boot")], |name| is_hypervisor(name, architecture));
    kernel::copy(&xen.context("the packages have no hypervisor")?, &into.join("xen"), kernel::decompress)
}

/// Beside the hypervisor there are its configuration and a form for EFI.
fn is_hypervisor(name: &str, architecture: Architecture) -> bool {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.starts_with("xen-") && name.ends_with(architecture.debian())
}

fn is_program_file(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let elsewhere = ["usr/share/", "usr/lib/python3", "usr/include/"];
    !elsewhere.iter().any(|folder| path.starts_with(folder)) && !path.ends_with(".py")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_picked_by_pattern() {
        assert!(is_needed("libxenmisc4.17") && is_needed("libext2fs2t64") && is_needed("e2fsprogs"));
        assert!(!is_needed("python3") && !is_needed("libc6-dev"));
    }

    #[test]
    fn the_hypervisor_is_found_among_its_relatives() {
        assert!(is_hypervisor("xen-4.17-amd64.gz", Architecture::Amd64));
        assert!(is_hypervisor("xen-4.20-arm64", Architecture::Arm64));
        assert!(!is_hypervisor("xen-4.17-amd64.config", Architecture::Amd64));
        assert!(!is_hypervisor("xen-4.17-amd64.efi", Architecture::Amd64));
    }
}
