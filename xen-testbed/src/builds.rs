//! Builds a workspace's programs so that they run in dom0, apart from the host's own builds.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cache;
use crate::cargo::cargo;
use crate::cells::Architecture;
use crate::child;
use crate::toolchain::Toolchain;

/// How programs have their C library, which is the host's, as dom0 has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    /// Inside.
    Static,
    /// Beside them. They can load other libraries.
    Dynamic,
}

impl Linking {
    fn flags(self) -> &'static str {
        match self {
            Self::Static => "-C target-feature=+crt-static",
            Self::Dynamic => "",
        }
    }
}

/// A program that cargo made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The name of the cargo target, `hw_notify` for example.
    pub(crate) name: String,
    /// The folder of its package, which names it well enough for a report.
    pub(crate) package: String,
    /// The file.
    pub(crate) path: PathBuf,
    /// Whether it is a test program.
    pub(crate) is_test: bool,
}

/// Runs `cargo SUBCOMMAND`, for example `build --bins`, and tells which programs it made. Cargo reports to the user itself.
pub(crate) fn build(
    architecture: Architecture,
    toolchain: &Toolchain,
    linking: Linking,
    subcommand: &[&str],
) -> Result<Vec<Program>> {
    // each compiler has a folder of its own, because each would build everything anew after the other
    let folder = cache::location()?.join("cargo").join(architecture.debian());
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = child::command(cargo());
    let output = toolchain
        .apply(&mut command)
        .args(subcommand)
        // also for a host of the same kind the target is named, so that the flags do not reach build scripts
        .args(["--message-format=json-render-diagnostics", "--target", &architecture.target()])
        .arg("--target-dir")
        .arg(&folder)
        .env("RUSTFLAGS", format!("{flags} {}", linking.flags()).trim())
        // dom0 holds the programs in memory; the C and standard libraries bring debug information too
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .env("CARGO_PROFILE_DEV_STRIP", "debuginfo")
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1") // emulation multiplies what the compiler leaves in
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("`cargo {}` failed ({})", subcommand.join(" "), output.status);
    }
    let messages = String::from_utf8(output.stdout).context("cargo's messages are not UTF-8")?;
    messages.lines().filter_map(|line| program(line).transpose()).collect()
}

fn program(message: &str) -> Result<Option<Program>> {
    let message: Value = serde_json::from_str(message).context("cannot read cargo's messages")?;
    let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
    else {
        return Ok(None); // a library, or no artifact at all
    };
    let is_test = message["profile"]["test"] == true;
    let folder =
        message["manifest_path"].as_str().and_then(|manifest| Path::new(manifest).parent()?.file_name());
    let package = folder.map_or_else(String::new, |folder| folder.to_string_lossy().into_owned());
    Ok(Some(Program { name: name.to_owned(), package, path: Path::new(path).to_owned(), is_test }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let test = r#"{"reason":"compiler-artifact","manifest_path":"/w/pages/Cargo.toml","target":{"kind":["test"],"name":"hw_map"},"profile":{"test":true},"executable":"/t/hw_map-1"}"#;
        let test = program(test).expect("JSON").expect("a program");
        assert!(
            test.is_test
                && test.name == "hw_map"
                && test.package == "pages"
                && test.path == Path::new("/t/hw_map-1")
        );
        let library = r#"{"reason":"compiler-artifact","target":{"name":"x"},"profile":{"test":false},"executable":null}"#;
        assert_eq!(program(library).expect("JSON"), None);
        assert_eq!(program(r#"{"reason":"build-finished","success":true}"#).expect("JSON"), None);
        assert!(program("warning: no JSON").is_err());
    }
}
