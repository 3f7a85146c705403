//! An open device file that knows which driver is behind it.
#![expect(unsafe_code, reason = "turns the facts of `Request` into safe calls; adopts descriptors")]

use super::kernel::{self, Mapping};
use super::request::{Record, Request};
use rustix::event::Timespec;
use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};
use thiserror::Error;

/// A driver with a device file.
pub trait Driver {
    /// The device file.
    const PATH: &'static str;
    /// The kernel module that makes it.
    const MODULE: &'static str;
}

/// An open file on the driver `D`.
#[derive(Debug)]
pub struct Device<D> {
    /// Invariant: open on the driver `D`, or on what a test put in its place.
    fd: OwnedFd,
    driver: PhantomData<fn() -> D>,
}

impl<D: Driver> Device<D> {
    /// Opens the device file for reading and writing, non-blocking and close-on-exec.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which tells a machine without Xen from a module that is not loaded.
    pub fn open() -> Result<Self, OpenError> {
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
        let file = File::options().read(true).write(true).custom_flags(nonblocking).open(D::PATH);
        match file {
            Ok(file) => Ok(Self { fd: file.into(), driver: PhantomData }),
            Err(source) => Err(OpenError { path: D::PATH, cause: OpenCause::of::<D>(&source), source }),
        }
    }

    /// Takes over an open descriptor and makes it non-blocking.
    ///
    /// # Errors
    ///
    /// The kernel's, if it cannot be made non-blocking.
    ///
    /// # Safety
    ///
    /// `fd` is open on the driver `D`, because another driver could take the same ioctl numbers for something else.
    pub unsafe fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        let this = Self { fd, driver: PhantomData };
        this.set_nonblocking(true)?;
        Ok(this)
    }

    /// Whether reading answers at once when there is nothing to read, or waits. It is a property of the open file.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.fd, nonblocking)?)
    }

    /// Sends a request; the answer is the call's value, and what the driver wrote into the record.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn submit<R: Request<Driver = D>>(&self, request: &mut R) -> io::Result<u32> {
        // SAFETY: the descriptor is the driver's (invariant), and `R` vouches for everything else.
        unsafe { kernel::ioctl(self.fd.as_fd(), R::OPCODE, request.operand()) }
    }

    /// Sends a record that is not safe by itself.
    ///
    /// # Errors
    ///
    /// The kernel's.
    ///
    /// # Safety
    ///
    /// Every address and every number in the record is valid for what the driver does with it.
    pub unsafe fn submit_unchecked<R: Record<Driver = D>>(&self, record: &mut R) -> io::Result<u32> {
        // SAFETY: the descriptor is the driver's (invariant); the caller vouches for the record.
        unsafe { kernel::ioctl(self.fd.as_fd(), R::OPCODE, record.operand()) }
    }

    /// Reads from the device.
    ///
    /// # Errors
    ///
    /// The kernel's; `WouldBlock` where there is nothing.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        kernel::read(self.fd.as_fd(), buffer)
    }

    /// Writes to the device.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        kernel::write(self.fd.as_fd(), bytes)
    }

    /// Waits until there is something to read, for as long as `timeout` says (for ever with `None`); false when the
    /// time is up. Signals do not end the wait.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn wait_readable(&self, timeout: Option<Duration>) -> io::Result<bool> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut left = timeout;
        loop {
            // A duration beyond what the kernel can count is as good as for ever.
            let timespec = left.and_then(|left| Timespec::try_from(left).ok());
            match kernel::poll(self.fd.as_fd(), timespec) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
                }
                ready => return ready.map(|ready| ready > 0),
            }
        }
    }

    pub(super) fn map(&self, offset: u64, length: usize, writable: bool) -> io::Result<Mapping> {
        kernel::mmap(self.fd.as_fd(), offset, length, writable)
    }

    /// Maps the start of the device again and again, for each `piece` bytes of `length`, side by side.
    pub(super) fn map_in_pieces(&self, length: usize, piece: usize, writable: bool) -> io::Result<Mapping> {
        if piece == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let space = kernel::reserve(length)?;
        for at in (0..length).step_by(piece) {
            space.map_piece(self.fd.as_fd(), at, piece.min(length - at), writable)?;
        }
        Ok(space)
    }
}

impl<D> AsFd for Device<D> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl<D> AsRawFd for Device<D> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl<D> From<Device<D>> for OwnedFd {
    fn from(device: Device<D>) -> Self {
        device.fd
    }
}

/// A device file of Xen could not be opened.
#[derive(Debug, Error)]
#[error("cannot open {path}: {cause}")]
#[non_exhaustive]
pub struct OpenError {
    /// The device file.
    pub path: &'static str,
    /// What to do about it.
    pub cause: OpenCause,
    /// What the kernel said.
    pub source: io::Error,
}

/// Why a device file of Xen could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenCause {
    /// This machine does not run under Xen.
    #[error("this machine does not run under Xen")]
    NotXen,
    /// It runs under Xen, but the kernel module that makes the device is not loaded.
    #[error("the kernel module is not loaded (modprobe {module})")]
    ModuleNotLoaded {
        /// The module to load.
        module: &'static str,
    },
    /// The caller may not open it: the device files belong to root.
    #[error("permission denied (the device files of Xen are root's)")]
    Permission,
    /// Something else: see the source.
    #[error("the kernel refused")]
    Other,
}

impl OpenCause {
    fn of<D: Driver>(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound if runs_under_xen() => Self::ModuleNotLoaded { module: D::MODULE },
            io::ErrorKind::NotFound => Self::NotXen,
            io::ErrorKind::PermissionDenied => Self::Permission,
            _ => Self::Other,
        }
    }
}

fn runs_under_xen() -> bool {
    fs::read_to_string("/sys/hypervisor/type").is_ok_and(|kind| kind.trim() == "xen")
}
