//! The system calls themselves: every one that the SDK makes on a device file is one of these functions.
//!
//! With the feature `fake`, a test can put a function of its own in the kernel's place, per thread.
#![expect(unsafe_code, reason = "the one ioctl of the workspace; the end of mappings")]

#[cfg(feature = "fake")]
use super::fake::{self, Call};
use super::fork::Generation;
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::mm::{MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::BorrowedFd;

/// Offers a call to the fake kernel, if the thread has one, and returns its answer.
macro_rules! offer_to_fake {
    ($call:expr) => {
        #[cfg(feature = "fake")]
        if let Some(answer) = fake::offer(|| $call) {
            return answer;
        }
    };
}

/// An operand under an opcode.
struct Operand<'a> {
    opcode: Opcode,
    bytes: &'a mut [u8],
}

// SAFETY: the address is that of the borrowed operand; that the opcode takes an operand of this size is what the
// caller of `ioctl` below vouches for.
unsafe impl Ioctl for Operand<'_> {
    type Output = u32;
    /// Always: the kernel may write the operand.
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.bytes.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(output: IoctlOutput, _: *mut c_void) -> rustix::io::Result<u32> {
        u32::try_from(output).map_err(|_| Errno::OVERFLOW) // a hypercall's answer that has no room in it
    }
}

/// One ioctl; the value is what the kernel returned, 0 or more. `EOVERFLOW` if that is 2^31 or more.
///
/// # Safety
///
/// `fd` is open on the driver that defines `opcode` with an operand of this size, and every address in the operand is
/// valid for what the driver does with it.
#[inline]
pub(super) unsafe fn ioctl(fd: BorrowedFd<'_>, opcode: Opcode, operand: &mut [u8]) -> io::Result<u32> {
    #[cfg(feature = "fake")]
    if let Some(answer) = fake::offer(|| Call::Ioctl { opcode, operand: &mut *operand }) {
        return answer.and_then(|value| u32::try_from(value).map_err(io::Error::other));
    }
    // SAFETY: the caller vouches for driver, operand and addresses.
    unsafe { rustix::ioctl::ioctl(fd, Operand { opcode, bytes: operand }) }.map_err(refused)
}

/// What the kernel refused. Apart, so that what it does is all that callers carry with them.
#[cold]
fn refused(error: Errno) -> io::Error {
    error.into()
}

/// `read(2)`
#[inline]
pub(super) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    offer_to_fake!(Call::Read { buffer: &mut *buffer });
    rustix::io::read(fd, buffer).map_err(refused)
}

/// `write(2)`
#[inline]
pub(super) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    offer_to_fake!(Call::Write { bytes });
    rustix::io::write(fd, bytes).map_err(refused)
}

/// `poll(2)` for reading; the value is 0 after the time is up. An overflow of the ring (POLLERR) counts as readable.
#[inline]
pub(super) fn poll(fd: BorrowedFd<'_>, timeout: Option<Timespec>) -> io::Result<usize> {
    offer_to_fake!(Call::Poll);
    let mut polled = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    rustix::event::poll(&mut polled, timeout.as_ref()).map_err(refused)
}

/// `mmap(2)` of a device: shared, all of `length` bytes from `offset`.
pub(super) fn mmap(fd: BorrowedFd<'_>, offset: u64, length: usize, writable: bool) -> io::Result<Mapping> {
    #[cfg(feature = "fake")]
    if let Some(Err(refusal)) = fake::offer(|| Call::Mmap { offset, length, writable }) {
        return Err(refusal);
    }
    let mut options = MmapOptions::new();
    options.offset(offset).len(length);
    let map = if writable { options.map_raw(&fd) } else { options.map_raw_read_only(&fd) }?;
    Ok(Mapping::new(map))
}

/// Address space that nothing is behind yet, for devices to be mapped into by [`Mapping::map_piece`].
pub(super) fn reserve(length: usize) -> io::Result<Mapping> {
    let space = MmapOptions::new().len(length).no_reserve_swap().map_anon()?;
    Ok(Mapping::new(space))
}

/// Zeroed memory of our own that is locked in place, all of it present.
pub(super) fn lock_anonymous(length: usize) -> io::Result<Mapping> {
    let memory = MmapOptions::new().len(length).map_anon()?;
    memory.lock()?;
    Ok(Mapping::new(memory))
}

/// Mapped memory; the end of it is the `munmap(2)`.
#[derive(Debug)]
pub(super) struct Mapping {
    map: ManuallyDrop<MmapRaw>,
    owner: Generation,
}

impl Mapping {
    /// Of this process's.
    fn new(map: impl Into<MmapRaw>) -> Self {
        Self { map: ManuallyDrop::new(map.into()), owner: Generation::current() }
    }

    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Whether this process made the mapping.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        self.owner == Generation::current()
    }

    /// `mmap(2)` of a device over a part of reserved address space. `at` and `length` are multiples of the page size.
    pub(super) fn map_piece(
        &self,
        fd: BorrowedFd<'_>,
        at: usize,
        length: usize,
        writable: bool,
    ) -> io::Result<()> {
        #[cfg(feature = "fake")]
        if let Some(Err(refusal)) = fake::offer(|| Call::Mmap { offset: 0, length, writable }) {
            return Err(refusal);
        }
        if at.checked_add(length).is_none_or(|end| end > self.map.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = self.map.as_mut_ptr().wrapping_add(at).cast();
        let protection = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: it replaces what this mapping holds (checked), of which the caller has given nothing away yet.
        unsafe { rustix::mm::mmap(place, length, protection, MapFlags::SHARED | MapFlags::FIXED, fd, 0) }?;
        Ok(())
    }

    /// `madvise(MADV_DONTFORK)`: a child of `fork(2)` does not get the memory.
    pub(super) fn not_for_children(&self) -> io::Result<()> {
        #[cfg(feature = "fake")]
        if let Some(answer) = fake::offer(|| Call::DontFork) {
            return answer.map(drop);
        }
        self.map.advise(Advice::DontFork)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[cfg(feature = "fake")]
        {
            // Nobody can refuse an unmapping, so the answer does not matter.
            let _ = fake::offer(|| Call::Munmap { length: self.map.len() });
        }
        // In a child, this memory is not there, and something else may be.
        if self.is_here() {
            // SAFETY: dropped here only, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.map) };
        }
    }
}
