//! Memory for hypercall arguments: Xen reads and writes it without being able to page it in.

use super::device::Device;
use super::kernel::{self, Mapping};
use super::privcmd::PrivcmdBuf;
use std::io;

/// Zeroed memory that Xen always finds in place, from `/dev/xen/hypercall` or, failing that, locked memory of our own.
///
/// Children of `fork(2)` do not get it.
#[derive(Debug)]
pub struct HypercallMemory {
    mapping: Mapping,
    length: usize,
}

impl HypercallMemory {
    /// Maps at least `length` bytes, in whole pages.
    ///
    /// Without the device, pages can still be moved while Xen looks: then a hypercall fails with `EFAULT` for no fault of
    /// its own, and is to be tried again. Such memory counts against `RLIMIT_MEMLOCK`.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` for no bytes, or more than the address space holds.
    pub fn map(device: Option<&Device<PrivcmdBuf>>, length: usize) -> io::Result<Self> {
        let length = length.checked_next_multiple_of(rustix::param::page_size()).filter(|&length| length > 0);
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        let mapping = match device {
            Some(device) => device.map(0, length, true)?,
            None => kernel::lock_anonymous(length)?,
        };
        mapping.not_for_children()?;
        Ok(Self { mapping, length })
    }

    /// Where it begins.
    #[must_use]
    #[inline]
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.mapping.as_mut_ptr()
    }

    /// Its length in bytes: whole pages.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether this process made it. If not, this is a child that was forked since, and the memory is not there.
    #[must_use]
    #[inline]
    pub fn is_here(&self) -> bool {
        self.mapping.is_here()
    }
}
