//! Compiles minipv, the tiny guest that tests talk to, from the source in `guest/minipv/`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use object::{Object as _, ObjectSegment as _};

use crate::cells::Architecture;
use crate::toolchain::Toolchain;

/// What it is compiled from: file names and contents.
pub(crate) const SOURCES: [(&str, &str); 10] = [
    ("main.rs", include_str!("../guest/minipv/main.rs")),
    ("console.rs", include_str!("../guest/minipv/console.rs")),
    ("events.rs", include_str!("../guest/minipv/events.rs")),
    ("grants.rs", include_str!("../guest/minipv/grants.rs")),
    ("hypercall.rs", include_str!("../guest/minipv/hypercall.rs")),
    ("memory.rs", include_str!("../guest/minipv/memory.rs")),
    ("x86.rs", include_str!("../guest/minipv/x86.rs")),
    ("x86.ld", include_str!("../guest/minipv/x86.ld")),
    ("arm.rs", include_str!("../guest/minipv/arm.rs")),
    ("arm.ld", include_str!("../guest/minipv/arm.ld")),
];

const CODEGEN: [&str; 7] = [
    "panic=abort",
    "opt-level=s",
    "lto=fat", // leaves nothing of `core` but what the guest calls
    "codegen-units=1",
    "relocation-model=static",
    "force-unwind-tables=no",
    "strip=symbols",
];

const LINK: [&str; 6] = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-Wl,--build-id=none",
    "-Wl,-z,norelro",
    "-Wl,-z,max-page-size=4096",
];

/// Writes the guest's kernel, a file for Xen's domain builder, to `out`.
pub(crate) fn build(toolchain: &Toolchain, out: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder to compile minipv in")?;
    for (name, text) in SOURCES {
        fs::write(folder.path().join(name), text).with_context(|| format!("cannot write minipv's {name}"))?;
    }

    let mut script = OsString::from("link-arg=-Wl,-T,");
    script.push(folder.path().join(match toolchain.architecture {
        Architecture::Amd64 => "x86.ld",
        Architecture::Arm64 => "arm.ld",
    }));
    // It is neither a Linux program nor uses a libc, but a toolchain for these makes code for the right processor.
    let mut rustc = toolchain.rustc();
    rustc
        .args(["--edition=2024", "--crate-name=minipv", "--crate-type=bin"])
        .args(CODEGEN.iter().flat_map(|option| ["-C", option]))
        .args(LINK.iter().flat_map(|option| ["-C".to_owned(), format!("link-arg={option}")]))
        .args(["-C".into(), script])
        .arg("-o")
        .args([out, &folder.path().join("main.rs")]);
    let compiler = PathBuf::from(rustc.get_program());
    let output = rustc
        .output()
        .with_context(|| format!("cannot start the compiler {} to build minipv", compiler.display()))?;
    ensure!(
        output.status.success(),
        "the compiler {} could not build minipv ({}); `rustup target add {}` may be needed:\n{}",
        compiler.display(),
        output.status,
        toolchain.architecture.target(),
        String::from_utf8_lossy(&output.stderr).trim_end(),
    );
    match toolchain.architecture {
        Architecture::Amd64 => Ok(()),
        Architecture::Arm64 => flatten(out),
    }
}

/// Replaces an ELF file by its only segment: on Arm, a kernel is no ELF file.
fn flatten(path: &Path) -> Result<()> {
    let elf = fs::read(path).context("cannot read what the compiler made of minipv")?;
    let file = object::File::parse(elf.as_slice()).context("the compiler made no ELF file of minipv")?;
    let segment = file.segments().next().context("minipv is empty")?;
    fs::write(path, segment.data()?).context("cannot write minipv")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use object::{Object as _, ObjectSection as _};

    use super::{SOURCES, build};
    use crate::toolchain::Toolchain;

    #[test]
    fn the_guest_is_small_and_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("minipv");
        build(&Toolchain::host(), &out).expect("minipv compiles");

        let kernel = fs::read(&out).expect("the kernel was written");
        assert!(kernel.len() < 32 << 10, "{} bytes", kernel.len());
        let file = object::File::parse(kernel.as_slice()).expect("an ELF file");
        assert_eq!(file.architecture(), object::Architecture::X86_64);
        let notes = file.section_by_name(".note.Xen").expect("the notes for the domain builder");
        let notes = notes.data().expect("their bytes");
        assert!(notes.windows(7).any(|bytes| bytes == b"xen-3.0"));
    }

    #[test]
    fn every_source_is_compiled_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/guest/minipv");
        let files = fs::read_dir(folder).expect("the sources").map(|file| file.expect("a file").file_name());
        let files: BTreeSet<_> = files.map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(files, SOURCES.map(|(name, _)| name.to_owned()).into());
    }
}
