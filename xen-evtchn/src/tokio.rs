//! `async` waiting with tokio, for a whole handle or for single channels.
//!
//! ```no_run
//! use xen_evtchn::{DomId, Evtchn, Port, tokio::AsyncEvtchn};
//!
//! # async fn example(guest: DomId, port: Port) -> Result<(), Box<dyn std::error::Error>> {
//! let evtchn = AsyncEvtchn::new(Evtchn::open()?)?;
//! let channel = evtchn.own(evtchn.handle().bind_interdomain(guest, port)?);
//! channel.notify()?;
//! channel.wait().await?; // one channel: taken and unmasked
//! # Ok(()) }
//! ```
//!
//! Nothing is spawned: whichever task waits reads for all, and wakes those whose ports it finds. All futures here can be
//! dropped at any moment; no event is lost by it.
#![expect(unsafe_code, reason = "registers a file descriptor with the runtime")]

use crate::{Error, EventChannel, Evtchn};
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use xen_sys::Port;

/// How many ports are taken with one read.
const BATCH: usize = 64;

/// An [`Evtchn`] in a tokio runtime. Cloning gives another reference to it.
#[derive(Clone, Debug)]
pub struct AsyncEvtchn {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    fd: AsyncFd<Evtchn>,
    routes: Mutex<Routes>,
    /// Wakes a task in [`AsyncEvtchn::pending`] when another task found ports for it.
    unclaimed: Notify,
}

/// Where a port goes that was read.
#[derive(Debug, Default)]
struct Routes {
    channels: HashMap<Port, Arc<Notify>>,
    /// Ports of no [`AsyncEventChannel`]; a set, so that it cannot grow beyond the number of ports.
    unclaimed: BTreeSet<Port>,
}

impl AsyncEvtchn {
    /// Registers a handle with the runtime, and makes it [non-blocking](Evtchn::set_nonblocking).
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the runtime or the kernel refuses.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled, as [`AsyncFd`] does.
    pub fn new(evtchn: Evtchn) -> Result<Self, Error> {
        evtchn.set_nonblocking(true)?;
        // An overflow of the ring shows as an error condition only.
        let interest = Interest::READABLE | Interest::ERROR;
        // SAFETY: the `Evtchn` owns its descriptor and never replaces it, and the `AsyncFd` keeps the `Evtchn`.
        let fd = unsafe { AsyncFd::register_with_interest(evtchn, interest) };
        let fd = fd.map_err(|error| failed(error.into()))?;
        let shared = Shared { fd, routes: Mutex::default(), unclaimed: Notify::new() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The handle, to bind ports with.
    #[must_use]
    pub fn handle(&self) -> &Evtchn {
        self.shared.fd.get_ref()
    }

    /// Makes a channel of this handle one that can be waited for by itself.
    ///
    /// Events that arrive before this may come out of [`AsyncEvtchn::pending`] instead.
    pub fn own(&self, channel: EventChannel) -> AsyncEventChannel {
        let event = Arc::new(Notify::new());
        self.shared.routes().channels.insert(channel.port(), Arc::clone(&event));
        AsyncEventChannel { channel, event, evtchn: self.clone() }
    }

    /// Waits until ports are pending, and takes them: as [`Evtchn::pending`], but never 0 (unless `ports` is empty), and
    /// without the ports of [`AsyncEventChannel`]s. They stay masked until [`Evtchn::unmask`].
    ///
    /// # Errors
    ///
    /// As [`Evtchn::pending`].
    #[doc(alias = "xenevtchn_pending")]
    pub async fn pending(&self, ports: &mut [Port]) -> Result<usize, Error> {
        if ports.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.shared.take_unclaimed(ports);
            if count > 0 {
                return Ok(count);
            }
            tokio::select! {
                () = self.shared.unclaimed.notified() => {}
                outcome = self.shared.route() => outcome?,
            }
        }
    }
}

impl Shared {
    fn routes(&self) -> MutexGuard<'_, Routes> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_unclaimed(&self, into: &mut [Port]) -> usize {
        let mut routes = self.routes();
        let mut count = 0;
        for slot in into {
            let Some(port) = routes.unclaimed.pop_first() else { break };
            *slot = port;
            count += 1;
        }
        if !routes.unclaimed.is_empty() {
            // The rest is for the next task that waits, if there is one.
            self.unclaimed.notify_one();
        }
        count
    }

    /// Waits until the device is readable, reads once, and hands the ports on.
    async fn route(&self) -> Result<(), Error> {
        let mut guard = self.fd.ready(Interest::READABLE | Interest::ERROR).await.map_err(failed)?;
        let mut ports = [Port::default(); BATCH];
        let count = guard.get_inner().pending(&mut ports)?;
        if count == 0 {
            guard.clear_ready();
        }
        let mut routes = self.routes();
        for port in ports.into_iter().take(count) {
            if let Some(event) = routes.channels.get(&port) {
                event.notify_one();
            } else {
                routes.unclaimed.insert(port);
            }
        }
        if !routes.unclaimed.is_empty() {
            self.unclaimed.notify_one();
        }
        Ok(())
    }
}

/// An [`EventChannel`] that a task can wait for. Dropping it unbinds the port.
#[derive(Debug)]
#[must_use = "dropping a channel unbinds its port"]
pub struct AsyncEventChannel {
    channel: EventChannel,
    event: Arc<Notify>,
    evtchn: AsyncEvtchn,
}

impl AsyncEventChannel {
    /// Waits for an event, takes it, and unmasks the port: after this, look at the memory that the event is about.
    ///
    /// Events that arrived since the last wait are one. Several tasks may wait; an event wakes one of them.
    ///
    /// # Errors
    ///
    /// As [`Evtchn::pending`] and [`Evtchn::unmask`].
    pub async fn wait(&self) -> Result<(), Error> {
        loop {
            tokio::select! {
                biased;
                () = self.event.notified() => return self.channel.unmask(),
                outcome = self.evtchn.shared.route() => outcome?,
            }
        }
    }
}

impl Deref for AsyncEventChannel {
    type Target = EventChannel;

    fn deref(&self) -> &EventChannel {
        &self.channel
    }
}

impl Drop for AsyncEventChannel {
    fn drop(&mut self) {
        let mut routes = self.evtchn.shared.routes();
        // The number may be another channel's by now, if this one was let go of and bound again.
        if routes.channels.get(&self.channel.port()).is_some_and(|event| Arc::ptr_eq(event, &self.event)) {
            routes.channels.remove(&self.channel.port());
            routes.unclaimed.remove(&self.channel.port());
        }
    }
}

fn failed(source: io::Error) -> Error {
    Error::Device { call: "wait", source }
}
