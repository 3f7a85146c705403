//! What programs for other processors are made with: compilers and headers, unpacked into the cache and never installed.

mod compiler;
pub(crate) mod headers;
mod rust;
mod starter;

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

pub(crate) use self::compiler::c_compiler;
pub(crate) use self::rust::is_installed as has_target;
use crate::cache::Cache;
use crate::cells::Architecture;

/// The compiler and linker for programs of one architecture.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// What the programs run on.
    pub(crate) architecture: Architecture,
    /// It links Rust programs, too. `None`: rustc finds one.
    c_compiler: Option<PathBuf>,
    /// `None`: this machine's own.
    rust_compiler: Option<PathBuf>,
}

impl Toolchain {
    /// The toolchain from the cache or the archive; this machine's own for its own architecture.
    pub(crate) fn prepare(cache: &Cache, architecture: Architecture) -> Result<Self> {
        if architecture == Architecture::Amd64 {
            return Ok(Self::host());
        }
        let c_compiler = Some(c_compiler(cache, architecture)?);
        let is_installed = rust::is_installed(&architecture.target());
        let rust_compiler = if is_installed { None } else { Some(rust::compiler(cache, architecture)?) };
        Ok(Self { architecture, c_compiler, rust_compiler })
    }

    /// This machine's own.
    pub(crate) fn host() -> Self {
        Self { architecture: Architecture::Amd64, c_compiler: None, rust_compiler: None }
    }

    /// Where programs for another architecture find their libraries here. `None`: where this machine's programs do.
    pub(crate) fn libraries(&self) -> Option<PathBuf> {
        compiler::shared_libraries(self.c_compiler.as_deref()?, self.architecture)
    }

    /// Makes `cargo` use this toolchain.
    pub(crate) fn apply<'a>(&self, cargo: &'a mut Command) -> &'a mut Command {
        let name = self.architecture.target().replace('-', "_");
        if let Some(compiler) = &self.c_compiler {
            cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), compiler);
            cargo.env(format!("CC_{name}"), compiler);
        }
        if let Some(compiler) = &self.rust_compiler {
            cargo.env("RUSTC", compiler);
        }
        cargo
    }

    /// A call of the Rust compiler, for what is made without cargo.
    pub(crate) fn rustc(&self) -> Command {
        let mut rustc = Command::new(self.rust_compiler.clone().unwrap_or_else(rust::host_compiler));
        rustc.args(["--target", &self.architecture.target()]);
        if let Some(linker) = &self.c_compiler {
            rustc.arg("-C").arg(format!("linker={}", linker.display()));
        }
        rustc
    }
}

/// The C compiler of this machine.
pub(crate) fn host_c_compiler() -> PathBuf {
    env::var_os("CC").map_or_else(|| "cc".into(), PathBuf::from)
}
