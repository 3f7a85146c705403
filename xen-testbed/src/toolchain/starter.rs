//! Starts an unpacked program with the libraries that came with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};

/// Writes a script that starts the program `name` of the folder `root` with the libraries that lie there, and with `options`, in
/// which `$root` is the folder. The script finds it relative to itself, so that the folder can be moved.
pub(super) fn write_starter(root: &Path, script: &str, name: &str, options: &str) -> Result<()> {
    let path = root.join(script);
    let text = format!(
        "#!/bin/sh\nroot=$(dirname \"$(readlink -f \"$0\")\")\n\
         export LD_LIBRARY_PATH=\"$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         exec \"$root/{name}\" {options} \"$@\"\n"
    );
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The C library and its companion come from this machine: they belong to its dynamic loader.
pub(super) fn is_of_the_host(package: &str) -> bool {
    ["libc6", "libgcc-s1", "libstdc++6"].contains(&package)
}
