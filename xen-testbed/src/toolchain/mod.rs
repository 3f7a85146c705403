//! What programs for other processors are made with: compilers and headers, unpacked into the cache and never installed.

mod compiler;
pub(crate) mod headers;
mod rust;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result};

pub(crate) use self::compiler::c_compiler;
pub(crate) use self::rust::is_installed as has_target;
use crate::cache::Cache;
use crate::cells::Architecture;

/// The compiler and linker for programs of one architecture.
#[derive(Debug, Default)]
pub(crate) struct Toolchain {
    variables: Vec<(String, OsString)>,
}

impl Toolchain {
    /// The toolchain from the cache or the archive; this machine's own for its own architecture.
    pub(crate) fn prepare(cache: &Cache, architecture: Architecture) -> Result<Self> {
        let mut toolchain = Self::default();
        if architecture == Architecture::Amd64 {
            return Ok(toolchain);
        }
        let target = architecture.target();
        let compiler = c_compiler(cache, architecture)?;
        let name = target.replace('-', "_");
        toolchain.set(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), &compiler);
        toolchain.set(format!("CC_{name}"), &compiler);
        if !rust::is_installed(&target) {
            toolchain.set("RUSTC".into(), &rust::compiler(cache, architecture)?);
        }
        Ok(toolchain)
    }

    fn set(&mut self, variable: String, value: &Path) {
        self.variables.push((variable, value.into()));
    }

    /// Makes `cargo` use this toolchain.
    pub(crate) fn apply<'a>(&self, cargo: &'a mut Command) -> &'a mut Command {
        cargo.envs(self.variables.iter().map(|(name, value)| (name, value)))
    }
}

/// Writes a script that starts the program `name` of the folder `root` with the libraries that lie there. The script finds
/// them relative to itself, so that the folder can be moved.
fn write_starter(root: &Path, script: &str, name: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = root.join(script);
    let text = format!(
        "#!/bin/sh\nroot=$(dirname \"$(readlink -f \"$0\")\")\n\
         export LD_LIBRARY_PATH=\"$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         exec \"$root/{name}\" \"$@\"\n"
    );
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The C library and its companion come from this machine: they belong to its dynamic loader.
fn is_of_the_host(package: &str) -> bool {
    ["libc6", "libgcc-s1", "libstdc++6"].contains(&package)
}

/// The C compiler of this machine.
pub(crate) fn host_c_compiler() -> PathBuf {
    env::var_os("CC").map_or_else(|| "cc".into(), PathBuf::from)
}
