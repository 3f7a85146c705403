//! The programs of the build. Only compiler and linker are this machine's, where every user of Rust has them. All others come
//! from Debian's packages even if the machine has them too, so that a build goes the same way everywhere.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::apt::{Collection, Order, packages_in, unpack};
use crate::cache::{Cache, fingerprint};
use crate::cells::{Architecture, TOOL_SUITE};
use crate::child;
use crate::progress::Progress;

/// What is started under these names. m4 serves flex and bison.
const PROGRAMS: [&str; 5] = ["make", "flex", "bison", "m4", "python3"];

/// The packages that they are in; a `*` at the end stands for any rest of the name.
const PACKAGES: [&str; 10] = [
    "make",
    "flex",
    "bison",
    "m4",
    "python3-minimal",
    "python3.*",
    "libpython3.*",
    "libc6",
    "libexpat1",
    "zlib1g",
];

/// What starts such a program with the libraries that it came with.
const STARTER: &str = include_str!("tool.sh");

/// What the machine itself has to have.
const COMPILER: [&str; 4] = ["gcc", "ld", "objcopy", "nm"];

/// The unpacked programs.
#[derive(Debug)]
pub(super) struct Tools(Collection);

impl Tools {
    /// From the cache, or from the archive. Without a compiler they are of no use, so then it fails.
    pub(super) fn prepare(cache: &Cache) -> Result<Self> {
        let missing = missing(&env::var_os("PATH").unwrap_or_default());
        if !missing.is_empty() {
            bail!(
                "a hypervisor is built by this machine's own compiler, but {} cannot be found on the path; apt-get install gcc",
                missing.join(", ")
            );
        }
        let order = Order {
            place: "build-tools".into(),
            what: "the build's tools".into(),
            suite: TOOL_SUITE,
            architecture: Architecture::Amd64,
            seeds: ["make", "flex", "bison", "python3-minimal"].map(String::from).to_vec(),
            needed: &is_needed,
            recipe: fingerprint([include_str!("tools.rs"), STARTER]),
            extract: &extract,
        };
        Collection::prepare(cache, &order).map(Self)
    }

    /// A command that starts make in `folder`. Nothing of this process's environment but the path is in it.
    pub(super) fn make(&self, folder: &Path) -> Result<Command> {
        let path = env::var_os("PATH").unwrap_or_default();
        let bin = self.0.path("bin");
        let mut make = child::command(bin.join("make"));
        make.current_dir(folder).env_clear().env("PATH", in_front(bin, &path)?).env("LC_ALL", "C");
        Ok(make)
    }
}

fn is_needed(package: &str) -> bool {
    PACKAGES.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == *pattern,
    })
}

fn extract(downloads: &Path, into: &Path, _: &Progress) -> Result<()> {
    for package in packages_in(downloads)? {
        unpack(&package, &into.join("root"), is_program_file)?;
    }
    let bin = into.join("bin");
    let write = || {
        fs::create_dir(&bin)?;
        for program in PROGRAMS {
            fs::write(bin.join(program), STARTER)?;
            fs::set_permissions(bin.join(program), PermissionsExt::from_mode(0o755))?;
        }
        std::io::Result::Ok(())
    };
    write().with_context(|| format!("cannot write to {}", bin.display()))
}

fn is_program_file(path: &Path) -> bool {
    !path.starts_with("usr/share") || path.starts_with("usr/share/bison")
}

/// The path that has `folder` first.
fn in_front(folder: PathBuf, path: &OsStr) -> Result<OsString> {
    let folders = iter::once(folder).chain(env::split_paths(path));
    env::join_paths(folders).context("the cache's folder cannot be on the path, as its name has a colon")
}

/// What of the compiler is in no folder of `path`.
fn missing(path: &OsStr) -> Vec<&'static str> {
    let is_there = |program: &str| env::split_paths(path).any(|folder| folder.join(program).is_file());
    COMPILER.into_iter().filter(|program| !is_there(program)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_picked() {
        assert!(["bison", "python3.11-minimal", "libpython3.11-minimal"].into_iter().all(is_needed));
        assert!(!["dpkg", "libc6-dev", "debconf"].into_iter().any(is_needed));
    }

    #[test]
    fn bisons_skeletons_are_no_documentation() {
        assert!(is_program_file(Path::new("usr/share/bison/m4sugar/m4sugar.m4")));
        assert!(is_program_file(Path::new("usr/lib/python3.11/re.py")));
        assert!(!is_program_file(Path::new("usr/share/doc/flex/copyright")));
    }

    #[test]
    fn what_is_missing_of_the_compiler_is_named() {
        let folders = [(), ()].map(|()| tempfile::tempdir().expect("a temporary folder"));
        let path = env::join_paths(folders.iter().map(tempfile::TempDir::path)).expect("no colons");
        assert_eq!(missing(&path), COMPILER);
        fs::write(folders[0].path().join("gcc"), "").expect("written");
        fs::write(folders[1].path().join("ld"), "").expect("written");
        assert_eq!(missing(&path), ["objcopy", "nm"]);
    }

    #[test]
    fn unpacked_tools_come_first() {
        let path = in_front("/cache/bin".into(), OsStr::new("/usr/bin:/bin")).expect("no colons");
        assert_eq!(path, "/cache/bin:/usr/bin:/bin");
        assert!(in_front("/a:b".into(), OsStr::new("/bin")).is_err());
    }
}
