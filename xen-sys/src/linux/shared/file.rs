//! Files, read and written straight to and from shared memory.

use super::{Access, AccessError, ReadWrite, SharedMemory};
use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd};

impl<A: Access> SharedMemory<A> {
    /// Writes a part of the memory to a file at `position`, without a copy of ours (`pwrite(2)`); the value is the number of
    /// bytes written, which may be fewer.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` if the part is outside the memory.
    pub fn write_to_file(
        &self,
        offset: usize,
        length: usize,
        file: impl AsFd,
        position: u64,
    ) -> io::Result<usize> {
        self.file_pieces(offset, length, position, |address, length, position| {
            // SAFETY: the kernel reads `length` bytes of the mapping, which `self` keeps.
            unsafe { pwrite(file.as_fd().as_raw_fd(), address.cast_const().cast(), length, position) }
        })
    }

    /// Calls `transfer` for each contiguous piece until one is short; the value is the sum.
    fn file_pieces(
        &self,
        offset: usize,
        length: usize,
        position: u64,
        mut transfer: impl FnMut(*mut u8, usize, i64) -> isize,
    ) -> io::Result<usize> {
        let mut run = Run::from(position)?;
        self.pieces(offset, length, |address, _, length| {
            run.go_on(length, |position| transfer(address, length, position));
        })?;
        run.end()
    }
}

impl SharedMemory {
    /// Reads a file at `position` into a part of the memory, without a copy of ours (`pread(2)`); the value is the number
    /// of bytes read, which may be fewer.
    ///
    /// # Errors
    ///
    /// The kernel's; `InvalidInput` if the part is outside the memory.
    pub fn read_from_file(
        &self,
        offset: usize,
        length: usize,
        file: impl AsFd,
        position: u64,
    ) -> io::Result<usize> {
        self.file_pieces(offset, length, position, |address, length, position| {
            // SAFETY: the kernel writes `length` bytes of the mapping, which is writable and which `self` keeps.
            unsafe { pread(file.as_fd().as_raw_fd(), address.cast(), length, position) }
        })
    }
}

/// Parts of shared memory, one behind the other, that are written to a file or read from it together: granted pages, for
/// example, each of which is a mapping of its own.
///
/// ```no_run
/// # fn write(pages: &[xen_sys::SharedMemory], file: std::fs::File) -> std::io::Result<()> {
/// use xen_sys::SharedParts;
///
/// let mut parts = SharedParts::with_capacity(pages.len());
/// for page in pages {
///     parts.push(page, 0, page.len())?;
/// }
/// let written = parts.write_to_file(&file, 8192)?; // one system call
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SharedParts<'a, A: Access = ReadWrite> {
    parts: Vec<IoVector>,
    length: usize,
    memory: PhantomData<&'a SharedMemory<A>>,
}

/// `UIO_MAXIOV`: so many the kernel takes at a time.
const MOST_VECTORS: usize = 1024;

/// `struct iovec`
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct IoVector {
    address: *mut c_void,
    length: usize,
}

// SAFETY: the parts are borrowed from shared memory, which is `Sync`; they are addresses for the kernel only.
unsafe impl<A: Access> Send for SharedParts<'_, A> {}
// SAFETY: as above.
unsafe impl<A: Access> Sync for SharedParts<'_, A> {}

impl<A: Access> Default for SharedParts<'_, A> {
    fn default() -> Self {
        Self::with_capacity(0)
    }
}

impl<'a, A: Access> SharedParts<'a, A> {
    /// None yet, with room for so many: those of pages on a kernel with 4 KiB pages. On one with larger pages, a part takes
    /// room for each Xen page that it touches.
    #[must_use]
    pub fn with_capacity(parts: usize) -> Self {
        Self { parts: Vec::with_capacity(parts), length: 0, memory: PhantomData }
    }

    /// Adds `length` bytes of `memory`, from `offset` on.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`] if they are not all inside the memory, or are more than the address space holds, together
    /// with those before.
    pub fn push(
        &mut self,
        memory: &'a SharedMemory<A>,
        offset: usize,
        length: usize,
    ) -> Result<(), AccessError> {
        let outside = AccessError::OutOfBounds { offset, length, available: usize::MAX - self.length };
        let sum = self.length.checked_add(length).ok_or(outside)?;
        memory.pieces(offset, length, |address, _, length| {
            self.parts.push(IoVector { address: address.cast(), length });
        })?;
        self.length = sum;
        Ok(())
    }

    /// How many bytes all parts have together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is not one byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes the first `bytes` off, or all if there are no more: those that a short transfer has moved.
    pub fn advance(&mut self, bytes: usize) {
        let mut left = bytes.min(self.length);
        self.length -= left;
        let whole = self.parts.iter().take_while(|part| {
            let whole = part.length <= left;
            left -= if whole { part.length } else { 0 };
            whole
        });
        let whole = whole.count();
        self.parts.drain(..whole);
        if let Some(first) = self.parts.first_mut() {
            *first = IoVector { address: first.address.wrapping_byte_add(left), length: first.length - left };
        }
    }

    /// Writes all parts to a file at `position`, without a copy of ours (`pwritev(2)`, one for each 1024 parts); the value is the
    /// number of bytes written, which may be fewer.
    ///
    /// # Errors
    ///
    /// The kernel's, if nothing was written; `InvalidInput` for a position beyond 2^63.
    pub fn write_to_file(&self, file: impl AsFd, position: u64) -> io::Result<usize> {
        let fd = file.as_fd().as_raw_fd();
        self.in_chunks(position, |parts, count, position| {
            // SAFETY: the kernel reads so many records, and what they name: mapped memory, which `self` borrows.
            unsafe { pwritev(fd, parts, count, position) }
        })
    }

    /// Calls `transfer` for as many parts as the kernel takes at a time, until one is short; the value is the sum.
    fn in_chunks(
        &self,
        position: u64,
        transfer: impl Fn(*const IoVector, i32, i64) -> isize,
    ) -> io::Result<usize> {
        let mut run = Run::from(position)?;
        for parts in self.parts.chunks(MOST_VECTORS) {
            let wanted = parts.iter().map(|part| part.length).sum();
            let count = i32::try_from(parts.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            run.go_on(wanted, |position| transfer(parts.as_ptr(), count, position));
        }
        run.end()
    }
}

impl SharedParts<'_> {
    /// Reads a file at `position` into all parts, without a copy of ours (`preadv(2)`, one for each 1024 parts); the value is the
    /// number of bytes read, which may be fewer.
    ///
    /// # Errors
    ///
    /// The kernel's, if nothing was read; `InvalidInput` for a position beyond 2^63.
    pub fn read_from_file(&self, file: impl AsFd, position: u64) -> io::Result<usize> {
        let fd = file.as_fd().as_raw_fd();
        self.in_chunks(position, |parts, count, position| {
            // SAFETY: the kernel reads so many records, and fills what they name: mapped, writable memory, which `self` borrows.
            unsafe { preadv(fd, parts, count, position) }
        })
    }
}

/// Transfers that follow each other in a file, up to the first one that is short or fails.
struct Run {
    /// Where the next one is, if there may be one.
    place: Option<i64>,
    done: usize,
    outcome: io::Result<()>,
}

impl Run {
    fn from(position: u64) -> io::Result<Self> {
        let place = i64::try_from(position).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(Self { place: Some(place), done: 0, outcome: Ok(()) })
    }

    /// Calls `transfer`, which answers as the kernel does, unless the run is over.
    fn go_on(&mut self, wanted: usize, transfer: impl FnOnce(i64) -> isize) {
        let Some(place) = self.place.take() else { return };
        match usize::try_from(transfer(place)) {
            Ok(moved) => {
                self.done += moved;
                let moved = i64::try_from(moved).ok().filter(|_| moved == wanted);
                self.place = moved.and_then(|moved| place.checked_add(moved));
            }
            Err(_) => self.outcome = Err(io::Error::last_os_error()),
        }
    }

    /// How much was moved. What was moved before an error is a result; the error shows itself on the next call.
    fn end(self) -> io::Result<usize> {
        if self.done > 0 { Ok(self.done) } else { self.outcome.map(|()| 0) }
    }
}

// std links the C library; rustix's safe functions would want a `&mut [u8]`, which this memory must not become.
unsafe extern "C" {
    fn pread(fd: i32, buffer: *mut c_void, length: usize, offset: i64) -> isize;
    fn pwrite(fd: i32, buffer: *const c_void, length: usize, offset: i64) -> isize;
    fn preadv(fd: i32, parts: *const IoVector, count: i32, offset: i64) -> isize;
    fn pwritev(fd: i32, parts: *const IoVector, count: i32, offset: i64) -> isize;
}
