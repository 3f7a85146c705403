//! What an ELF program needs in order to start: its interpreter and its libraries.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// A program's own statement of its needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The dynamic loader; a static program has none.
    pub(crate) interpreter: Option<PathBuf>,
    /// Names of shared libraries, without folder.
    pub(crate) libraries: Vec<String>,
}

impl Needs {
    /// Reads the headers of the ELF file `path`.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        parse(&content).with_context(|| format!("{} is not a usable 64-bit ELF file", path.display()))
    }
}

fn parse(content: &[u8]) -> Result<Needs> {
    let header = FileHeader64::<Endianness>::parse(content)?;
    let endian = header.endian()?;
    let segments = header.program_headers(endian, content)?;
    let mut needs = Needs::default();
    for segment in segments {
        if let Some(interpreter) = segment.interpreter(endian, content)? {
            needs.interpreter = Some(std::str::from_utf8(interpreter)?.into());
        }
        let Some(dynamic) = segment.dynamic(endian, content)? else { continue };
        let sections = header.sections(endian, content)?;
        let strings = match sections.dynamic(endian, content)? {
            Some((_, link)) => sections.strings(endian, content, link)?,
            None => bail!("it has no section of dynamic strings"),
        };
        for entry in dynamic.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED)) {
            needs.libraries.push(std::str::from_utf8(entry.string(endian, strings)?)?.to_owned());
        }
    }
    Ok(needs)
}

/// Finds the libraries of programs in a list of folders, with what these libraries need in turn.
#[derive(Debug)]
pub(crate) struct Libraries {
    folders: Vec<PathBuf>,
    found: BTreeMap<String, PathBuf>,
}

impl Libraries {
    /// Searches `folders`, the first one first.
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, found: BTreeMap::new() }
    }

    /// Adds everything that `program` needs; its own needs are the answer.
    pub(crate) fn add(&mut self, program: &Path) -> Result<Needs> {
        let needs = Needs::of(program)?;
        for library in &needs.libraries {
            self.add_library(library).with_context(|| format!("{} needs it", program.display()))?;
        }
        Ok(needs)
    }

    /// Adds one library by name, for programs that open it at run time.
    pub(crate) fn add_library(&mut self, name: &str) -> Result<()> {
        if self.found.contains_key(name) {
            return Ok(());
        }
        let Some(path) = self.place(OsStr::new(name)) else {
            let folders: Vec<_> = self.folders.iter().map(|folder| folder.display().to_string()).collect();
            bail!("the shared library {name} is in none of {}", folders.join(", "));
        };
        self.found.insert(name.to_owned(), path.clone());
        self.add(&path).map(|_| ())
    }

    /// Where a file of that name is in the folders.
    pub(crate) fn place(&self, name: &OsStr) -> Option<PathBuf> {
        self.folders.iter().map(|folder| folder.join(name)).find(|path| path.exists())
    }

    /// Name and place of each library found.
    pub(crate) fn found(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.found.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_of_a_dynamic_program() {
        // this test's own program: on the GNU target it is linked to the C library
        let program = std::env::current_exe().expect("a running program has a file");
        let needs = Needs::of(&program).expect("it runs, so it is sound");
        if needs.interpreter.is_some() {
            assert!(needs.libraries.iter().any(|library| library.starts_with("libc.so")), "{needs:?}");
        }
    }

    #[test]
    fn a_script_is_refused() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
        let error = Needs::of(Path::new(script)).expect_err("text is not ELF");
        assert!(error.to_string().contains("README.md"));
    }

    #[test]
    fn a_missing_library_is_named() {
        let mut libraries = Libraries::new(vec!["/nowhere".into()]);
        let error = libraries.add_library("libmissing.so.1").expect_err("the folder does not exist");
        assert_eq!(error.to_string(), "the shared library libmissing.so.1 is in none of /nowhere");
    }
}
