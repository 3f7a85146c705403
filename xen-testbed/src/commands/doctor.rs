//! `doctor`: what is missing on this machine, and how to mend it.

#![expect(clippy::print_stdout, reason = "the findings are this command's output")]

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use rustix::fs::statvfs;

use crate::apt::sources::{Archives, KEYRING};
use crate::cache;
use crate::cells::{Architecture, CELLS};
use crate::machine::emulator;
use crate::toolchain;

/// Bytes that one cell needs while it is unpacked, with QEMU and a saved machine.
const SPACE: u64 = 2 << 30;

/// What was found about one thing.
enum Finding {
    Good(String),
    /// Nothing is wrong, but the user may like to know.
    Later(String),
    /// What is wrong, and what mends it.
    Missing(String, String),
}

use Finding::{Good, Later, Missing};

/// Checks everything and prints what was found; the answer is 0 if nothing is missing.
pub(super) fn doctor() -> Result<u8> {
    let cache = cache::location()?;
    let mut is_healthy = true;
    let mut checks = vec![
        ("apt-get", tool("apt-get", "this must be Debian, or a relative of it")),
        ("dpkg-deb", tool("dpkg-deb", "apt-get install dpkg")),
        ("Debian's keys", keyring()),
        ("Debian's archive", archive()),
        ("QEMU", qemu(&cache, Architecture::Amd64)),
        ("QEMU for Arm", qemu(&cache, Architecture::Arm64)),
        ("cargo", tool("cargo", "install Rust: the package rustup, then `rustup default stable`")),
        ("rustc", rustc()),
        ("rustc for Arm", rustc_for_arm(&cache)),
        ("linker", tool("cc", "apt-get install gcc")),
        ("static C library", static_library()),
        ("space", space(&cache)),
    ];
    checks.extend(CELLS.iter().map(|cell| {
        let finding = if cache.join("image").join(cell.name).exists() {
            Good(format!("{cell} is ready"))
        } else {
            Later(format!("{cell} is fetched when used"))
        };
        (cell.name, finding)
    }));
    for (what, finding) in checks {
        match finding {
            Good(found) => println!("ok       {what}: {found}"),
            Later(found) => println!("later    {what}: {found}"),
            Missing(found, remedy) => {
                is_healthy = false;
                println!("MISSING  {what}: {found}\n         -> {remedy}");
            }
        }
    }
    println!("The cache is {}", cache.display());
    Ok(u8::from(!is_healthy))
}

fn tool(name: &str, remedy: &str) -> Finding {
    match first_line(Command::new(name).arg("--version")) {
        Some(version) => Good(version),
        None => Missing("it cannot be started".into(), remedy.into()),
    }
}

fn keyring() -> Finding {
    if Path::new(KEYRING).exists() {
        Good(KEYRING.into())
    } else {
        Missing(format!("{KEYRING} does not exist"), "apt-get install debian-archive-keyring".into())
    }
}

fn archive() -> Finding {
    match Archives::find() {
        Ok(archives) => Good(archives.to_string()),
        Err(error) => Missing(
            format!("{error:#}"),
            "add Debian's archive to apt's sources, or set XEN_TESTBED_ARCHIVE to its address".into(),
        ),
    }
}

fn qemu(cache: &Path, architecture: Architecture) -> Finding {
    match emulator::installed(architecture) {
        Some(path) => Good(format!("{} is used", path.display())),
        None if cache.join(emulator::place(architecture)).exists() => {
            Good("the one in the cache is used".into())
        }
        None => Later("it is unpacked into the cache when used; nothing is installed".into()),
    }
}

fn rustc() -> Finding {
    let target = Architecture::Amd64.target();
    if toolchain::has_target(&target) {
        Good(format!("it has the target {target}"))
    } else {
        Missing(format!("it lacks the target {target}"), format!("rustup target add {target}"))
    }
}

fn rustc_for_arm(cache: &Path) -> Finding {
    let target = Architecture::Arm64.target();
    if toolchain::has_target(&target) {
        Good(format!("it has the target {target}"))
    } else if cache.join("rust").exists() {
        Good("the one in the cache is used".into())
    } else {
        Later("one is unpacked into the cache when used; nothing is installed".into())
    }
}

fn static_library() -> Finding {
    // gcc echoes the bare name of a file that it does not find
    match first_line(Command::new("cc").arg("-print-file-name=libc.a")) {
        Some(path) if path.contains('/') => Good(path),
        _ => Missing(
            "programs cannot be linked statically, as `test` and `demo` do".into(),
            "apt-get install libc6-dev".into(),
        ),
    }
}

fn space(cache: &Path) -> Finding {
    let existing = cache.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let Ok(file_system) = statvfs(existing) else {
        return Missing(
            format!("cannot look at {}", existing.display()),
            "set XEN_TESTBED_CACHE to a folder of yours".into(),
        );
    };
    let free = file_system.f_bavail.saturating_mul(file_system.f_frsize);
    let gibibytes = free >> 30;
    if free >= SPACE {
        Good(format!("{gibibytes} GiB free"))
    } else {
        Missing(
            format!("only {} MiB are free at {}", free >> 20, existing.display()),
            format!(
                "make room for {} GiB, or set XEN_TESTBED_CACHE to a folder on another disk",
                SPACE >> 30
            ),
        )
    }
}

/// What a command prints first, if it succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(|line| line.trim().to_owned())
}
