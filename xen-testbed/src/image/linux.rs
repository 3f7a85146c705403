//! A dom0 kernel with the modules that matter, out of Debian's packages.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::find;
use super::kernel;
use super::modules::Modules;
use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, Kernel};
use crate::progress::Progress;

/// Kernel modules for dom0 and for guests, beside what they depend on.
const MODULES: [&str; 17] = [
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
    "xen-blkback",
    "xen-blkfront",
    "loop",
    "ext4",
    "crc32c_generic",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "dm-mod",
    "fuse",
    "xen-netback",
    "xen-netfront",
];

/// Kernel module folders that hold nothing for us but most of the bytes.
const NO_MODULES_FROM: [&str; 9] = [
    "kernel/sound/",
    "kernel/drivers/gpu/",
    "kernel/drivers/media/",
    "kernel/drivers/net/wireless/",
    "kernel/drivers/net/ethernet/",
    "kernel/drivers/infiniband/",
    "kernel/drivers/scsi/",
    "kernel/drivers/staging/",
    "kernel/drivers/usb/",
];

/// The packages that have kernels; the rest of what they depend on makes them bootable from disks.
const PACKAGES: [&str; 3] = ["linux-image-", "linux-binary-", "linux-modules-"];

/// A kernel in the cache.
#[derive(Debug)]
pub(crate) struct Linux(Collection);

impl Linux {
    /// The kernel from the cache, or from the archive if it is not there or a `newer` one is wished for.
    pub(crate) fn prepare(
        cache: &Cache,
        kernel: Kernel,
        architecture: Architecture,
        newer: bool,
    ) -> Result<Self> {
        let extract = |downloads: &Path, into: &Path, progress: &Progress| {
            extract(architecture, downloads, into, progress)
        };
        let order = Order {
            place: format!("linux/{}-{}", kernel.suite, kernel.package),
            what: format!("Linux of Debian {}", kernel.suite),
            suite: kernel.suite,
            architecture,
            seeds: vec![kernel.package.to_owned()],
            needed: &|package| PACKAGES.iter().any(|start| package.starts_with(start)),
            recipe: fingerprint([
                include_str!("linux.rs"),
                include_str!("modules.rs"),
                include_str!("kernel.rs"),
            ]),
            extract: &extract,
        };
        Collection::prepare_or_renew(cache, &order, newer).map(Self)
    }

    /// A file: `vmlinux`, or `modules`, the folder of the modules.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path(name)
    }

    /// Changes when the kernel changes.
    pub(crate) fn identity(&self) -> &str {
        self.0.identity()
    }

    /// The version of the kernel, as in the names of its folders.
    pub(crate) fn version(&self) -> Result<String> {
        let path = self.path("kernel-version");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn extract(architecture: Architecture, downloads: &Path, into: &Path, progress: &Progress) -> Result<()> {
    let scratch = downloads.join("unpacked");
    for package in packages_in(downloads)? {
        unpack(&package, &scratch, is_kernel_file)?;
    }
    progress.say("unpacking the kernel");
    let trees = [scratch.join("lib/modules"), scratch.join("usr/lib/modules")];
    let tree = find(&trees, |_| true).context("the packages have no kernel modules")?;
    let version = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = [scratch.join("boot"), tree.clone()];
    let image = find(&images, |name| name.starts_with("vmlinuz")).context("the packages have no kernel")?;
    kernel::copy(&image, &into.join("vmlinux"), |data| match architecture {
        Architecture::Amd64 => kernel::vmlinux(data),
        Architecture::Arm64 => kernel::decompress(data),
    })?;
    fs::write(into.join("kernel-version"), version).context("cannot write to the cache")?;
    progress.say("choosing kernel modules");
    let modules = into.join("modules");
    fs::create_dir_all(&modules).with_context(|| format!("cannot create {}", modules.display()))?;
    Modules::choose(&tree, &MODULES)?.write(&modules)
}

fn is_kernel_file(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let is_module = path.contains(".ko") && !NO_MODULES_FROM.iter().any(|folder| path.contains(folder));
    is_module || path.contains("vmlinuz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_files_are_picked() {
        assert!(is_kernel_file(Path::new("lib/modules/6.1/kernel/fs/ext4/ext4.ko.xz")));
        assert!(is_kernel_file(Path::new("boot/vmlinuz-6.1.0-56-arm64")));
        assert!(!is_kernel_file(Path::new("lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko")));
        assert!(!is_kernel_file(Path::new("boot/System.map-6.1")));
    }
}
