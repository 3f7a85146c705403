//! From Debian's packages to what QEMU boots: hypervisor, kernel, dom0's ramdisk, the kit for guests.

pub(crate) mod cpio;
mod dom0;
pub(crate) mod elf;
mod kernel;
mod kit;
mod modules;
mod parts;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use self::parts::Parts;
use crate::cache::{Cache, fingerprint};
use crate::minipv;
use crate::progress::Progress;
use crate::release::Release;

/// Everything that QEMU needs from us to boot one release.
#[derive(Debug)]
pub(crate) struct Image {
    folder: PathBuf,
    parts: Parts,
    /// Changes when anything in the image changes.
    identity: String,
}

/// The code that makes an image.
const CODE: [&str; 3] = [include_str!("dom0.rs"), include_str!("kit.rs"), include_str!("cpio.rs")];

/// What an image was made from; it is made anew when this changes.
fn recipe(parts: &Parts) -> Result<String> {
    Ok(fingerprint((parts.identity()?, CODE, dom0::SCRIPTS, kit::INIT, minipv::SOURCES)))
}

impl Image {
    /// The image of `release`, from the cache or made now.
    pub(crate) fn prepare(cache: &Cache, release: &'static Release) -> Result<Self> {
        let parts = Parts::prepare(cache, release)?;
        Self::build(cache, parts)
    }

    /// As [`Image::prepare`]; asks the archive for newer packages first.
    pub(crate) fn update(cache: &Cache, release: &'static Release) -> Result<Self> {
        let parts = Parts::update(cache, release)?;
        Self::build(cache, parts)
    }

    fn build(cache: &Cache, parts: Parts) -> Result<Self> {
        let folder = cache.path("image").join(parts.release.cell());
        let identity = recipe(&parts)?;
        let image = Self { folder, parts, identity };
        let stamp = image.folder.join("identity");
        if fs::read_to_string(&stamp).is_ok_and(|found| found == image.identity) {
            return Ok(image);
        }
        let _progress = Progress::phase(format!("building the dom0 image of {}", image.parts.release));
        let scratch = cache.scratch()?;
        dom0::write(&image.parts, &scratch.path().join("dom0.cpio"))?;
        kit::write(&image.parts, &scratch.path().join("kit.cpio"))?;
        fs::write(scratch.path().join("identity"), &image.identity).context("cannot write to the cache")?;
        cache.commit(scratch, &image.folder)?;
        Ok(image)
    }

    /// What was asked for.
    pub(crate) fn release(&self) -> &'static Release {
        self.parts.release
    }

    /// The hypervisor.
    pub(crate) fn xen(&self) -> PathBuf {
        self.parts.path("xen.elf")
    }

    /// Dom0's kernel.
    pub(crate) fn kernel(&self) -> PathBuf {
        self.parts.path("vmlinux")
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
