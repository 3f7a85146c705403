//! The handle: issues hypercalls.
#![expect(unsafe_code, reason = "the raw hypercall, and the typed one on top of it")]

use crate::pool::{Block, Pool, UNIT};
use crate::{Error, HypercallBuffer};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, OnceLock};
use xen_sys::linux::privcmd::{Hypercall, Privcmd, PrivcmdBuf};
use xen_sys::linux::{Request, own_domain};
use xen_sys::xen_public::errno::{EFAULT, ENOSYS, EPERM};
use xen_sys::xen_public::multicall::MulticallEntry;
use xen_sys::xen_public::operation::{HypercallNumber, Operation};
use xen_sys::{Device, DomId};

/// A handle that issues hypercalls.
///
/// Cloning gives another reference to the same handle. Threads may share it: their hypercalls run at the same time, and
/// take their argument memory from a pool without waiting for each other. The device for that memory, and the pool, are made
/// when they are first needed.
#[derive(Clone, Debug)]
#[doc(alias = "xencall_handle")]
#[doc(alias = "xencall_close")]
pub struct Xencall {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    privcmd: Device<Privcmd>,
    /// `None` inside: the kernel has no such device.
    memory: OnceLock<Option<Device<PrivcmdBuf>>>,
    pool: OnceLock<Arc<Pool>>,
    own_domain: OnceLock<DomId>,
}

/// What a hypercall answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<R> {
    /// Its result: 0 or more.
    pub value: i64,
    /// The record, as Xen left it.
    pub record: R,
}

/// What came of a hypercall, be it that Xen did it or refused it.
#[derive(Debug)]
pub struct Attempt<R, E = Error> {
    /// Its result: 0 or more.
    pub result: Result<i64, E>,
    /// The record, as Xen left it.
    pub record: R,
}

impl Xencall {
    /// Opens `/dev/xen/privcmd`, close-on-exec.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], which tells a machine without Xen from a module that is not loaded and from a lack of
    /// permission.
    #[doc(alias = "xencall_open")]
    pub fn open() -> Result<Self, Error> {
        Ok(Self::new(Device::open()?, OnceLock::new()))
    }

    /// Takes over an open file on `/dev/xen/privcmd`, and perhaps one on `/dev/xen/hypercall`.
    ///
    /// # Errors
    ///
    /// [`Error::Adopt`] if they cannot be set up.
    ///
    /// # Safety
    ///
    /// - `privcmd` is open on `/dev/xen/privcmd`, and `memory` on `/dev/xen/hypercall`: another driver could take the
    ///   requests for its own.
    pub unsafe fn from_fds(privcmd: OwnedFd, memory: Option<OwnedFd>) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        let privcmd = unsafe { Device::from_fd(privcmd) }.map_err(|source| Error::Adopt { source })?;
        let device = OnceLock::new();
        if let Some(memory) = memory {
            // SAFETY: the caller's promise is the same.
            let memory = unsafe { Device::from_fd(memory) }.map_err(|source| Error::Adopt { source })?;
            // It was empty, so it takes the value.
            let _ = device.set(Some(memory));
        }
        Ok(Self::new(privcmd, device))
    }

    fn new(privcmd: Device<Privcmd>, memory: OnceLock<Option<Device<PrivcmdBuf>>>) -> Self {
        Self {
            shared: Arc::new(Shared { privcmd, memory, pool: OnceLock::new(), own_domain: OnceLock::new() }),
        }
    }

    /// Whether argument memory comes from `/dev/xen/hypercall` (Linux 4.18+). If not, it is locked memory, which the kernel
    /// may move while Xen looks; hypercalls that fail for that are repeated twice.
    #[doc(alias = "xencall_buffers_never_fault")]
    #[must_use]
    pub fn buffers_never_fault(&self) -> bool {
        self.memory_device().is_some()
    }

    fn memory_device(&self) -> Option<&Device<PrivcmdBuf>> {
        self.shared.memory.get_or_init(|| Device::open().ok()).as_ref()
    }

    pub(crate) fn own_domain_cell(&self) -> &OnceLock<DomId> {
        &self.shared.own_domain
    }

    /// Memory for arguments, of at least `bytes`.
    pub(crate) fn block(&self, bytes: usize) -> Result<Block, Error> {
        match self.shared.pool.get().and_then(|pool| pool.take(bytes)) {
            Some(block) => Ok(block),
            None => self.more_memory(bytes),
        }
    }

    /// Memory from a pool that has grown, or from elsewhere.
    #[cold]
    fn more_memory(&self, bytes: usize) -> Result<Block, Error> {
        let device = self.memory_device();
        let pool = self.shared.pool.get_or_init(Arc::default);
        pool.grow(device, bytes);
        match pool.take(bytes) {
            Some(block) => Ok(block),
            None => Block::map(device, bytes.max(1)).map_err(|source| Error::Memory { bytes, source }),
        }
    }

    /// Issues any hypercall. The result is what Xen returned, **cut to 32 bits by the kernel**.
    ///
    /// # Errors
    ///
    /// [`Error::Hypercall`] with Xen's error number, [`Error::LockedDown`], [`Error::Restricted`].
    ///
    /// # Safety
    ///
    /// - Every address in the arguments, and in the memory that they point to, is that of live [`HypercallBuffer`]s that
    ///   are large enough for what this hypercall reads and writes there, and borrowed exclusively where it writes.
    /// - The hypercall does not change this domain's own memory, page tables or vCPUs behind the kernel's back. Those that do
    ///   (numbers 0 to 5, 8 to 10, 14, 22, 23, 25, 28, 30) are the kernel's business.
    /// - Some hypercalls make the hypervisor itself crash when they are misused.
    #[doc(alias = "xencall0")]
    #[doc(alias = "xencall1")]
    #[doc(alias = "xencall2")]
    #[doc(alias = "xencall3")]
    #[doc(alias = "xencall4")]
    #[doc(alias = "xencall5")]
    #[doc(alias = "IOCTL_PRIVCMD_HYPERCALL")]
    pub unsafe fn hypercall(&self, number: HypercallNumber, arguments: [u64; 5]) -> Result<i64, Error> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.issue(number.name(), number, arguments) }
    }

    /// Issues any hypercall, for a result of up to 64 bits: through a multicall of one entry. In an HVM or PVH domain of Xen 4.14,
    /// which has no multicalls there, directly; the kernel then cuts the result to 32 bits.
    ///
    /// # Errors
    ///
    /// As [`Xencall::hypercall`]; and [`Error::Memory`].
    ///
    /// # Safety
    ///
    /// As [`Xencall::hypercall`].
    #[doc(alias = "xencall2L")]
    pub unsafe fn hypercall_wide(&self, number: HypercallNumber, arguments: [u64; 5]) -> Result<i64, Error> {
        // SAFETY: the caller's promise is the same.
        unsafe { self.issue_wide(number.name(), number, arguments) }
    }

    /// Issues an operation. One system call; up to 16 KiB of record, no allocation and no lock.
    ///
    /// # Errors
    ///
    /// [`Error::Hypercall`] with Xen's error number, [`Error::LockedDown`], [`Error::Restricted`], [`Error::Memory`].
    pub fn call<O: Operation>(&self, operation: &O) -> Result<Answer<O::Record>, Error> {
        self.run(operation, |result, record| Ok(Answer { value: result?, record }))?
    }

    /// Issues an operation as [`call`](Self::call) does, and gives back its record even if it fails. Some operations tell
    /// there how far they came, or what Xen objects to.
    ///
    /// # Errors
    ///
    /// [`Error::Memory`]: it was not issued. All others are in [`Attempt::result`].
    pub fn attempt<O: Operation>(&self, operation: &O) -> Result<Attempt<O::Record>, Error> {
        self.run(operation, |result, record| Attempt { result, record })
    }

    /// Issues an operation, and has `finish` make something of result and record.
    #[inline]
    fn run<O: Operation, T>(
        &self,
        operation: &O,
        finish: impl FnOnce(Result<i64, Error>, O::Record) -> T,
    ) -> Result<T, Error> {
        let issue = if O::WIDE { Self::issue_wide } else { Self::issue };
        let record = operation.record();
        if size_of::<O::Record>() == 0 {
            // SAFETY: there is no record; `O` vouches for everything else.
            let result = unsafe { issue(self, O::NAME, O::NUMBER, operation.arguments(0)) };
            return Ok(finish(result, record));
        }
        let Some(loan) = self.shared.pool.get().and_then(|pool| pool.lend(size_of::<O::Record>())) else {
            return self.run_in_buffer(operation, record, finish);
        };
        const { assert!(align_of::<O::Record>() <= UNIT) };
        let place = loan.address().cast::<O::Record>();
        // SAFETY: the memory is ours alone, as long as was asked for, and aligned to `UNIT`.
        unsafe { place.write(record) };
        let arguments = operation.arguments(place.as_ptr().expose_provenance() as u64);
        // SAFETY: the record is live hypercall memory; `O` vouches for everything else.
        let result = unsafe { issue(self, O::NAME, O::NUMBER, arguments) };
        // SAFETY: it was written above, and whatever Xen has made of it is a record (`FromBytes`).
        Ok(finish(result, unsafe { place.read() }))
    }

    /// The same where the pool has no room for the record, or is not there yet.
    #[cold]
    fn run_in_buffer<O: Operation, T>(
        &self,
        operation: &O,
        record: O::Record,
        finish: impl FnOnce(Result<i64, Error>, O::Record) -> T,
    ) -> Result<T, Error> {
        let issue = if O::WIDE { Self::issue_wide } else { Self::issue };
        let mut record = self.buffer(record)?;
        let arguments = operation.arguments(record.lend().address());
        // SAFETY: the record is live hypercall memory, borrowed exclusively until here; `O` vouches for everything else.
        let result = unsafe { issue(self, O::NAME, O::NUMBER, arguments) };
        Ok(finish(result, take(record)))
    }

    /// Sends a request to the driver behind the handle that is not a hypercall; the answer is what the driver wrote into it.
    ///
    /// # Errors
    ///
    /// The kernel's: `ENOTTY` if it does not know the request.
    pub fn submit<R: Request<Driver = Privcmd>>(&self, request: &mut R) -> io::Result<u32> {
        self.shared.privcmd.submit(request)
    }

    /// # Safety
    ///
    /// As [`Xencall::hypercall`].
    #[inline]
    pub(crate) unsafe fn issue(
        &self,
        operation: &'static str,
        number: HypercallNumber,
        arg: [u64; 5],
    ) -> Result<i64, Error> {
        let mut request = Hypercall { op: number.0.into(), arg };
        // SAFETY: the caller vouches for the arguments.
        match unsafe { self.shared.privcmd.submit_unchecked(&mut request) } {
            Ok(value) => Ok(value.into()),
            // SAFETY: the same request, for which the caller vouches.
            Err(error) => unsafe { self.issue_again(operation, request, error) },
        }
    }

    /// Issues a hypercall that failed again, if that may help.
    ///
    /// # Safety
    ///
    /// As [`Xencall::hypercall`].
    #[cold]
    unsafe fn issue_again(
        &self,
        operation: &'static str,
        mut request: Hypercall,
        mut error: io::Error,
    ) -> Result<i64, Error> {
        let mut tries = 2;
        // Memory that the kernel can move was just not there.
        while tries > 0 && error.raw_os_error() == Some(EFAULT) && !self.buffers_never_fault() {
            tries -= 1;
            // SAFETY: the caller vouches for the arguments.
            match unsafe { self.shared.privcmd.submit_unchecked(&mut request) } {
                Ok(value) => return Ok(value.into()),
                Err(again) => error = again,
            }
        }
        Err(self.refused(operation, error))
    }

    /// # Safety
    ///
    /// As [`Xencall::hypercall`].
    unsafe fn issue_wide(
        &self,
        operation: &'static str,
        number: HypercallNumber,
        arguments: [u64; 5],
    ) -> Result<i64, Error> {
        let [first, second, third, fourth, fifth] = arguments;
        let args = [first, second, third, fourth, fifth, 0];
        let mut entry = self.buffer(MulticallEntry { op: number.0.into(), result: 0, args })?;
        let list = entry.lend().address();
        // SAFETY: one live entry, borrowed exclusively; the caller vouches for its arguments.
        match unsafe { self.issue(operation, HypercallNumber::MULTICALL, [list, 1, 0, 0, 0]) } {
            Ok(_) => outcome(operation, entry.result),
            // SAFETY: the caller vouches for the arguments.
            Err(error) if has_no_multicalls(&error) => unsafe { self.issue(operation, number, arguments) },
            Err(error) => Err(error),
        }
    }

    /// Tells a refusal by Xen from one by the kernel, which both say `EPERM`.
    fn refused(&self, operation: &'static str, source: io::Error) -> Error {
        if source.raw_os_error() != Some(EPERM) || self.may_ask_for_the_version() {
            return Error::Hypercall { operation, source };
        }
        if own_domain::is_initial() {
            Error::Restricted { operation }
        } else {
            Error::LockedDown { operation }
        }
    }

    /// Xen denies nobody its version: who may not ask for that may ask for nothing.
    fn may_ask_for_the_version(&self) -> bool {
        let mut request = Hypercall { op: HypercallNumber::XEN_VERSION.0.into(), arg: [0; 5] };
        // SAFETY: this hypercall takes no memory.
        let asked = unsafe { self.shared.privcmd.submit_unchecked(&mut request) };
        asked.is_ok_and(|version| version > 0)
    }
}

/// Whether a multicall failed because there are none: for HVM and PVH domains, Xen has them since 4.15.
pub(crate) fn has_no_multicalls(error: &Error) -> bool {
    error.errno() == Some(ENOSYS)
}

/// The result of a multicall's entry.
pub(crate) fn outcome(operation: &'static str, result: i64) -> Result<i64, Error> {
    if result >= 0 {
        return Ok(result);
    }
    let errno = i32::try_from(-result).unwrap_or(i32::MAX);
    Err(Error::Hypercall { operation, source: io::Error::from_raw_os_error(errno) })
}

/// Takes the value out of a buffer, which goes back to the pool.
pub(crate) fn take<R: xen_sys::zerocopy::FromBytes>(buffer: HypercallBuffer<R>) -> R {
    // SAFETY: the value is initialised; any bytes are an `R`, and a type of bytes needs no drop, so a copy of it is as good.
    let value = unsafe { std::ptr::read(&raw const *buffer) };
    drop(buffer);
    value
}

impl AsFd for Xencall {
    #[doc(alias = "xencall_fd")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.privcmd.as_fd()
    }
}

impl AsRawFd for Xencall {
    #[doc(alias = "xencall_fd")]
    fn as_raw_fd(&self) -> RawFd {
        self.shared.privcmd.as_raw_fd()
    }
}
