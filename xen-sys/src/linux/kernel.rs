//! The system calls themselves: every one that the SDK makes on a device file is one of these functions.
//!
//! With the feature `fake`, a test can put a function of its own in the kernel's place, per thread.
#![expect(unsafe_code, reason = "the one ioctl of the workspace; mappings")]

#[cfg(feature = "fake")]
use super::fake::{self, Call};
use super::fork::Generation;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode};
use rustix::mm::{self, Advice, MapFlags, ProtFlags};
use std::ffi::c_void;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr;

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
        Ok(output.unsigned_abs()) // not negative: that would have been an error
    }
}

/// One ioctl; the value is what the kernel returned, 0 or more.
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
    let protection = protection(writable);
    // SAFETY: new memory, where the kernel finds room.
    let address = unsafe { mm::mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, fd, offset) };
    Ok(Mapping::new(address?, length))
}

fn protection(writable: bool) -> ProtFlags {
    if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ }
}

/// Address space that nothing is behind yet, for devices to be mapped into by [`Mapping::map_piece`].
pub(super) fn reserve(length: usize) -> io::Result<Mapping> {
    anonymous(length, MapFlags::PRIVATE | MapFlags::NORESERVE)
}

/// Zeroed memory of our own that is locked in place, all of it present.
pub(super) fn lock_anonymous(length: usize) -> io::Result<Mapping> {
    let memory = anonymous(length, MapFlags::PRIVATE)?;
    // SAFETY: the memory is this mapping's.
    unsafe { mm::mlock(memory.address.cast(), length) }?;
    Ok(memory)
}

fn anonymous(length: usize, flags: MapFlags) -> io::Result<Mapping> {
    // SAFETY: new memory, where the kernel finds room.
    let address = unsafe { mm::mmap_anonymous(ptr::null_mut(), length, protection(true), flags) };
    Ok(Mapping::new(address?, length))
}

/// Mapped memory; the end of it is the `munmap(2)`.
#[derive(Debug)]
pub(super) struct Mapping {
    address: *mut u8,
    length: usize,
    owner: Generation,
}

// SAFETY: a mapping is there for all threads; it gives nothing but its address.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(address: *mut c_void, length: usize) -> Self {
        Self { address: address.cast(), length, owner: Generation::current() }
    }

    pub(super) fn as_mut_ptr(&self) -> *mut u8 {
        self.address
    }

    /// Whether this process made the mapping.
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
        if at.checked_add(length).is_none_or(|end| end > self.length) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = self.address.wrapping_add(at).cast();
        let (protection, flags) = (protection(writable), MapFlags::SHARED | MapFlags::FIXED);
        // SAFETY: it replaces what this mapping holds (checked), of which the caller has given nothing away yet.
        unsafe { mm::mmap(place, length, protection, flags, fd, 0) }?;
        Ok(())
    }

    /// `madvise(MADV_DONTFORK)`: a child of `fork(2)` does not get the memory.
    pub(super) fn not_for_children(&self) -> io::Result<()> {
        #[cfg(feature = "fake")]
        if let Some(answer) = fake::offer(|| Call::DontFork) {
            return answer.map(drop);
        }
        // SAFETY: the memory is this mapping's, and children have no use for it.
        Ok(unsafe { mm::madvise(self.address.cast(), self.length, Advice::LinuxDontFork) }?)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[cfg(feature = "fake")]
        {
            // Nobody can refuse an unmapping, so the answer does not matter.
            let _ = fake::offer(|| Call::Munmap { length: self.length });
        }
        // In a child, this memory is not there, and something else may be.
        if self.is_here() {
            // SAFETY: the memory is this mapping's, and nobody uses it after its end.
            let unmapped = unsafe { mm::munmap(self.address.cast(), self.length) };
            debug_assert!(unmapped.is_ok(), "it was mapped like this");
        }
    }
}
