//! Downloads a release's packages and keeps the few files of them that matter.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel;
use super::modules::Modules;
use crate::apt::{Apt, Package, unpack};
use crate::cache::{Cache, fingerprint};
use crate::progress::Progress;
use crate::release::Release;

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

/// Of all that the release's packages depend on, these are fetched; a `*` at the end stands for any rest of the name.
const PACKAGES: [&str; 24] = [
    "linux-image-*",
    "linux-binary-*",
    "linux-modules-*",
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

/// The useful content of a release's packages, unpacked.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Which release this is.
    pub(crate) release: &'static Release,
    folder: PathBuf,
}

impl Parts {
    /// What is in the cache, or what the archive has now.
    pub(crate) fn prepare(cache: &Cache, release: &'static Release) -> Result<Self> {
        let parts = Self::place(cache, release);
        let is_current = parts.identity().is_ok_and(|found| found.starts_with(&recipe()));
        if is_current { Ok(parts) } else { Self::update(cache, release) }
    }

    /// What the archive has now; nothing is downloaded if that is in the cache.
    pub(crate) fn update(cache: &Cache, release: &'static Release) -> Result<Self> {
        let parts = Self::place(cache, release);
        let apt = Apt::update(cache, release.suite, release.architecture)?;
        let mut packages = apt.resolve(&release.packages())?;
        packages.retain(|package| is_useful(&package.name));
        let identity = identity(&packages);
        if parts.identity().is_ok_and(|found| found == identity) {
            return Ok(parts);
        }
        let scratch = cache.scratch()?;
        let downloads = cache.scratch()?;
        apt.download(&packages, downloads.path())?;
        let progress = Progress::phase(format!("unpacking {release}"));
        extract(downloads.path(), scratch.path(), &progress)?;
        drop(downloads);
        fs::write(scratch.path().join("packages"), identity).context("cannot write to the cache")?;
        cache.commit(scratch, &parts.folder)?;
        Ok(parts)
    }

    fn place(cache: &Cache, release: &'static Release) -> Self {
        Self { release, folder: cache.path("parts").join(release.cell()) }
    }

    /// The recipe and the packages, with their versions, that these parts came from. An error means that there are no parts yet.
    pub(crate) fn identity(&self) -> Result<String> {
        let path = self.path("packages");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A file of the parts.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.join(name)
    }

    /// The version of the kernel, as in the names of its folders.
    pub(crate) fn kernel_version(&self) -> Result<String> {
        let path = self.path("kernel-version");
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }
}

fn is_useful(package: &str) -> bool {
    PACKAGES.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == *pattern,
    })
}

fn identity(packages: &[Package]) -> String {
    let mut lines: Vec<_> = packages.iter().map(|package| format!("{}\n", package.file)).collect();
    lines.sort();
    recipe() + &lines.concat()
}

/// The code that makes parts; they are made anew when it changes.
fn recipe() -> String {
    const CODE: [&str; 3] = [include_str!("parts.rs"), include_str!("modules.rs"), include_str!("kernel.rs")];
    format!("recipe {}\n", fingerprint(CODE))
}

/// Unpacks all packages in `downloads` and sorts their content into `parts`.
fn extract(downloads: &Path, parts: &Path, progress: &Progress) -> Result<()> {
    let scratch = downloads.join("unpacked");
    for entry in fs::read_dir(downloads).context("cannot list the downloaded packages")? {
        let package = entry?.path();
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        progress.say(format!("unpacking {}", name.split('_').next().unwrap_or_default()));
        if ["linux-", "xen-hypervisor-"].iter().any(|start| name.starts_with(start)) {
            unpack(&package, &scratch, is_kernel_file)?;
        } else {
            unpack(&package, &parts.join("root"), is_program_file)?;
        }
    }
    progress.say("unpacking the kernel");
    let kernels = [scratch.join("boot"), scratch.clone()];
    decompress_to(&find(&kernels, "xen-", "gz")?, &parts.join("xen.elf"), kernel::decompress)?;
    let trees = [scratch.join("lib/modules"), scratch.join("usr/lib/modules")];
    let tree = find(&trees, "", "")?;
    let version = tree.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let images = [scratch.join("boot"), tree.clone()];
    decompress_to(&find(&images, "vmlinuz", "")?, &parts.join("vmlinux"), kernel::vmlinux)?;
    fs::write(parts.join("kernel-version"), version).context("cannot write to the cache")?;
    progress.say("choosing kernel modules");
    let modules = parts.join("modules");
    fs::create_dir_all(&modules).with_context(|| format!("cannot create {}", modules.display()))?;
    Modules::choose(&tree, &MODULES)?.write(&modules)
}

fn is_kernel_file(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let is_module = path.contains(".ko") && !NO_MODULES_FROM.iter().any(|folder| path.contains(folder));
    is_module || path.contains("vmlinuz") || (path.starts_with("boot/xen-") && path.ends_with(".gz"))
}

fn is_program_file(path: &Path) -> bool {
    let path = path.to_string_lossy();
    let elsewhere = ["usr/share/", "usr/lib/python3", "usr/include/"];
    !elsewhere.iter().any(|folder| path.starts_with(folder)) && !path.ends_with(".py")
}

/// The entry with this start and end in the first of `folders` that has one.
fn find(folders: &[PathBuf], start: &str, end: &str) -> Result<PathBuf> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut found = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(start) && name.ends_with(end)
    });
    found.next().with_context(|| format!("the packages have no file {start}*{end}"))
}

fn decompress_to(from: &Path, to: &Path, decompress: impl Fn(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let data = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let data = decompress(&data).with_context(|| format!("cannot unpack {}", from.display()))?;
    fs::write(to, data).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_picked_by_pattern() {
        assert!(is_useful("libxenmisc4.17") && is_useful("libext2fs2t64") && is_useful("e2fsprogs"));
        assert!(!is_useful("python3") && !is_useful("libc6-dev"));
    }

    #[test]
    fn kernel_files_are_picked() {
        assert!(is_kernel_file(Path::new("lib/modules/6.1/kernel/fs/ext4/ext4.ko.xz")));
        assert!(is_kernel_file(Path::new("boot/xen-4.17-amd64.gz")));
        assert!(!is_kernel_file(Path::new("lib/modules/6.1/kernel/drivers/gpu/drm/drm.ko")));
        assert!(!is_kernel_file(Path::new("boot/System.map-6.1")));
    }
}
