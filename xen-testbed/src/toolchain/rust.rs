//! A Rust compiler with the standard library of another architecture, for machines without rustup's targets.
//!
//! Debian builds browsers with a newer compiler than the suite's own, and ships its standard library for every architecture.
//! A standard library only suits the very compiler that it was made with, so both come from there.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use super::starter::{is_of_the_host, write_starter};
use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, TOOL_SUITE};
use crate::progress::{Progress, note};

/// Whether this machine's own compiler can make programs for `target`.
pub(crate) fn is_installed(target: &str) -> bool {
    let output =
        Command::new(host_compiler()).args(["--print", "target-libdir", "--target", target]).output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// This machine's own compiler.
pub(super) fn host_compiler() -> PathBuf {
    env::var_os("RUSTC").map_or_else(|| "rustc".into(), PathBuf::from)
}

/// A compiler that can.
pub(super) fn compiler(cache: &Cache, architecture: Architecture) -> Result<PathBuf> {
    let mut found = pair(cache, architecture, Collection::prepare)?;
    if let Err(error) = check(architecture, &found) {
        note(&format!("{error:#}\ntrying without Debian's security archive"));
        found = pair(cache, architecture, Collection::update_main)?;
        check(architecture, &found)?;
    }
    let (compiler, library) = found;
    let folder = Path::new("usr/lib/rustlib").join(architecture.target());
    let link = compiler.path(&folder);
    if fs::read_link(&link).ok() != Some(library.path(&folder)) {
        // it may be there, and lead nowhere since the cache was moved
        let _ = fs::remove_file(&link);
        symlink(library.path(&folder), &link)
            .with_context(|| format!("cannot make the link {}", link.display()))?;
    }
    Ok(compiler.path(STARTER))
}

/// A compiler, and a library for it.
type Pair = (Collection, Collection);

fn pair(cache: &Cache, architecture: Architecture, get: Get) -> Result<Pair> {
    let compiler = collection(cache, Architecture::Amd64, "rustc-web", &is_of_the_compiler, get)?;
    let library = collection(cache, architecture, LIBRARY, &|package| package == LIBRARY, get)?;
    Ok((compiler, library))
}

/// An error if they do not suit each other: they may come from different archives.
fn check(architecture: Architecture, (compiler, library): &Pair) -> Result<()> {
    let (ours, theirs) = (version(compiler)?, version(library)?);
    if ours != theirs {
        bail!(
            "Debian {TOOL_SUITE} has its Rust compiler in version {ours}, but the {} library in {theirs}; \
             `rustup target add {}` does without these",
            architecture.debian(),
            architecture.target()
        );
    }
    Ok(())
}

/// How a collection is got.
type Get = fn(&Cache, &Order<'_>) -> Result<Collection>;

const STARTER: &str = "rustc";
const LIBRARY: &str = "libstd-rust-web-dev";

/// Without what a compiled program is linked with: that is this machine's, or comes with the C compiler.
fn is_of_the_compiler(package: &str) -> bool {
    let is_for_linking = ["gcc", "cpp", "binutils", "libgcc-", "libc6-", "libc-", "linux-libc-"];
    !is_of_the_host(package) && !is_for_linking.iter().any(|start| package.starts_with(start))
}

fn collection(
    cache: &Cache,
    architecture: Architecture,
    seed: &str,
    needed: &dyn Fn(&str) -> bool,
    get: Get,
) -> Result<Collection> {
    let extract = |downloads: &Path, into: &Path, _: &Progress| {
        for package in packages_in(downloads)? {
            unpack(&package, into, |path| !path.starts_with("usr/share"))?;
        }
        if seed == LIBRARY { Ok(()) } else { write_starter(into, STARTER, "usr/bin/rustc", "") }
    };
    let order = Order {
        place: format!("rust/{}", architecture.gnu()),
        what: format!("Rust for {}", architecture.gnu()),
        suite: TOOL_SUITE,
        architecture,
        seeds: vec![seed.to_owned()],
        needed,
        recipe: fingerprint([include_str!("rust.rs"), include_str!("starter.rs")]),
        extract: &extract,
    };
    get(cache, &order)
}

/// The version in the name of the library's package, which both collections have.
fn version(collection: &Collection) -> Result<&str> {
    let file = collection.identity().lines().find(|line| line.starts_with("libstd-rust-web-"));
    file.and_then(|file| file.split('_').nth(1)).context("Debian's Rust has no standard library")
}
