//! The hypervisor's file system of settings and facts.

use std::io;

use xen_call::{HypercallBuffer, Operation};
use xen_sys::xen_public::errno::ENOBUFS;
use xen_sys::xen_public::hypfs::{self, HypfsEntry, HypfsListEntry, HypfsVersion, ReadHypfs, WriteHypfs};
use xen_sys::zerocopy::FromBytes;

use crate::host::text;
use crate::{Error, Xenctrl};

/// The hypervisor's file system, if it was built with one (`CONFIG_HYPFS`): what it was built of (`/buildinfo`), its parameters
/// (`/params`), cpupools (`/cpupool`).
///
/// ```no_run
/// # fn main() -> Result<(), xen_ctrl::Error> {
/// # let xen = xen_ctrl::Xenctrl::open()?;
/// for file in xen.hypfs().list("/params")? {
///     println!("{} = {:?}", file.name, xen.hypfs().read(&format!("/params/{}", file.name))?);
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
#[doc(alias = "xenhypfs_handle")]
pub struct Hypfs<'a> {
    xen: &'a Xenctrl,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HypfsValue {
    /// It is a directory.
    Directory(Vec<HypfsFile>),
    /// Text.
    Text(String),
    /// A number.
    Unsigned(u64),
    /// A number with a sign.
    Signed(i64),
    /// Yes or no.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Bytes that gzip made, of text mostly.
    Gzip(Vec<u8>),
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xenhypfs_dirent")]
pub struct HypfsFile {
    /// Its name in the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// How many bytes its contents are.
    pub length: u32,
    /// How many bytes can be written; `None` if it is read-only.
    pub max_write: Option<u32>,
}

impl Xenctrl {
    /// The hypervisor's file system.
    #[must_use]
    #[doc(alias = "xenhypfs_open")]
    pub fn hypfs(&self) -> Hypfs<'_> {
        Hypfs { xen: self }
    }
}

/// What most files fit in.
const USUAL_BYTES: usize = 4096;

/// How often a file is read anew because it has grown meanwhile.
const ATTEMPTS: u32 = 8;

impl Hypfs<'_> {
    /// The version of this interface: 1 so far.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the hypervisor was built without; [`Error::Denied`].
    #[doc(alias = "XEN_HYPFS_OP_get_version")]
    pub fn version(&self) -> Result<u32, Error> {
        let version = self.xen.call(None, &HypfsVersion)?.value;
        Ok(u32::try_from(version).unwrap_or(u32::MAX))
    }

    /// The entries of a directory. The paths of this file system begin with `/`.
    ///
    /// # Errors
    ///
    /// As [`Hypfs::read`]; [`Error::Refused`] with [`io::ErrorKind::NotADirectory`] for a file.
    #[doc(alias = "xenhypfs_readdir")]
    pub fn list(&self, path: &str) -> Result<Vec<HypfsFile>, Error> {
        match self.read(path)? {
            HypfsValue::Directory(files) => Ok(files),
            _ => Err(refused(READ, io::ErrorKind::NotADirectory)),
        }
    }

    /// Reads a file or a directory.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the hypervisor was built without; [`Error::Denied`]; [`Error::Refused`] with `ENOENT` if there is no
    /// such file, that or `EINVAL` for a path that does not begin with `/` or is too long, `ENOBUFS` if it goes on growing; [`Error::Call`].
    #[doc(alias = "xenhypfs_read")]
    #[doc(alias = "xenhypfs_read_raw")]
    #[doc(alias = "XEN_HYPFS_OP_read")]
    pub fn read(&self, path: &str) -> Result<HypfsValue, Error> {
        let (entry, contents) = self.read_raw(path)?;
        Ok(value(entry, &contents))
    }

    /// Writes a file. Its type stays: a number is written as one, with or without a sign as it is read. Text is what the parameter
    /// of that name on Xen's command line takes.
    ///
    /// # Errors
    ///
    /// As [`Hypfs::read`]; [`Error::Denied`] for a file that is read-only; [`Error::Refused`] with `EINVAL` for a value that Xen
    /// does not take, [`io::ErrorKind::InvalidInput`] for a number that is too large for the file, or a directory.
    #[doc(alias = "xenhypfs_write")]
    #[doc(alias = "XEN_HYPFS_OP_write_contents")]
    pub fn write(&self, path: &str, value: &HypfsValue) -> Result<(), Error> {
        let width = usize::try_from(self.read_raw(path)?.0.content_len).unwrap_or(usize::MAX);
        let bytes = encode(value, width).ok_or_else(|| refused(WRITE, io::ErrorKind::InvalidInput))?;
        let mut contents = self.xen.xencall().buffer_from(&bytes)?;
        let mut path = self.path(path)?;
        self.xen.call(None, &WriteHypfs { path: path.lend(), contents: contents.lend() }).map(drop)
    }

    /// Reads what a file is, and its contents.
    fn read_raw(self, path: &str) -> Result<(HypfsEntry, Vec<u8>), Error> {
        let mut path = self.path(path)?;
        let mut room = USUAL_BYTES;
        let mut attempts = 1;
        loop {
            let mut answer = self.xen.xencall().zeroed_buffer::<u8>(room)?;
            let result = self.xen.call(None, &ReadHypfs { path: path.lend(), into: answer.lend() });
            let (entry, contents) = HypfsEntry::read_from_prefix(&answer)
                .map_err(|_| refused(READ, io::ErrorKind::InvalidData))?; // there is room for more than that
            let length = usize::try_from(entry.content_len).unwrap_or(usize::MAX);
            match result {
                Err(error) if error.errno() == Some(ENOBUFS) && attempts < ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
                Ok(_) => return Ok((entry, contents[..length.min(contents.len())].to_vec())),
            }
            room = length.saturating_add(USUAL_BYTES);
        }
    }

    /// A path where Xen can read it, with a zero at the end.
    fn path(self, path: &str) -> Result<HypercallBuffer<[u8]>, Error> {
        Ok(self.xen.xencall().buffer_from(&[path.as_bytes(), &[0]].concat())?)
    }
}

const READ: &str = ReadHypfs::NAME;
const WRITE: &str = WriteHypfs::NAME;

fn refused(operation: &'static str, kind: io::ErrorKind) -> Error {
    Error::Refused { operation, domain: None, source: kind.into() }
}

/// What the bytes mean.
fn value(entry: HypfsEntry, contents: &[u8]) -> HypfsValue {
    if entry.encoding == hypfs::HYPFS_ENC_GZIP {
        return HypfsValue::Gzip(contents.to_vec());
    }
    match entry.kind {
        hypfs::HYPFS_TYPE_DIR => HypfsValue::Directory(files(contents)),
        hypfs::HYPFS_TYPE_STRING => HypfsValue::Text(text(contents)),
        hypfs::HYPFS_TYPE_UINT => HypfsValue::Unsigned(u64::from_le_bytes(widened(contents, 0))),
        hypfs::HYPFS_TYPE_INT => {
            let is_negative = contents.last().is_some_and(|byte| byte & 0x80 != 0);
            HypfsValue::Signed(i64::from_le_bytes(widened(contents, if is_negative { 0xff } else { 0 })))
        }
        hypfs::HYPFS_TYPE_BOOL => HypfsValue::Bool(contents.iter().any(|byte| *byte != 0)),
        _ => HypfsValue::Bytes(contents.to_vec()),
    }
}

fn widened(bytes: &[u8], fill: u8) -> [u8; 8] {
    let mut wide = [fill; 8];
    for (wide, byte) in wide.iter_mut().zip(bytes) {
        *wide = *byte;
    }
    wide
}

/// The entries of a directory.
fn files(mut contents: &[u8]) -> Vec<HypfsFile> {
    let mut files = Vec::new();
    while let Ok((HypfsListEntry { entry, off_next }, name)) = HypfsListEntry::read_from_prefix(contents) {
        files.push(HypfsFile {
            name: text(name),
            is_directory: entry.kind == hypfs::HYPFS_TYPE_DIR,
            length: entry.content_len,
            max_write: (entry.max_write_len != 0).then_some(entry.max_write_len),
        });
        match contents.get(usize::from(off_next)..) {
            Some(rest) if off_next != 0 => contents = rest,
            _ => break,
        }
    }
    files
}

/// The bytes to write to a file of `width` bytes; `None` for a number that does not fit, or a directory.
fn encode(value: &HypfsValue, width: usize) -> Option<Vec<u8>> {
    let narrowed = |bytes: [u8; 8], fill: u8| {
        let (bytes, rest) = bytes.split_at(width.min(8));
        rest.iter().all(|byte| *byte == fill).then(|| bytes.to_vec())
    };
    match value {
        HypfsValue::Directory(_) => None,
        HypfsValue::Text(text) => Some([text.as_bytes(), &[0]].concat()),
        HypfsValue::Unsigned(number) => narrowed(number.to_le_bytes(), 0),
        HypfsValue::Signed(number) => narrowed(number.to_le_bytes(), if *number < 0 { 0xff } else { 0 }),
        HypfsValue::Bool(yes) => narrowed(u64::from(*yes).to_le_bytes(), 0),
        HypfsValue::Bytes(bytes) | HypfsValue::Gzip(bytes) => Some(bytes.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u8) -> HypfsEntry {
        HypfsEntry { kind, ..HypfsEntry::default() }
    }

    #[test]
    fn values_of_every_type_are_read_and_written() {
        for (kind, value_, bytes) in [
            (hypfs::HYPFS_TYPE_UINT, HypfsValue::Unsigned(0xfe), vec![0xfe, 0, 0, 0]),
            (hypfs::HYPFS_TYPE_INT, HypfsValue::Signed(-2), vec![0xfe, 0xff]),
            (hypfs::HYPFS_TYPE_INT, HypfsValue::Signed(i64::MIN), vec![0, 0, 0, 0, 0, 0, 0, 0x80]),
            (hypfs::HYPFS_TYPE_BOOL, HypfsValue::Bool(true), vec![1]),
            (hypfs::HYPFS_TYPE_STRING, HypfsValue::Text("on".to_owned()), b"on\0".to_vec()),
            (hypfs::HYPFS_TYPE_BLOB, HypfsValue::Bytes(vec![3, 0]), vec![3, 0]),
        ] {
            assert_eq!(value(entry(kind), &bytes), value_);
            assert_eq!(encode(&value_, bytes.len()), Some(bytes));
        }
        assert_eq!(encode(&HypfsValue::Unsigned(256), 1), None, "too large");
        assert_eq!(encode(&HypfsValue::Signed(-257), 1), None, "too small");
        assert_eq!(encode(&HypfsValue::Directory(Vec::new()), 1), None);
        let zipped = HypfsEntry { encoding: hypfs::HYPFS_ENC_GZIP, ..entry(hypfs::HYPFS_TYPE_STRING) };
        assert_eq!(value(zipped, &[31, 139]), HypfsValue::Gzip(vec![31, 139]));
    }

    #[test]
    fn a_directory_is_read_and_a_wrong_one_ends() {
        let mut bytes = vec![0; 40];
        bytes[4] = 9; // length
        bytes[8] = 7; // can be written
        bytes[12] = 20; // next
        bytes[14..17].copy_from_slice(b"abc");
        bytes[20] = 1; // a blob
        bytes[34..36].copy_from_slice(b"de");
        let read = files(&bytes);
        let names: Vec<_> =
            read.iter().map(|file| (file.name.as_str(), file.is_directory, file.length)).collect();
        assert_eq!(names, [("abc", true, 9), ("de", false, 0)]);
        assert_eq!(read.iter().map(|file| file.max_write).collect::<Vec<_>>(), [Some(7), None]);
        bytes[12] = 200;
        assert_eq!(files(&bytes).len(), 1, "the next one is beyond the end");
        assert_eq!(files(&bytes[..10]), []);
    }
}
