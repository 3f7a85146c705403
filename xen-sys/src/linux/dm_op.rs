//! Operations of device models, through `/dev/xen/privcmd`: the kernel takes care of their memory.
#![expect(unsafe_code, reason = "sends records that carry addresses of slices")]

use super::Device;
use super::privcmd::{DmOp, DmOpBuf, Irqfd, Privcmd};
use crate::DomId;
use crate::xen_public::hvm::{DmOpRecord, DmOperation};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use zerocopy::IntoBytes;

/// Memory as the kernel takes it.
fn buffer(memory: &mut [u8]) -> DmOpBuf {
    DmOpBuf { uptr: memory.as_mut_ptr().expose_provenance() as u64, size: memory.len() as u64 }
}

impl Device<Privcmd> {
    /// Issues an operation on a domain, with a list if it takes one: one system call, no allocation. What Xen wrote is in the
    /// operation and in the list afterwards.
    ///
    /// # Errors
    ///
    /// Xen's and the kernel's; `E2BIG` for a list that is longer than the kernel's module parameter `dm_op_buf_max_size`
    /// (4096 bytes).
    pub fn dm_op<O: DmOperation>(
        &self,
        domain: DomId,
        operation: &mut O,
        list: Option<&mut [u8]>,
    ) -> io::Result<u32> {
        let mut record = DmOpRecord::new(operation);
        let num = 1 + u16::from(list.is_some());
        let mut buffers = [buffer(record.as_mut_bytes()), buffer(list.unwrap_or_default())];
        let ubufs = buffers.as_mut_ptr().expose_provenance() as u64;
        let mut request = DmOp { dom: domain.get(), num, padding: 0, ubufs };
        // SAFETY: kernel and Xen read `num` buffers, and read and write these: a record and a slice that are borrowed exclusively,
        // in memory that can be written, as the kernel wants it.
        let outcome = unsafe { self.submit_unchecked(&mut request) };
        *operation = record.operation();
        outcome
    }

    /// Has the kernel issue an operation on a domain each time that an eventfd is signalled, until that is closed (Linux
    /// 6.7+, and 6.6.2+); or ends it.
    ///
    /// # Errors
    ///
    /// The kernel's; `EOPNOTSUPP` if it was built without it.
    pub fn irqfd<O: DmOperation>(
        &self,
        domain: DomId,
        operation: &O,
        eventfd: BorrowedFd<'_>,
        assign: bool,
    ) -> io::Result<()> {
        let mut record = DmOpRecord::new(operation);
        let bytes = record.as_mut_bytes();
        let mut request = Irqfd {
            dm_op: bytes.as_mut_ptr().expose_provenance() as u64,
            size: u32::try_from(bytes.len()).map_err(io::Error::other)?,
            fd: u32::try_from(eventfd.as_raw_fd()).map_err(io::Error::other)?,
            flags: u32::from(!assign),
            dom: domain.get(),
            padding: 0,
        };
        // SAFETY: the kernel copies the record, which is `size` bytes long, before it returns; its own copy is what it sends later.
        unsafe { self.submit_unchecked(&mut request) }.map(drop)
    }
}
