//! The handle: opens, binds, waits, takes and unmasks.
#![expect(unsafe_code, reason = "adopts a file descriptor")]

use crate::{Error, EventChannel};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use xen_sys::linux::evtchn::{
    BindInterdomain, BindStatic, BindUnboundPort, BindVirq, Evtchn as Driver, Notify, Reset, RestrictDomid,
    Unbind,
};
use xen_sys::xen_public::errno::ENOSYS;
use xen_sys::zerocopy::IntoBytes;
use xen_sys::{Device, DomId, Port, Virq};

/// A handle on the event channel device, with the ports that were bound through it.
///
/// Cloning gives another reference to the same handle; channels keep it open. Threads may share it: each event goes to
/// one of those that take. Bindings and unbindings on one handle wait for each other in the kernel, and a slow one
/// stalls notifications and unmaskings on that handle too: where channels come and go all the time, use a handle for
/// that and another for the steady traffic.
///
/// Dropping the last reference closes the device; that is when the ports of channels that were forgotten
/// ([`std::mem::forget`], [`EventChannel::into_port`]) are unbound.
#[derive(Clone, Debug)]
#[doc(alias = "xenevtchn_handle")]
#[doc(alias = "xenevtchn_close")]
pub struct Evtchn {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: Device<Driver>,
    /// Locked over each binding, unbinding and reset, which the kernel makes wait for each other anyway, so that a
    /// reset knows every port that can have lost an event. Never locked to notify, take or unmask.
    ports: Mutex<Ports>,
    /// Whether `Ports::recovered` holds any.
    recovered: AtomicBool,
}

#[derive(Debug, Default)]
struct Ports {
    /// Sorted. In a vector, because mostly it is the last port that comes or goes.
    bound: Vec<Port>,
    /// Ports that a reset may have cost an event, still to be handed out.
    recovered: VecDeque<Port>,
}

impl Ports {
    fn add(&mut self, port: Port) {
        if let Err(place) = self.bound.binary_search(&port) {
            self.bound.insert(place, port);
        }
    }

    fn remove(&mut self, port: Port) {
        if let Ok(place) = self.bound.binary_search(&port) {
            self.bound.remove(place);
        }
    }
}

impl Evtchn {
    /// Opens `/dev/xen/evtchn`, non-blocking and close-on-exec.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], which tells a machine without Xen from a module that is not loaded and from a lack of
    /// permission.
    #[doc(alias = "xenevtchn_open")]
    pub fn open() -> Result<Self, Error> {
        Ok(Self::new(Device::open()?))
    }

    /// Takes over an open file on `/dev/xen/evtchn`, and makes it non-blocking. Ports that it has bound already are
    /// taken over with [`Evtchn::adopt`].
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if it cannot be made non-blocking.
    ///
    /// # Safety
    ///
    /// - `fd` is open on `/dev/xen/evtchn`: another driver could take the requests for its own.
    #[doc(alias = "xenevtchn_fdopen")]
    pub unsafe fn from_fd(fd: OwnedFd) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the same.
        let device = unsafe { Device::from_fd(fd) };
        Ok(Self::new(device.map_err(|source| Error::Device { call: "adopt", source })?))
    }

    fn new(device: Device<Driver>) -> Self {
        let shared = Shared { device, ports: Mutex::default(), recovered: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    /// Binds a new local port to `port` of `domain`, which must have been made for this domain to bind to.
    ///
    /// Xen raises an event on the new port at once: expect one for nothing. `domain` may be [`DomId::SELF`], for a
    /// channel from this domain to itself.
    ///
    /// # Errors
    ///
    /// [`Error::BindInterdomain`]: `ESRCH` there is no such domain, `EINVAL` it has no such port, or the port is bound
    /// or meant for another domain, `EACCES` the handle is restricted to another domain, `EPERM` a security policy
    /// forbids it, `ENOSPC` no local port is free.
    #[doc(alias = "xenevtchn_bind_interdomain")]
    #[doc(alias = "IOCTL_EVTCHN_BIND_INTERDOMAIN")]
    #[doc(alias = "EVTCHNOP_bind_interdomain")]
    pub fn bind_interdomain(&self, domain: DomId, port: Port) -> Result<EventChannel, Error> {
        self.bind(|device| device.submit(&mut BindInterdomain::new(domain, port)).map(Port::new))
            .map_err(|source| Error::BindInterdomain { domain, port, source })
    }

    /// Makes a new local port that `domain` may bind to, and nobody else.
    ///
    /// Tell its number to that domain, usually through xenstore. Whether the domain must exist depends on Xen's security
    /// policy: the usual one on x86 does not ask, the usual one on Arm (SILO) does.
    ///
    /// # Errors
    ///
    /// [`Error::BindUnbound`]: `EACCES` the handle is restricted, `ESRCH` there is no such domain, `ENOSPC` no local port
    /// is free.
    #[doc(alias = "xenevtchn_bind_unbound_port")]
    #[doc(alias = "IOCTL_EVTCHN_BIND_UNBOUND_PORT")]
    #[doc(alias = "EVTCHNOP_alloc_unbound")]
    pub fn bind_unbound(&self, domain: DomId) -> Result<EventChannel, Error> {
        self.bind(|device| device.submit(&mut BindUnboundPort::new(domain)).map(Port::new))
            .map_err(|source| Error::BindUnbound { domain, source })
    }

    /// Binds a new local port to a virtual interrupt, which Xen itself raises.
    ///
    /// Interrupts that exist once per vCPU are those of the vCPU that runs Linux's CPU 0; the kernel gives no others. The
    /// global ones (such as [`Virq::DOM_EXC`]) are for dom0, and each can be bound once: xenstored has
    /// [`Virq::DOM_EXC`] already.
    ///
    /// # Errors
    ///
    /// [`Error::BindVirq`]: `EEXIST` it is bound already in this domain, by any process or by the kernel, `EINVAL` there
    /// is no such interrupt, `EBUSY` another domain handles it (Xen 4.21+), `EPERM` this domain may not, `EACCES` the
    /// handle is restricted, `ENOSPC` no local port is free.
    #[doc(alias = "xenevtchn_bind_virq")]
    #[doc(alias = "IOCTL_EVTCHN_BIND_VIRQ")]
    #[doc(alias = "EVTCHNOP_bind_virq")]
    pub fn bind_virq(&self, virq: Virq) -> Result<EventChannel, Error> {
        self.bind(|device| device.submit(&mut BindVirq { virq }).map(Port::new))
            .map_err(|source| Error::BindVirq { virq, source })
    }

    /// Takes hold of a static port: one that was set up when the domain was built, as on Arm without a dom0. Needs Linux
    /// 6.6. Dropping the channel lets go of the port but does not close it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] before Linux 6.6; [`Error::BindStatic`]: `EISCONN` this handle has it already.
    #[doc(alias = "IOCTL_EVTCHN_BIND_STATIC")]
    pub fn bind_static(&self, port: Port) -> Result<EventChannel, Error> {
        self.bind(|device| device.submit(&mut BindStatic { port }).map(|_| port)).map_err(|source| {
            if source.raw_os_error() == Some(ENOSYS) {
                Error::Unsupported { operation: "binding a static port", needs: "Linux 6.6" }
            } else {
                Error::BindStatic { port, source }
            }
        })
    }

    /// Takes over a port that the file behind this handle has bound already, for instance when the file came from another
    /// process. The channel unbinds it on drop.
    ///
    /// A port that is not bound shows itself with the first [`EventChannel::notify`].
    #[must_use = "dropping the channel unbinds the port"]
    pub fn adopt(&self, port: Port) -> EventChannel {
        self.ports().add(port);
        EventChannel::new(self.clone(), port)
    }

    fn bind(&self, request: impl FnOnce(&Device<Driver>) -> io::Result<Port>) -> io::Result<EventChannel> {
        let mut ports = self.ports();
        let port = request(&self.shared.device)?;
        ports.add(port);
        drop(ports);
        Ok(EventChannel::new(self.clone(), port))
    }

    #[inline]
    pub(crate) fn notify(&self, port: Port) -> io::Result<()> {
        self.shared.device.submit(&mut Notify { port }).map(drop)
    }

    pub(crate) fn unbind(&self, port: Port) -> io::Result<()> {
        let mut ports = self.ports();
        ports.remove(port);
        if !ports.recovered.is_empty() {
            ports.recovered.retain(|&recovered| recovered != port);
        }
        self.shared.device.submit(&mut Unbind { port }).map(drop)
    }

    /// Forgets a port without unbinding it.
    pub(crate) fn forget(&self, port: Port) {
        self.ports().remove(port);
    }

    /// Whether [`Evtchn::pending`] answers at once (so it is at first), or waits for a port when there is none.
    ///
    /// A thread that does nothing but wait for events takes them with one system call, not two, if it need not call
    /// [`Evtchn::wait`]. It can be woken by an event on a channel of the handle to this domain itself. The mode is that of
    /// the open file: of all clones, and of other processes that have the file.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for what the kernel refuses.
    #[doc(alias = "O_NONBLOCK")]
    pub fn set_nonblocking(&self, nonblocking: bool) -> Result<(), Error> {
        let outcome = self.shared.device.set_nonblocking(nonblocking);
        outcome.map_err(|source| Error::Device { call: "set_nonblocking", source })
    }

    /// Waits until a port is pending, for as long as `timeout` says (for ever with `None`). False when the time is up.
    /// Signals do not end the wait. One system call.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for what `poll(2)` refuses.
    pub fn wait(&self, timeout: Option<Duration>) -> Result<bool, Error> {
        if self.shared.recovered.load(Ordering::Acquire) {
            return Ok(true);
        }
        self.shared.device.wait_readable(timeout).map_err(|source| Error::Device { call: "wait", source })
    }

    /// Takes pending ports, oldest first: at most as many as `ports` holds, and at most 1024 (on kernels with 4 KiB
    /// pages). The value is how many; 0 means that none is pending, unless the handle [waits](Evtchn::set_nonblocking) for
    /// one. One system call, and no lock.
    ///
    /// The ports stay masked until [`Evtchn::unmask`]. If the kernel's ring has overflowed, the recovery of
    /// [`Evtchn::reset`] happens here, and all ports of the handle are handed out.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for what `read(2)` refuses.
    #[doc(alias = "xenevtchn_pending")]
    #[inline]
    pub fn pending(&self, ports: &mut [Port]) -> Result<usize, Error> {
        if ports.is_empty() {
            return Ok(0);
        }
        if self.shared.recovered.load(Ordering::Acquire) {
            return self.pending_after(None, ports);
        }
        match self.shared.device.read(ports.as_mut_bytes()) {
            Ok(bytes) => Ok(bytes / size_of::<Port>()),
            Err(error) => self.pending_after(Some(error), ports),
        }
    }

    /// Goes on after reading ended in an error, or when there are recovered ports.
    #[cold]
    fn pending_after(&self, mut error: Option<io::Error>, ports: &mut [Port]) -> Result<usize, Error> {
        loop {
            if let Some(error) = error {
                match error.kind() {
                    ErrorKind::WouldBlock => return Ok(0),
                    ErrorKind::Interrupted => {}
                    ErrorKind::FileTooLarge => self.reset()?,
                    _ => return Err(Error::Device { call: "pending", source: error }),
                }
            }
            let recovered = self.take_recovered(ports);
            if recovered > 0 {
                return Ok(recovered);
            }
            match self.shared.device.read(ports.as_mut_bytes()) {
                Ok(bytes) => return Ok(bytes / size_of::<Port>()),
                Err(next) => error = Some(next),
            }
        }
    }

    /// Takes one pending port, or `None` if none is pending. One system call; [`Evtchn::pending`] takes many with one.
    ///
    /// # Errors
    ///
    /// As [`Evtchn::pending`].
    #[doc(alias = "xenevtchn_pending")]
    pub fn pending_one(&self) -> Result<Option<Port>, Error> {
        let mut port = [Port::default()];
        let count = self.pending(&mut port)?;
        Ok(port.into_iter().take(count).next())
    }

    /// Lets ports deliver events again; one that got events meanwhile delivers at once. One system call for each 1024
    /// ports (on kernels with 4 KiB pages), and no lock.
    ///
    /// Ports that are not bound, or not masked, are ignored. Only unmask what was taken: unmasking a port whose event is
    /// still queued can make the kernel's ring overflow, which costs a recovery, but no event.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for what `write(2)` refuses; ports in front may be unmasked then.
    #[doc(alias = "xenevtchn_unmask")]
    #[inline]
    pub fn unmask(&self, ports: &[Port]) -> Result<(), Error> {
        if ports.is_empty() {
            return Ok(());
        }
        match self.shared.device.write(ports.as_bytes()) {
            Ok(bytes) if bytes == size_of_val(ports) => Ok(()),
            outcome => self.unmask_after(outcome, ports),
        }
    }

    /// Goes on after writing all of the ports at once ended in less, or in an error.
    #[cold]
    fn unmask_after(&self, mut outcome: io::Result<usize>, ports: &[Port]) -> Result<(), Error> {
        let failed = |source| Error::Device { call: "unmask", source };
        let mut left = ports;
        loop {
            match outcome {
                // The kernel takes at most a page's worth, and says so.
                Ok(bytes) => match left.get(bytes / size_of::<Port>()..) {
                    Some([]) => return Ok(()),
                    Some(rest) if rest.len() < left.len() => left = rest,
                    _ => return Err(failed(ErrorKind::WriteZero.into())),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
            outcome = self.shared.device.write(left.as_bytes());
        }
    }

    /// Empties the kernel's ring of pending ports, and has [`Evtchn::pending`] hand out every bound port once, because any
    /// of them may just have lost an event. So no event is lost, and some come for nothing.
    ///
    /// This happens by itself when the ring has overflowed. That can only be when ports are unbound while their events
    /// are queued and others bound, or unmasked before their event was taken.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] for what the kernel refuses.
    #[doc(alias = "IOCTL_EVTCHN_RESET")]
    pub fn reset(&self) -> Result<(), Error> {
        let mut ports = self.ports();
        self.shared.device.submit(&mut Reset).map_err(|source| Error::Device { call: "reset", source })?;
        tracing::debug!(bound = ports.bound.len(), "event ring reset; handing out all bound ports");
        ports.recovered = ports.bound.iter().copied().collect();
        self.shared.recovered.store(!ports.recovered.is_empty(), Ordering::Release);
        Ok(())
    }

    fn take_recovered(&self, into: &mut [Port]) -> usize {
        if !self.shared.recovered.load(Ordering::Acquire) {
            return 0;
        }
        let mut ports = self.ports();
        let count = into.len().min(ports.recovered.len());
        for (slot, port) in into.iter_mut().zip(ports.recovered.drain(..count)) {
            *slot = port;
        }
        self.shared.recovered.store(!ports.recovered.is_empty(), Ordering::Release);
        count
    }

    /// Restricts the handle, for good, to one other domain: from now on it can only bind to that domain's ports. What is
    /// bound already goes on.
    ///
    /// A device model does this before it serves a guest, so that a guest that takes it over gains nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Restrict`]: `EACCES` it is restricted already, `EINVAL` the domain is dom0 or one of the special numbers.
    #[doc(alias = "xenevtchn_restrict")]
    #[doc(alias = "IOCTL_EVTCHN_RESTRICT_DOMID")]
    pub fn restrict(&self, domain: DomId) -> Result<(), Error> {
        let outcome = self.shared.device.submit(&mut RestrictDomid { domid: domain.get() });
        outcome.map(drop).map_err(|source| Error::Restrict { domain, source })
    }

    fn ports(&self) -> MutexGuard<'_, Ports> {
        self.shared.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Evtchn {
    #[doc(alias = "xenevtchn_fd")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.device.as_fd()
    }
}

impl AsRawFd for Evtchn {
    #[doc(alias = "xenevtchn_fd")]
    fn as_raw_fd(&self) -> RawFd {
        self.shared.device.as_raw_fd()
    }
}
