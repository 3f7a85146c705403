//! The files that go into dom0: programs with their libraries, other files, and the scripts that start them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::Object;

use crate::cells::Architecture;
use crate::image::cpio::Cpio;
use crate::image::elf::Libraries;

const PRIVATE_LIBRARIES: &str = "t/.lib";

/// Libraries of dom0 that a program loads at run time must find the other parts of the C library that the program came with.
const GNU_C_LIBRARY: &str = "libc.so.6";
const PARTS_OF_IT: [&str; 4] = ["libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1"];

/// The size of the drive that the archive becomes, the same in every run; it is sparse.
const CAPACITY: u64 = 4 << 30;

/// An archive in the making.
#[derive(Debug)]
pub(crate) struct Payload {
    cpio: Cpio<BufWriter<File>>,
    architecture: Architecture,
    /// Where programs' libraries are looked for, before the usual folders.
    libraries: Vec<PathBuf>,
    scripts: usize,
}

/// A command in dom0, ready to be put into a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    words: Vec<String>,
}

impl Payload {
    /// Starts the archive in the file `path`, for a machine of this architecture.
    pub(crate) fn create(path: &Path, architecture: Architecture) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut cpio = Cpio::new(BufWriter::new(file));
        cpio.directory("t/.run")?;
        Ok(Self { cpio, architecture, libraries: Vec::new(), scripts: 0 })
    }

    /// Has the libraries of programs looked for in this folder as well, before the usual ones.
    pub(crate) fn look_into(&mut self, folder: PathBuf) {
        self.libraries.push(folder);
    }

    /// What the user named: with a slash it is a program of this host and is copied, otherwise a command of dom0.
    pub(crate) fn command(&mut self, program: &str, arguments: &[String]) -> Result<Invocation> {
        if program.contains('/') {
            self.program(Path::new(program), "t", arguments)
        } else {
            Ok(Invocation::new(program, arguments))
        }
    }

    /// Copies a program of this host, with its interpreter and libraries, into `folder`.
    pub(crate) fn program(&mut self, path: &Path, folder: &str, arguments: &[String]) -> Result<Invocation> {
        let place = self.place(path, folder)?;
        let content =
            fs::read(path).with_context(|| format!("cannot read the program {}", path.display()))?;
        self.cpio.program(&place, &content)?;
        let place = format!("/{}", place.display());
        if !content.starts_with(b"\x7fELF") {
            return Ok(Invocation::new(&place, arguments)); // a script, presumably
        }
        let machine = machine(&content).with_context(|| format!("cannot read {}", path.display()))?;
        if machine != self.architecture {
            bail!(
                "{} is a program for {}, but the machine is {}",
                path.display(),
                machine.gnu(),
                self.architecture.gnu()
            );
        }
        let folders = self.libraries.iter().cloned().chain(library_folders(path, machine));
        let mut libraries = Libraries::new(folders.collect());
        let needs = libraries.add(path)?;
        let Some(interpreter) = needs.interpreter else { return Ok(Invocation::new(&place, arguments)) };
        if needs.libraries.iter().any(|library| library == GNU_C_LIBRARY) {
            PARTS_OF_IT.into_iter().try_for_each(|part| libraries.add_library(part))?;
        }
        for (name, library) in libraries.found() {
            self.cpio.copy_program(Path::new(PRIVATE_LIBRARIES).join(name), library)?;
        }
        let name = interpreter.file_name().unwrap_or_default();
        let loader = Path::new(PRIVATE_LIBRARIES).join(name);
        let interpreter = Some(interpreter.clone())
            .filter(|path| path.exists())
            .or_else(|| libraries.place(name))
            .with_context(|| {
                format!("{} needs {}, which is not here", path.display(), interpreter.display())
            })?;
        if !self.cpio.contains(&loader) {
            self.cpio.copy_program(&loader, &interpreter)?;
        }
        // dom0 has another C library: the program is started by the loader that belongs to its own
        let mut words = vec!["--library-path".to_owned(), format!("/{PRIVATE_LIBRARIES}"), place];
        words.extend_from_slice(arguments);
        Ok(Invocation::new(&format!("/{}", loader.display()), &words))
    }

    /// Copies a file or a whole folder of this host to /t.
    pub(crate) fn file(&mut self, path: &Path) -> Result<()> {
        let place = self.place(path, "t")?;
        self.copy(path, &place)
    }

    fn copy(&mut self, path: &Path, place: &Path) -> Result<()> {
        let cannot_read = || format!("cannot read {}", path.display());
        if path.is_dir() {
            self.cpio.directory(place)?;
            for entry in fs::read_dir(path).with_context(cannot_read)? {
                let entry = entry.with_context(cannot_read)?;
                self.copy(&entry.path(), &place.join(entry.file_name()))?;
            }
            return Ok(());
        }
        let content = fs::read(path).with_context(cannot_read)?;
        let mode = fs::metadata(path).with_context(cannot_read)?.permissions().mode();
        if mode & 0o111 == 0 { self.cpio.file(place, &content) } else { self.cpio.program(place, &content) }
    }

    /// The name in dom0 for a file of this host.
    fn place(&self, path: &Path, folder: &str) -> Result<PathBuf> {
        let name = path.file_name().with_context(|| format!("{} has no file name", path.display()))?;
        let place = Path::new(folder).join(name);
        if self.cpio.contains(&place) {
            bail!("two files would be /{} in dom0", place.display());
        }
        Ok(place)
    }

    /// Adds a script that starts `invocation`; the answer is the number to run it by.
    pub(crate) fn script(
        &mut self,
        environment: &BTreeMap<String, String>,
        invocation: &Invocation,
    ) -> Result<usize> {
        self.scripts += 1;
        let script = script(environment, invocation);
        self.cpio.program(format!("t/.run/{}", self.scripts), script.as_bytes())?;
        Ok(self.scripts)
    }

    /// Adds a script that the user wrote.
    pub(crate) fn user_script(
        &mut self,
        environment: &BTreeMap<String, String>,
        text: &str,
    ) -> Result<usize> {
        self.cpio.program("t/.script", text.as_bytes())?;
        self.script(environment, &Invocation::new("sh", &["/t/.script".into()]))
    }

    /// Completes the archive.
    pub(crate) fn finish(self) -> Result<()> {
        let file = self.cpio.finish()?.into_inner().context("cannot complete the archive for dom0")?;
        file.set_len(CAPACITY).context("cannot make a drive of the archive for dom0")
    }
}

impl Invocation {
    /// A program, by the name or path that it has in dom0, with arguments.
    pub(crate) fn new(program: &str, arguments: &[String]) -> Self {
        let mut words = vec![program.to_owned()];
        words.extend_from_slice(arguments);
        Self { words }
    }

    /// The same, killed after that many seconds.
    pub(crate) fn limited_to(mut self, seconds: u64) -> Self {
        let limit = ["timeout", "-s", "KILL", &seconds.to_string()].map(str::to_owned);
        self.words.splice(0..0, limit);
        self
    }
}

fn script(environment: &BTreeMap<String, String>, invocation: &Invocation) -> String {
    let variables = environment.iter().map(|(name, value)| quote(&format!("{name}={value}")));
    let words = invocation.words.iter().map(|word| quote(word));
    format!("cd /t\nexec env {}\n", variables.chain(words).collect::<Vec<_>>().join(" "))
}

/// `word` so that a shell reads it as exactly this.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The usual folders of Debian and others, behind those next to the program: cargo puts libraries of a build there.
fn library_folders(program: &Path, architecture: Architecture) -> Vec<PathBuf> {
    let own = program.parent().map(|folder| [folder.to_owned(), folder.join("deps")]);
    let chosen = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let multiarch = architecture.multiarch();
    let debian =
        [format!("/lib/{multiarch}"), format!("/usr/lib/{multiarch}"), format!("/usr/{multiarch}/lib")];
    let others = ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"];
    own.into_iter()
        .flatten()
        .chain(std::env::split_paths(&chosen))
        .chain(debian.map(PathBuf::from))
        .chain(others.map(PathBuf::from))
        .collect()
}

/// What processor an ELF program is for.
fn machine(program: &[u8]) -> Result<Architecture> {
    match object::File::parse(program)?.architecture() {
        object::Architecture::X86_64 => Ok(Architecture::Amd64),
        object::Architecture::Aarch64 => Ok(Architecture::Arm64),
        other => bail!("it is a program for {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_the_shell() {
        for word in ["plain", "two words", "it's", "$HOME `id` \"x\"", "", "a\nb", "''"] {
            let echo =
                std::process::Command::new("sh").args(["-c", &format!("printf %s {}", quote(word))]).output();
            assert_eq!(echo.expect("a shell").stdout, word.as_bytes());
        }
    }

    #[test]
    fn scripts() {
        let environment = BTreeMap::from([("RUST_LOG".to_owned(), "a=b".to_owned())]);
        let invocation = Invocation::new("xl", &["list".into()]).limited_to(9);
        assert_eq!(
            script(&environment, &invocation),
            "cd /t\nexec env 'RUST_LOG=a=b' 'timeout' '-s' 'KILL' '9' 'xl' 'list'\n"
        );
    }

    #[test]
    fn a_dynamic_program_brings_its_loader() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut payload =
            Payload::create(&folder.path().join("payload"), Architecture::Amd64).expect("an archive");
        let program = std::env::current_exe().expect("a running program has a file");
        let invocation =
            payload.program(&program, "t", &["x".into()]).expect("it runs here, so everything is there");
        if invocation.words.len() > 2 {
            assert!(invocation.words[0].starts_with("/t/.lib/ld"), "{invocation:?}");
            assert!(payload.cpio.contains("t/.lib/libc.so.6"));
        }
        let error = payload.file(&program).expect_err("the same name again");
        assert!(error.to_string().starts_with("two files would be /t/"));
    }
}
