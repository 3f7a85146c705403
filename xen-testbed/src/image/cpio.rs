//! Writes cpio archives in the `newc` format, which Linux unpacks as an initial ramdisk.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const SYMLINK: u32 = 0o120_777;

/// An archive under construction. A path that was written before is not written again; missing parents are made.
#[derive(Debug)]
pub(crate) struct Cpio<W: Write> {
    output: W,
    written: BTreeSet<PathBuf>,
}

impl<W: Write> Cpio<W> {
    /// An empty archive.
    pub(crate) fn new(output: W) -> Self {
        Self { output, written: BTreeSet::new() }
    }

    /// Adds an empty folder.
    pub(crate) fn directory(&mut self, path: impl AsRef<Path>) -> Result<()> {
        self.entry(path.as_ref(), DIRECTORY, &[])
    }

    /// Adds a file that nobody executes.
    pub(crate) fn file(&mut self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        self.entry(path.as_ref(), FILE, content)
    }

    /// Adds a program or a script.
    pub(crate) fn program(&mut self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        self.entry(path.as_ref(), PROGRAM, content)
    }

    /// Adds a symbolic link.
    pub(crate) fn symlink(&mut self, path: impl AsRef<Path>, target: &str) -> Result<()> {
        self.entry(path.as_ref(), SYMLINK, target.as_bytes())
    }

    /// Adds a program that lies on this machine.
    pub(crate) fn copy_program(&mut self, path: impl AsRef<Path>, from: &Path) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.program(path, &content)
    }

    /// Whether `path` is in the archive.
    pub(crate) fn contains(&self, path: impl AsRef<Path>) -> bool {
        self.written.contains(path.as_ref())
    }

    /// Writes the end mark and hands the output back.
    pub(crate) fn finish(mut self) -> Result<W> {
        self.record("TRAILER!!!", 0, &[])?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        if !self.written.insert(path.to_owned()) {
            return Ok(());
        }
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.directory(parent)?;
        }
        let name = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        self.record(name, mode, content).with_context(|| format!("cannot add {name} to the archive"))
    }

    fn record(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let too_big = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let inode = u32::try_from(self.written.len()).map_err(too_big)?;
        let size = u32::try_from(content.len()).map_err(too_big)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_big)?;
        // magic, inode, mode, uid, gid, links, mtime, size, device (4 numbers), name's size, checksum
        let header = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        let header = header.map(|number| format!("{number:08x}")).concat();
        let head = format!("070701{header}{name}\0");
        self.output.write_all(head.as_bytes())?;
        self.output.write_all(padding(head.len()))?;
        self.output.write_all(content)?;
        self.output.write_all(padding(content.len()))
    }
}

/// What fills `length` up to a multiple of four.
fn padding(length: usize) -> &'static [u8] {
    &[0; 3][..length.wrapping_neg() % 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout() {
        let mut cpio = Cpio::new(Vec::new());
        cpio.file("a/b", b"hello").expect("writing to memory");
        cpio.file("a/b", b"again").expect("writing to memory");
        let archive = cpio.finish().expect("writing to memory");
        let text = String::from_utf8(archive).expect("only text was put in");
        let records: Vec<_> = text.match_indices("070701").map(|(offset, _)| offset).collect();
        assert_eq!(records.len(), 3, "the parent, the file once, the end mark: {text:?}");
        assert!(records.iter().all(|offset| offset % 4 == 0));
        assert!(text[records[0]..].starts_with("070701"));
        assert_eq!(&text[records[0] + 14..][..8], "000041ed", "the parent is a folder");
        assert_eq!(&text[records[1] + 54..][..8], "00000005", "the file's size");
        assert!(text.contains("a/b\0\0\0hello\0\0\x00070701"), "{text:?}");
        assert!(text.contains("TRAILER!!!\0"));
    }

    #[test]
    fn padding_completes_words() {
        assert_eq!([0, 1, 2, 3, 4].map(|length| padding(length).len()), [0, 3, 2, 1, 0]);
    }
}
