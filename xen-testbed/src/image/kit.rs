//! The guest kit: what dom0 needs in order to start Linux guests and our tiny guest.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context, Result};

use super::Parts;
use super::cpio::Cpio;
use super::dom0::{MODPROBE, write_busybox, write_modules};
use crate::cache::Cache;
use crate::minipv;
use crate::progress::note;
use crate::toolchain::Toolchain;

/// A Linux guest's first program.
pub(super) const INIT: &str = include_str!("../../guest/init");

/// Writes the kit to `path`.
pub(super) fn write(cache: &Cache, parts: &Parts, path: &Path) -> Result<()> {
    let scratch = tempfile::tempdir_in(path.parent().unwrap_or(path)).context("cannot write to the cache")?;
    let ramdisk = scratch.path().join("initrd.cpio");
    write_ramdisk(parts, &ramdisk)?;
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut kit = Cpio::new(BufWriter::new(file));
    kit.copy_program("guests/vmlinux", &parts.guest_linux.path("vmlinux"))?;
    kit.copy_program("guests/initrd.cpio", &ramdisk)?;
    let tiny = scratch.path().join("minipv");
    let toolchain = Toolchain::prepare(cache, parts.cell.architecture);
    match toolchain.and_then(|toolchain| minipv::build(&toolchain, &tiny)) {
        Ok(()) => kit.copy_program("guests/minipv", &tiny)?,
        // a project's own compiler may be too old for it, and most projects do without this guest
        Err(error) => note(&format!("`guest mini` will not work: {error:#}")),
    }
    kit.finish()?;
    Ok(())
}

fn write_ramdisk(parts: &Parts, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    let mut cpio = Cpio::new(BufWriter::new(file));
    for folder in ["proc", "sys", "dev", "run", "tmp", "root", "mnt", "t", "sbin"] {
        cpio.directory(folder)?;
    }
    cpio.program("init", INIT.as_bytes())?;
    cpio.program("bin/mp", MODPROBE.as_bytes())?;
    write_busybox(&mut cpio, parts)?;
    write_modules(&mut cpio, &parts.guest_linux)?;
    cpio.finish()?;
    Ok(())
}
