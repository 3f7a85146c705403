//! From Debian's packages to what QEMU boots: hypervisor, kernel, dom0's ramdisk, the kit for guests.

pub(crate) mod cpio;
mod dom0;
pub(crate) mod elf;
mod kernel;
mod kit;
mod linux;
mod modules;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::linux::Linux;
use self::tools::Tools;
use crate::cache::{Cache, fingerprint};
use crate::cells::{Cell, Hypervisor};
use crate::minipv;
use crate::progress::Progress;
use crate::source;

/// Everything that QEMU needs from us to boot one cell.
#[derive(Debug)]
pub(crate) struct Image {
    folder: PathBuf,
    parts: Parts,
}

/// What images are made of.
#[derive(Debug)]
struct Parts {
    cell: &'static Cell,
    tools: Tools,
    /// Dom0's kernel.
    linux: Linux,
    /// The guests' kernel.
    guest_linux: Linux,
    /// The hypervisor.
    xen: PathBuf,
}

/// The code that makes an image.
const CODE: [&str; 3] = [include_str!("dom0.rs"), include_str!("kit.rs"), include_str!("cpio.rs")];

impl Image {
    /// The image of `cell`, from the cache or made now; made of `newer` packages, if the archive has some and one asks for them.
    pub(crate) fn prepare(cache: &Cache, cell: &'static Cell, newer: bool) -> Result<Self> {
        let tools = Tools::prepare(cache, cell, newer)?;
        let linux = Linux::prepare(cache, cell.kernel, cell.architecture, newer)?;
        let guest_linux = Linux::prepare(cache, cell.guest_kernel, cell.architecture, newer)?;
        let xen = match cell.hypervisor {
            Hypervisor::Packaged => tools.xen(),
            Hypervisor::Built => built_hypervisor(cache, cell, &tools)?,
        };
        let parts = Parts { cell, tools, linux, guest_linux, xen };
        let image = Self { folder: Self::place(cache, cell), parts };
        let identity = image.parts.identity();
        let stamp = image.folder.join("identity");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == identity) {
            return Ok(image);
        }
        let _progress = Progress::phase(format!("building the dom0 image of {cell}"));
        let scratch = cache.scratch()?;
        dom0::write(&image.parts, &scratch.path().join("dom0.cpio"))?;
        kit::write(cache, &image.parts, &scratch.path().join("kit.cpio"))?;
        fs::write(scratch.path().join("identity"), &identity).context("cannot write to the cache")?;
        cache.commit(scratch, &image.folder)?;
        Ok(image)
    }

    /// The folder of the cache where the image of `cell` is.
    fn place(cache: &Cache, cell: &Cell) -> PathBuf {
        cache.path("image").join(cell.name)
    }

    /// What was asked for.
    pub(crate) fn cell(&self) -> &'static Cell {
        self.parts.cell
    }

    /// The hypervisor.
    pub(crate) fn xen(&self) -> PathBuf {
        self.parts.xen.clone()
    }

    /// Dom0's kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.parts.linux.path("vmlinux")
    }

    /// Dom0's ramdisk.
    pub(crate) fn ramdisk(&self) -> PathBuf {
        self.folder.join("dom0.cpio")
    }

    /// The kit from which dom0 starts guests.
    pub(crate) fn kit(&self) -> PathBuf {
        self.folder.join("kit.cpio")
    }

    /// Where files that depend on this very image belong: they go when it goes.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Parts {
    /// What an image is made from; it is made anew when this changes.
    fn identity(&self) -> String {
        let kernels = (self.linux.identity(), self.guest_linux.identity());
        let parts = (self.tools.identity(), kernels, self.xen.display().to_string());
        fingerprint((parts, CODE, dom0::SCRIPTS, kit::INIT, minipv::SOURCES))
    }
}

/// The hypervisor that is built here. It is built anew when Debian's package, which is of the same source, is a newer one.
fn built_hypervisor(cache: &Cache, cell: &'static Cell, tools: &Tools) -> Result<PathBuf> {
    let folder = cache.path("built").join(cell.name);
    // the name tells what it was made from
    let name = format!("xen-{}", fingerprint((tools.identity(), source::CODE)));
    if !folder.join(&name).exists() {
        let scratch = cache.scratch()?;
        source::build(cache, cell.suite, &scratch.path().join(&name))?;
        cache.commit(scratch, &folder)?;
    }
    Ok(folder.join(name))
}

/// The first entry of `folders` whose name is right.
fn find(folders: &[PathBuf], is_right: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| is_right(&path.file_name().unwrap_or_default().to_string_lossy()))
}
