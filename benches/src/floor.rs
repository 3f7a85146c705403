//! Bare system calls, without a library in between.
#![expect(unsafe_code, reason = "the system call instruction")]

mod foreign;
mod hypercall;

pub(crate) use foreign::map_foreign;
pub(crate) use hypercall::{hypercall, multicall};

use std::arch::asm;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use xen_sys::linux::{Record, Request};

/// One system call; the answer is the kernel's.
///
/// # Safety
///
/// The kernel does nothing with these arguments but what the program can bear.
#[inline]
unsafe fn system_call(number: usize, arguments: [usize; 6]) -> usize {
    let answer: usize;
    // SAFETY: the instruction clobbers what it says; the caller vouches for what the kernel does.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") arguments[0], in("rsi") arguments[1], in("rdx") arguments[2],
            in("r10") arguments[3], in("r8") arguments[4], in("r9") arguments[5],
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => answer,
            in("x1") arguments[1], in("x2") arguments[2], in("x3") arguments[3],
            in("x4") arguments[4], in("x5") arguments[5],
            options(nostack),
        );
    }
    answer
}

/// The kernel's answer; none of these calls may fail.
fn good(answer: usize) -> usize {
    const ERRORS: usize = usize::MAX - 4095;
    assert!(answer < ERRORS, "a system call failed");
    answer
}

/// The kernel's numbers for the calls.
mod number {
    macro_rules! numbers {
        ($($name:ident = $number:ident),*) => {
            $(
                #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
                pub(super) const $name: usize = libc::$number as usize;
            )*
        };
    }

    numbers!(IOCTL = SYS_ioctl, READ = SYS_read, WRITE = SYS_write);
    #[cfg(target_arch = "x86_64")]
    numbers!(PPOLL = SYS_ppoll);
    numbers!(MMAP = SYS_mmap, MUNMAP = SYS_munmap, OPENAT = SYS_openat, CLOSE = SYS_close);
}

fn file(fd: BorrowedFd<'_>) -> usize {
    usize::try_from(fd.as_raw_fd()).expect("an open file")
}

/// Sends a request, which must be for the driver behind `fd`.
pub(crate) fn ioctl<R: Request>(fd: BorrowedFd<'_>, request: &mut R) -> usize {
    let operand = request.operand().as_mut_ptr() as usize;
    let opcode = usize::try_from(R::OPCODE).expect("32 bits");
    // SAFETY: `R` vouches for what the driver does.
    good(unsafe { system_call(number::IOCTL, [file(fd), opcode, operand, 0, 0, 0]) })
}

/// A request as bytes, ready to be sent any number of times.
pub(crate) struct Prepared {
    opcode: usize,
    operand: Vec<u64>,
}

impl Prepared {
    /// Keeps what the request holds now.
    ///
    /// # Safety
    ///
    /// All memory that the request borrows stays valid, and nobody else's, for as long as this lives.
    pub(crate) unsafe fn new<R: Record>(request: &mut R) -> Self {
        let words = request.operand().chunks(8).map(|bytes| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        });
        Self { operand: words.collect(), opcode: usize::try_from(R::OPCODE).expect("32 bits") }
    }

    /// Sends it to the driver that it is for.
    pub(crate) fn send(&mut self, fd: BorrowedFd<'_>) {
        let operand = self.operand.as_mut_ptr() as usize;
        // SAFETY: `Request` vouches for what the driver does, and who made it for the memory.
        good(unsafe { system_call(number::IOCTL, [file(fd), self.opcode, operand, 0, 0, 0]) });
    }

    /// A word of it, as the driver left it.
    pub(crate) fn word(&self, index: usize) -> u64 {
        self.operand[index]
    }
}

/// `read(2)`
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> usize {
    let arguments = [file(fd), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0];
    // SAFETY: the kernel fills at most the buffer.
    good(unsafe { system_call(number::READ, arguments) })
}

/// `write(2)`
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    let arguments = [file(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0];
    // SAFETY: the kernel only reads the bytes.
    good(unsafe { system_call(number::WRITE, arguments) })
}

/// `ppoll(2)`, for ever, until there is something to read.
#[cfg(target_arch = "x86_64")]
pub(crate) fn wait(fd: BorrowedFd<'_>) -> usize {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one record, which the kernel fills.
    good(unsafe { system_call(number::PPOLL, [(&raw mut poll) as usize, 1, 0, 0, 0, 0]) })
}

/// `mmap(2)` of a device, shared, for reading and writing; and then `munmap(2)`, both without touching the memory.
pub(crate) fn map(fd: BorrowedFd<'_>, offset: u64, length: usize) -> Mapped {
    let offset = usize::try_from(offset).expect("64 bits");
    let protection = usize::try_from(libc::PROT_READ | libc::PROT_WRITE).expect("small");
    let flags = usize::try_from(libc::MAP_SHARED).expect("small");
    // SAFETY: a new mapping, at a place where there is none.
    let address = unsafe { system_call(number::MMAP, [0, length, protection, flags, file(fd), offset]) };
    Mapped { address: good(address), length }
}

/// Mapped memory, for whoever unmaps it.
pub(crate) struct Mapped {
    address: usize,
    length: usize,
}

impl Mapped {
    /// `munmap(2)`
    pub(crate) fn unmap(self) {
        // SAFETY: it was mapped by `map`, and nobody has its address.
        good(unsafe { system_call(number::MUNMAP, [self.address, self.length, 0, 0, 0, 0]) });
    }
}

/// `openat(2)` for reading and writing, close-on-exec, and `close(2)`.
pub(crate) fn open_and_close(path: &CStr) {
    let flags = usize::try_from(libc::O_RDWR | libc::O_CLOEXEC).expect("small");
    // SAFETY: the kernel reads the path, which is absolute: the folder does not matter.
    let fd = unsafe { system_call(number::OPENAT, [0, path.as_ptr() as usize, flags, 0, 0, 0]) };
    // SAFETY: it was opened here.
    good(unsafe { system_call(number::CLOSE, [good(fd), 0, 0, 0, 0, 0]) });
}
