//! QEMU: the machine's own one, or Debian's unpacked into the cache.

use std::env;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::apt::{Apt, unpack};
use crate::cache::Cache;
use crate::child;
use crate::progress::Progress;
use crate::release::{Architecture, QEMU_SUITE};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";

/// A QEMU that can be started.
#[derive(Debug)]
pub(crate) struct Emulator {
    place: Place,
    /// What it says of its version.
    pub(crate) version: String,
}

#[derive(Debug)]
enum Place {
    /// On the path.
    Installed(PathBuf),
    /// Below this folder, with all its libraries.
    Unpacked(PathBuf),
}

impl Emulator {
    /// Finds QEMU on the path or in the cache, or else fetches it.
    pub(crate) fn prepare(cache: &Cache) -> Result<Self> {
        let folder = cache.path("qemu");
        match installed() {
            Some(path) => Self::probe(Place::Installed(path)),
            None if folder.exists() => Self::probe(Place::Unpacked(folder)),
            None => {
                fetch(cache, &folder)?;
                Self::probe(Place::Unpacked(folder))
            }
        }
    }

    /// A command that starts QEMU; it gets `descriptors` under their numbers here.
    pub(crate) fn command(&self, descriptors: Vec<OwnedFd>) -> Command {
        match &self.place {
            Place::Installed(path) => child::command_with_descriptors(path, descriptors),
            Place::Unpacked(root) => {
                let mut command = child::command_with_descriptors(root.join(LOADER), descriptors);
                let libraries =
                    ["lib", "usr/lib"].map(|lib| root.join(lib).join(LIBRARIES).display().to_string());
                command.arg("--library-path").arg(libraries.join(":"));
                command.arg(root.join("usr/bin").join(PROGRAM));
                for firmware in ["usr/share/qemu", "usr/share/seabios"] {
                    command.arg("-L").arg(root.join(firmware));
                }
                command.env("QEMU_MODULE_DIR", root.join("usr/lib").join(LIBRARIES).join("qemu"));
                command
            }
        }
    }

    fn probe(place: Place) -> Result<Self> {
        let mut emulator = Self { place, version: String::new() };
        let output = emulator.command(Vec::new()).arg("--version").output().context("cannot start QEMU")?;
        let said = String::from_utf8_lossy(&output.stdout);
        match said.lines().next() {
            Some(version) if output.status.success() => version.clone_into(&mut emulator.version),
            _ => bail!(
                "QEMU does not even tell its version ({}):\n{}\nIf it is the one in the cache, `xen-testbed fetch --again` replaces it",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ),
        }
        Ok(emulator)
    }
}

const LIBRARIES: &str = "x86_64-linux-gnu";
const LOADER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

/// QEMU on the path, if there is one.
pub(crate) fn installed() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}

/// Unpacks QEMU with all its libraries, down to the dynamic loader, so that it runs on any x86-64 Linux.
fn fetch(cache: &Cache, folder: &Path) -> Result<()> {
    let apt = Apt::update(cache, QEMU_SUITE, Architecture::Amd64)?;
    let packages = apt.resolve(&[PACKAGE.to_owned()])?;
    let downloads = cache.scratch()?;
    apt.download(&packages, downloads.path())?;
    let _progress = Progress::phase("unpacking QEMU");
    let scratch = cache.scratch()?;
    for entry in fs::read_dir(downloads.path()).context("cannot list the downloaded packages")? {
        unpack(&entry?.path(), scratch.path(), is_wanted)?;
    }
    cache.commit(scratch, folder)
}

fn is_wanted(path: &Path) -> bool {
    let firmware = ["usr/share/qemu", "usr/share/seabios"];
    let libraries = path.components().any(|part| part.as_os_str() == LIBRARIES);
    libraries || path.ends_with(PROGRAM) || firmware.iter().any(|folder| path.starts_with(folder))
}

/// Starts `command` without any of our terminals; what it complains of goes to `complaints`.
pub(crate) fn detach(command: &mut Command, complaints: fs::File) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints)
}
