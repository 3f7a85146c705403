//! Mapping of foreign frames.

use super::{Mapped, file, good, number, system_call};
use std::os::fd::BorrowedFd;
use xen_sys::linux::Record;
use xen_sys::linux::privcmd::MmapBatchV2;

/// Maps frames of a domain; all of them.
pub(crate) fn map_foreign(fd: BorrowedFd<'_>, dom: u16, frames: &[u64], statuses: &mut [i32]) -> Mapped {
    assert_eq!(frames.len(), statuses.len());
    let memory = super::map(fd, 0, frames.len() * 4096);
    let mut request = MmapBatchV2 {
        num: u32::try_from(frames.len()).expect("few"),
        dom,
        padding: 0,
        addr: memory.address as u64,
        arr: frames.as_ptr() as u64,
        err: statuses.as_mut_ptr() as u64,
    };
    let opcode = usize::try_from(MmapBatchV2::OPCODE).expect("32 bits");
    let operand = (&raw mut request) as usize;
    // SAFETY: there are as many frames and statuses, and that much memory was just mapped.
    let unmapped = good(unsafe { system_call(number::IOCTL, [file(fd), opcode, operand, 0, 0, 0]) });
    assert_eq!(unmapped, 0);
    memory
}
