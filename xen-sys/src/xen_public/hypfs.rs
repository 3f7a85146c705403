//! `xen/include/public/hypfs.h`: a small file system of settings and facts, in the hypervisor.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::operation::{Command, GuestMemory, HypercallNumber, Operation, command};
use super::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u8:
    /// It has entries.
    HYPFS_TYPE_DIR = "XEN_HYPFS_TYPE_DIR" = 0;
    /// Bytes.
    HYPFS_TYPE_BLOB = "XEN_HYPFS_TYPE_BLOB" = 1;
    /// Text that ends with a zero.
    HYPFS_TYPE_STRING = "XEN_HYPFS_TYPE_STRING" = 2;
    /// A number, of 1, 2, 4 or 8 bytes.
    HYPFS_TYPE_UINT = "XEN_HYPFS_TYPE_UINT" = 3;
    /// A number with a sign.
    HYPFS_TYPE_INT = "XEN_HYPFS_TYPE_INT" = 4;
    /// 0 for no, in as many bytes as there are.
    HYPFS_TYPE_BOOL = "XEN_HYPFS_TYPE_BOOL" = 5;
    /// The contents are as the type says.
    HYPFS_ENC_PLAIN = "XEN_HYPFS_ENC_PLAIN" = 0;
    /// They are compressed.
    HYPFS_ENC_GZIP = "XEN_HYPFS_ENC_GZIP" = 1;
}

/// `struct xen_hypfs_direntry`: what a file or a directory is. Reading one gives this, and the contents behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_hypfs_direntry")]
pub struct HypfsEntry {
    /// `HYPFS_TYPE_*`
    pub kind: u8,
    /// `HYPFS_ENC_*`
    pub encoding: u8,
    /// Zero.
    pub pad: u16,
    /// How many bytes the contents are.
    pub content_len: u32,
    /// How many bytes can be written; 0 if it is read-only.
    pub max_write_len: u32,
}
layout!(
    HypfsEntry = "struct xen_hypfs_direntry", 12,
    kind("type") @ 0, encoding @ 1, content_len @ 4, max_write_len @ 8,
);

/// `struct xen_hypfs_dirlistentry` as far as the name: an entry of a directory. The name ends with a zero.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, packed(2))]
#[doc(alias = "xen_hypfs_dirlistentry")]
pub struct HypfsListEntry {
    /// What it is.
    pub entry: HypfsEntry,
    /// Where the next one begins, from the beginning of this one; 0 for the last.
    pub off_next: u16,
}
layout!(HypfsListEntry = "struct xen_hypfs_dirlistentry" before "name", 14, entry("e") @ 0, off_next @ 12);

/// Asks for the highest version of the interface, which is the result.
#[derive(Clone, Copy, Debug)]
pub struct HypfsVersion;

// SAFETY: nothing is read or written.
unsafe impl Operation for HypfsVersion {
    const NUMBER: HypercallNumber = HypercallNumber::HYPFS_OP;
    const NAME: &'static str = "XEN_HYPFS_OP_get_version";
    type Record = ();

    fn record(&self) {}

    fn arguments(&self, _: u64) -> [u64; 5] {
        [command!("XEN_HYPFS_OP_get_version" = 0).number.into(), 0, 0, 0, 0]
    }
}

/// Reads a file or a directory: a [`HypfsEntry`], and then the contents if there is room for all of them.
#[derive(Debug)]
pub struct ReadHypfs<'a> {
    /// The path, with a zero at the end.
    pub path: GuestMemory<'a>,
    /// Where the answer is written.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen reads the path and writes at most as many bytes as there is room for.
unsafe impl Operation for ReadHypfs<'_> {
    const NUMBER: HypercallNumber = HypercallNumber::HYPFS_OP;
    const NAME: &'static str = "XEN_HYPFS_OP_read";
    type Record = ();

    fn record(&self) {}

    fn arguments(&self, _: u64) -> [u64; 5] {
        arguments(command!("XEN_HYPFS_OP_read" = 1), &self.path, &self.into)
    }
}

/// Writes the contents of a file.
#[derive(Debug)]
pub struct WriteHypfs<'a> {
    /// The path, with a zero at the end.
    pub path: GuestMemory<'a>,
    /// The contents.
    pub contents: GuestMemory<'a>,
}

// SAFETY: Xen reads path and contents.
unsafe impl Operation for WriteHypfs<'_> {
    const NUMBER: HypercallNumber = HypercallNumber::HYPFS_OP;
    const NAME: &'static str = "XEN_HYPFS_OP_write_contents";
    type Record = ();

    fn record(&self) {}

    fn arguments(&self, _: u64) -> [u64; 5] {
        arguments(command!("XEN_HYPFS_OP_write_contents" = 2), &self.path, &self.contents)
    }
}

fn arguments(command: Command, path: &GuestMemory<'_>, data: &GuestMemory<'_>) -> [u64; 5] {
    [u64::from(command.number), path.address(), path.len() as u64, data.address(), data.len() as u64]
}
