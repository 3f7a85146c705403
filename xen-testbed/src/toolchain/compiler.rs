//! A C compiler with C library, which is also Rust's linker.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::host_c_compiler;
use super::starter::{is_of_the_host, write_starter};
use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, TOOL_SUITE};
use crate::progress::Progress;

/// The C compiler for `architecture`: this machine's own one, or a cross compiler from the cache or the archive.
pub(crate) fn c_compiler(cache: &Cache, architecture: Architecture) -> Result<PathBuf> {
    if architecture == Architecture::Amd64 {
        return Ok(host_c_compiler());
    }
    let program = format!("usr/bin/{}-linux-gnu-gcc", architecture.gnu());
    let extract = |downloads: &Path, into: &Path, _: &Progress| {
        for package in packages_in(downloads)? {
            unpack(&package, into, |path| !path.starts_with("usr/share"))?;
        }
        // the linker looks there for what its script of the shared C library names
        write_starter(into, STARTER, &program, "\"--sysroot=$root\"")
    };
    let order = Order {
        place: format!("compiler/{}", architecture.gnu()),
        what: format!("the C compiler for {}", architecture.gnu()),
        suite: TOOL_SUITE,
        architecture: Architecture::Amd64,
        seeds: vec![
            format!("gcc-{}-linux-gnu", architecture.gnu()),
            format!("libc6-dev-{}-cross", architecture.debian()),
        ],
        needed: &|package| !is_of_the_host(package),
        recipe: fingerprint([include_str!("compiler.rs"), include_str!("starter.rs")]),
        extract: &extract,
    };
    Ok(Collection::prepare(cache, &order)?.path(STARTER))
}

const STARTER: &str = "cc";

/// Where the shared libraries of a [`c_compiler`] from the archive are, for programs that are linked to them.
pub(crate) fn shared_libraries(compiler: &Path, architecture: Architecture) -> Option<PathBuf> {
    Some(compiler.parent()?.join(format!("usr/{}/lib", architecture.multiarch())))
}
