//! One bound port.

use crate::{Error, Evtchn};
use xen_sys::Port;

/// A bound port: one end of an event channel, or a virtual interrupt. Dropping it unbinds it.
///
/// It keeps its [`Evtchn`] open. Threads may share it.
#[derive(Debug)]
#[must_use = "dropping a channel unbinds its port"]
pub struct EventChannel {
    evtchn: Evtchn,
    port: Port,
    /// Whether the port is still this channel's to unbind.
    bound: bool,
}

impl EventChannel {
    pub(crate) fn new(evtchn: Evtchn, port: Port) -> Self {
        Self { evtchn, port, bound: true }
    }

    /// The local port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// The handle that the port is bound through.
    #[must_use]
    pub fn evtchn(&self) -> &Evtchn {
        &self.evtchn
    }

    /// Sends an event to the far end. One system call, no lock.
    ///
    /// Success says that the port is ours, not that anybody listens: an event on a port that nobody has bound, or
    /// whose far end is gone, vanishes.
    ///
    /// # Errors
    ///
    /// [`Error::Port`]: `ENOTCONN` the handle has not bound the port ([`Evtchn::adopt`] does not check).
    #[doc(alias = "xenevtchn_notify")]
    #[doc(alias = "IOCTL_EVTCHN_NOTIFY")]
    #[doc(alias = "EVTCHNOP_send")]
    #[inline]
    pub fn notify(&self) -> Result<(), Error> {
        self.evtchn.notify(self.port).map_err(|source| self.failed("notify", source))
    }

    /// Lets the port deliver again; see [`Evtchn::unmask`], which does many at once.
    ///
    /// # Errors
    ///
    /// As [`Evtchn::unmask`].
    #[doc(alias = "xenevtchn_unmask")]
    #[inline]
    pub fn unmask(&self) -> Result<(), Error> {
        self.evtchn.unmask(&[self.port])
    }

    /// Unbinds the port, which also closes it (a static one stays open). Dropping the channel does the same, for those
    /// who do not need to know of an error.
    ///
    /// An event that was queued may still be taken afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Port`]: `ENOTCONN` or `EINVAL` if the handle has not bound it.
    #[doc(alias = "xenevtchn_unbind")]
    #[doc(alias = "IOCTL_EVTCHN_UNBIND")]
    #[doc(alias = "EVTCHNOP_close")]
    pub fn unbind(mut self) -> Result<(), Error> {
        self.bound = false;
        self.evtchn.unbind(self.port).map_err(|source| self.failed("unbind", source))
    }

    /// Gives up the channel and leaves the port bound for as long as the file is open, to hand both on to another
    /// process.
    #[must_use = "the port stays bound"]
    pub fn into_port(mut self) -> Port {
        self.bound = false;
        self.evtchn.forget(self.port);
        self.port
    }

    #[cold]
    fn failed(&self, call: &'static str, source: std::io::Error) -> Error {
        Error::Port { call, port: self.port, source }
    }
}

impl Drop for EventChannel {
    #[doc(alias = "xenevtchn_unbind")]
    fn drop(&mut self) {
        if !self.bound {
            return;
        }
        if let Err(error) = self.evtchn.unbind(self.port) {
            tracing::warn!(port = self.port.get(), %error, "event channel not unbound");
        }
    }
}
