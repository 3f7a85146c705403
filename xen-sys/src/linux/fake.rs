//! A fake kernel, for tests of what a healthy one never does: refused calls, odd orders, short writes.
//!
//! [`install`] puts a function in the kernel's place for the current thread, until the guard is dropped. Mappings are
//! the exception: those that the function allows are made for real, from the descriptor that the device was made of
//! (a memfd, in tests).

use rustix::ioctl::Opcode;
use std::cell::RefCell;
use std::io;
use std::marker::PhantomData;

/// A system call that the SDK is about to make.
#[derive(Debug)]
#[non_exhaustive]
pub enum Call<'a> {
    /// `ioctl`; the answer is the call's value.
    Ioctl {
        /// Its number.
        opcode: Opcode,
        /// Its operand, to read and to write.
        operand: &'a mut [u8],
    },
    /// `read`; the answer is the number of bytes written to the buffer.
    Read {
        /// Where they go.
        buffer: &'a mut [u8],
    },
    /// `write`; the answer is the number of bytes taken.
    Write {
        /// What is written.
        bytes: &'a [u8],
    },
    /// `poll`; the answer is 1 for readable, 0 for a time-out.
    Poll,
    /// `mmap`; any `Ok` lets it happen.
    Mmap {
        /// Offset in the device, in bytes.
        offset: u64,
        /// Length, in bytes.
        length: usize,
        /// With `PROT_WRITE`.
        writable: bool,
    },
    /// `madvise(MADV_DONTFORK)` of the latest mapping.
    DontFork,
    /// `munmap`; the answer is ignored.
    Munmap {
        /// Length, in bytes.
        length: usize,
    },
}

type Kernel = Box<dyn FnMut(Call<'_>) -> io::Result<usize>>;

thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// Puts `kernel` in the kernel's place, for this thread and until the guard is dropped.
#[must_use = "the fake kernel ends with the guard"]
pub fn install(kernel: impl FnMut(Call<'_>) -> io::Result<usize> + 'static) -> Installed {
    KERNEL.set(Some(Box::new(kernel)));
    Installed { _not_send: PhantomData }
}

/// Keeps a fake kernel in place.
#[derive(Debug)]
pub struct Installed {
    _not_send: PhantomData<*const ()>,
}

impl Drop for Installed {
    fn drop(&mut self) {
        KERNEL.set(None);
    }
}

/// Asks the thread's fake kernel, if there is one.
pub(super) fn offer<'a>(call: impl FnOnce() -> Call<'a>) -> Option<io::Result<usize>> {
    KERNEL.with_borrow_mut(|kernel| kernel.as_mut().map(|kernel| kernel(call())))
}
