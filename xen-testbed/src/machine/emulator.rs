//! QEMU: the machine's own one, or Debian's unpacked into the cache.

use std::env;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, TOOL_SUITE};
use crate::child;
use crate::progress::Progress;

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
    /// In the cache, with all its libraries, under this name.
    Unpacked(Collection, String),
}

impl Emulator {
    /// Finds QEMU for `architecture` on the path or in the cache, or else fetches it.
    pub(crate) fn prepare(cache: &Cache, architecture: Architecture) -> Result<Self> {
        let place = match installed(architecture) {
            Some(path) => Place::Installed(path),
            None => Place::Unpacked(fetch(cache, architecture)?, program(architecture)),
        };
        let mut emulator = Self { place, version: String::new() };
        let output = emulator.command(Vec::new()).arg("--version").output()?;
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

    /// A command that starts QEMU; it gets `descriptors` under their numbers here.
    pub(crate) fn command(&self, descriptors: Vec<OwnedFd>) -> Command {
        match &self.place {
            Place::Installed(path) => child::command_with_descriptors(path, descriptors),
            Place::Unpacked(root, program) => {
                let mut command = child::command_with_descriptors(root.path(LOADER), descriptors);
                let libraries =
                    ["lib", "usr/lib"].map(|lib| root.path(lib).join(LIBRARIES).display().to_string());
                command.arg("--library-path").arg(libraries.join(":"));
                command.arg(root.path("usr/bin").join(program));
                for firmware in FIRMWARE {
                    command.arg("-L").arg(root.path(firmware));
                }
                command.env("QEMU_MODULE_DIR", root.path("usr/lib").join(LIBRARIES).join("qemu"));
                command
            }
        }
    }
}

/// QEMU runs on the host, which is an x86-64 one.
const LIBRARIES: &str = "x86_64-linux-gnu";
const LOADER: &str = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
const FIRMWARE: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];

fn program(architecture: Architecture) -> String {
    format!("qemu-system-{}", architecture.gnu())
}

/// QEMU on the path, if there is one.
pub(crate) fn installed(architecture: Architecture) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let program = program(architecture);
    env::split_paths(&path).map(|folder| folder.join(&program)).find(|program| program.is_file())
}

/// The folder in the cache of an unpacked QEMU.
pub(crate) fn place(architecture: Architecture) -> String {
    format!("qemu/{}", architecture.gnu())
}

/// Unpacks QEMU with all its libraries, down to the dynamic loader, so that it runs on any x86-64 Linux.
fn fetch(cache: &Cache, architecture: Architecture) -> Result<Collection> {
    let program = program(architecture);
    let extract = |downloads: &Path, into: &Path, _: &Progress| {
        let mut packages = packages_in(downloads)?.into_iter();
        packages.try_for_each(|package| unpack(&package, into, |path| is_wanted(path, &program)))
    };
    let order = Order {
        place: place(architecture),
        what: "QEMU".into(),
        suite: TOOL_SUITE,
        architecture: Architecture::Amd64,
        seeds: vec![match architecture {
            Architecture::Amd64 => "qemu-system-x86".into(),
            Architecture::Arm64 => "qemu-system-arm".into(),
        }],
        needed: &|_| true,
        recipe: fingerprint(include_str!("emulator.rs")),
        extract: &extract,
    };
    Collection::prepare(cache, &order)
}

fn is_wanted(path: &Path, program: &str) -> bool {
    let is_library = path.components().any(|part| part.as_os_str() == LIBRARIES);
    is_library || path.ends_with(program) || FIRMWARE.iter().any(|folder| path.starts_with(folder))
}

/// Starts `command` without any of our terminals; what it complains of goes to `complaints`.
pub(crate) fn detach(command: &mut Command, complaints: fs::File) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(complaints)
}
