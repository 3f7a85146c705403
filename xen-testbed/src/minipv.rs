//! Compiles minipv, the tiny PV guest that tests talk to, from the source in `guest/minipv/`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

/// What it is compiled from: file names and contents.
pub(crate) const SOURCES: [(&str, &str); 8] = [
    ("main.rs", include_str!("../guest/minipv/main.rs")),
    ("boot.rs", include_str!("../guest/minipv/boot.rs")),
    ("console.rs", include_str!("../guest/minipv/console.rs")),
    ("events.rs", include_str!("../guest/minipv/events.rs")),
    ("grants.rs", include_str!("../guest/minipv/grants.rs")),
    ("hypercall.rs", include_str!("../guest/minipv/hypercall.rs")),
    ("memory.rs", include_str!("../guest/minipv/memory.rs")),
    (LINKER_SCRIPT, include_str!("../guest/minipv/minipv.ld")),
];
const LINKER_SCRIPT: &str = "minipv.ld";

/// It is neither a Linux program nor uses a libc, but it has the same processor and object format.
const TARGET: &str = "x86_64-unknown-linux-gnu";

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

/// Writes the guest's kernel, an ELF file for Xen's domain builder, to `out`.
///
/// The compiler is `rustc`, or the one that the variable `RUSTC` names.
pub(crate) fn build(out: &Path) -> Result<()> {
    let folder = tempfile::tempdir().context("cannot make a folder to compile minipv in")?;
    for (name, text) in SOURCES {
        fs::write(folder.path().join(name), text).with_context(|| format!("cannot write minipv's {name}"))?;
    }

    let mut script = OsString::from("link-arg=-Wl,-T,");
    script.push(folder.path().join(LINKER_SCRIPT));
    let compiler = env::var_os("RUSTC").map_or_else(|| PathBuf::from("rustc"), PathBuf::from);
    let output = Command::new(&compiler)
        .args(["--edition=2024", "--crate-name=minipv", "--crate-type=bin", "--target", TARGET])
        .args(CODEGEN.iter().flat_map(|option| ["-C", option]))
        .args(LINK.iter().flat_map(|option| ["-C".to_owned(), format!("link-arg={option}")]))
        .args(["-C".into(), script])
        .arg("-o")
        .args([out, &folder.path().join("main.rs")])
        .output()
        .with_context(|| format!("cannot start the compiler {} to build minipv", compiler.display()))?;
    ensure!(
        output.status.success(),
        "the compiler {} could not build minipv for {TARGET} ({}); `rustup target add {TARGET}` may be needed:\n{}",
        compiler.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end(),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _};

    #[test]
    fn the_guest_is_small_and_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("minipv");
        super::build(&out).expect("minipv compiles");

        let kernel = std::fs::read(&out).expect("the kernel was written");
        assert!(kernel.len() < 32 << 10, "{} bytes", kernel.len());
        let file = object::File::parse(kernel.as_slice()).expect("an ELF file");
        assert_eq!(file.architecture(), object::Architecture::X86_64);
        let notes = file.section_by_name(".note.Xen").expect("the notes for the domain builder");
        let notes = notes.data().expect("their bytes");
        assert!(notes.windows(7).any(|bytes| bytes == b"xen-3.0"));
    }
}
