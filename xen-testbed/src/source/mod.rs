//! The hypervisor built from Debian's source package, with parts switched on that Debian's own build leaves out.

mod archive;
mod config;
mod make;
mod tools;

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context, Result};

use self::tools::Tools;
use crate::cache::Cache;
use crate::progress::Progress;

/// All that the result depends on beside the source package.
pub(crate) const CODE: [&str; 7] = [
    include_str!("mod.rs"),
    include_str!("archive.rs"),
    include_str!("config.rs"),
    include_str!("extra.config"),
    include_str!("make.rs"),
    include_str!("tools.rs"),
    include_str!("tool.sh"),
];

/// What is said to make in each call. The hypervisor is not to tell who built it, where and when.
const SETTINGS: [&str; 8] = [
    "XEN_WHOAMI=xen-testbed",
    "XEN_DOMAIN=",
    "XEN_BUILD_HOST=",
    "XEN_BUILD_DATE=",
    "XEN_BUILD_TIME=",
    "XEN_VENDORVERSION=-testbed",
    "KCONFIG_ALLCONFIG=extra.config",
    "EXTRA_CFLAGS_XEN_CORE=-Wno-error", // compilers newer than the source warn of more
];

/// How many lines a whole build prints, about.
const LINES: u64 = 700;

/// Builds the hypervisor of Debian's source package with more switched on; the ELF file lands at `out`.
pub(crate) fn build(cache: &Cache, suite: &'static str, out: &Path) -> Result<()> {
    let tools = Tools::prepare(cache)?;
    let scratch = cache.scratch()?;
    let source = archive::fetch(cache, suite, scratch.path())?;
    let name = source.file_name().unwrap_or_default().to_string_lossy();
    compile(&tools, &source.join("xen"), &format!("building {name} with more switched on"))
        .with_context(|| format!("cannot build the hypervisor of {name}, the source in Debian {suite}"))?;
    fs::copy(source.join("xen/xen"), out).with_context(|| format!("cannot write {}", out.display()))?;
    Ok(())
}

/// Leaves the hypervisor as `xen` in `folder`, which is the folder of its source.
fn compile(tools: &Tools, folder: &Path, what: &str) -> Result<()> {
    config::write(folder)?;
    let make = |target: &str, heard: &dyn Fn(u64)| {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let mut command = tools.make(folder)?;
        command.args(SETTINGS).arg(format!("-j{jobs}")).arg(target);
        make::run(command, heard)
    };
    let progress = Progress::percentage(what);
    make("alldefconfig", &|_| ())?;
    config::check(folder)?;
    make("build", &|lines| progress.set((lines * 100 / LINES).min(99)))
}
