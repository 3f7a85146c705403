//! A server of requests: made, told what it emulates, switched on, and destroyed.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};

use xen_evtchn::{EventChannel, Evtchn};
use xen_foreignmem::{Ioeventfd, Resource, ResourceMapping};
use xen_sys::Port;
use xen_sys::xen_public::errno::{ENOENT, EOPNOTSUPP, ESRCH};
use xen_sys::xen_public::hvm::{
    self, CreateIoreqServer, DMOP_NO_GFNS, DestroyIoreqServer, GetIoreqServerInfo, SetIoreqServerState,
};

use super::DeviceModel;
use super::buffered::Ring;
use super::synchronous::{PER_PAGE, Places};
use crate::Error;

/// A server's number, among those of its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "ioservid_t")]
pub struct ServerId(u16);

impl ServerId {
    /// The server with this number.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether the guest waits for all that it writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Buffering {
    /// It does.
    #[default]
    #[doc(alias = "HVM_IOREQSRV_BUFIOREQ_OFF")]
    Off,
    /// There is a ring for writes that need no answer. Xen chooses which those are: to the memory of an emulated VGA screen, and new
    /// settings of the clock.
    #[doc(alias = "HVM_IOREQSRV_BUFIOREQ_ATOMIC")]
    On,
}

/// A server in Xen's books, which ends with this.
#[derive(Debug)]
struct Registration {
    model: DeviceModel,
    id: ServerId,
    /// Whether it stays for another program.
    stays: bool,
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        match self.model.destroy_ioreq_server(self.id) {
            Ok(()) => {}
            Err(error) if has_gone(&error) => {}
            Err(error) => tracing::warn!(server = %self.id, %error, "an ioreq server was not destroyed"),
        }
    }
}

/// Whether a server has ended with its guest, which may not be quite gone.
fn has_gone(error: &Error) -> bool {
    matches!(error.errno(), Some(ENOENT | ESRCH))
}

/// A server of requests: what a guest does to its ports, addresses and PCI devices comes here, and waits for an answer. A guest can
/// have several (8 on x86), each with its own. Dropping it destroys it; vCPUs that wait are answered before, as if there was no device.
///
/// First it is told what it emulates; from [`enable`](Self::enable) on it gets requests.
#[derive(Debug)]
#[must_use = "a server is destroyed when this is dropped"]
pub struct IoreqServer {
    // in the order in which they end: no eventfds, no events, then no server, then no pages
    pub(super) ioeventfds: Vec<Ioeventfd>,
    /// Of each vCPU, to tell it that it is answered.
    channels: Vec<Option<EventChannel>>,
    buffered_channel: Option<EventChannel>,
    evtchn: Evtchn,
    registration: Registration,
    places: Places,
    ring: Option<Ring>,
}

impl DeviceModel {
    /// Makes a server, which emulates nothing yet. It has a file on `/dev/xen/evtchn` of its own, which is restricted to this guest.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `ENOSPC` if the guest has 8 already; [`Error::Events`] if
    /// the device cannot be opened; [`Error::Foreign`] if the pages cannot be mapped.
    #[doc(alias = "xendevicemodel_create_ioreq_server")]
    #[doc(alias = "xc_hvm_create_ioreq_server")]
    #[doc(alias = "XEN_DMOP_create_ioreq_server")]
    pub fn create_ioreq_server(&self, buffering: Buffering) -> Result<IoreqServer, Error> {
        let evtchn = Evtchn::open()?;
        evtchn.restrict(self.domain_id())?;
        self.create_ioreq_server_with(evtchn, buffering)
    }

    /// Makes a server that uses this file for events. The file should be the server's own: it takes all events that come there.
    ///
    /// # Errors
    ///
    /// As [`create_ioreq_server`](Self::create_ioreq_server).
    pub fn create_ioreq_server_with(
        &self,
        evtchn: Evtchn,
        buffering: Buffering,
    ) -> Result<IoreqServer, Error> {
        let handle_bufioreq = match buffering {
            Buffering::Off => hvm::IOREQSRV_BUFIOREQ_OFF,
            Buffering::On => hvm::IOREQSRV_BUFIOREQ_ATOMIC,
        };
        let mut operation = CreateIoreqServer { handle_bufioreq, ..CreateIoreqServer::default() };
        self.operate(&mut operation, None)?;
        let registration = Registration { model: self.clone(), id: ServerId(operation.id), stays: false };
        IoreqServer::new(registration, evtchn, buffering == Buffering::On)
    }

    /// Takes over a server whose program has ended without destroying it, or was [told to leave it](IoreqServer::leave). It goes on
    /// with what it emulates; requests that the other program had taken and not answered come again. Call
    /// [`enable`](IoreqServer::enable) to get them.
    ///
    /// # Errors
    ///
    /// As [`create_ioreq_server`](Self::create_ioreq_server); [`Error::Refused`] with `ENOENT` if there is no such server.
    pub fn adopt_ioreq_server(&self, id: ServerId) -> Result<IoreqServer, Error> {
        let evtchn = Evtchn::open()?;
        evtchn.restrict(self.domain_id())?;
        self.adopt_ioreq_server_with(evtchn, id)
    }

    /// Takes over a server, and uses this file for events, which should be the server's own.
    ///
    /// # Errors
    ///
    /// As [`adopt_ioreq_server`](Self::adopt_ioreq_server).
    pub fn adopt_ioreq_server_with(&self, evtchn: Evtchn, id: ServerId) -> Result<IoreqServer, Error> {
        let buffered = self.buffered_port(id)?.is_some();
        // It is not ours to destroy before all is well.
        let registration = Registration { model: self.clone(), id, stays: true };
        let mut server = IoreqServer::new(registration, evtchn, buffered)?;
        server.registration.stays = false;
        server.places.reopen();
        Ok(server)
    }

    /// Destroys a server whose program has ended. [`IoreqServer`]s do it by themselves. A vCPU that waits for an answer waits for ever
    /// then: rather [adopt](Self::adopt_ioreq_server) the server, and drop that.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Refused`] with `ENOENT` if there is no such server, [`Error::Denied`] if
    /// another domain made it.
    #[doc(alias = "xendevicemodel_destroy_ioreq_server")]
    #[doc(alias = "xc_hvm_destroy_ioreq_server")]
    #[doc(alias = "XEN_DMOP_destroy_ioreq_server")]
    pub fn destroy_ioreq_server(&self, id: ServerId) -> Result<(), Error> {
        self.operate(&mut DestroyIoreqServer { id: id.0, pad: 0 }, None)
    }

    /// The port for events about buffered requests, if the server has a ring for them. The frames, for which Xen could also be
    /// asked here, would be taken from the guest's memory: resources are better.
    #[doc(alias = "xendevicemodel_get_ioreq_server_info")]
    #[doc(alias = "xc_hvm_get_ioreq_server_info")]
    #[doc(alias = "XEN_DMOP_get_ioreq_server_info")]
    fn buffered_port(&self, id: ServerId) -> Result<Option<Port>, Error> {
        let mut operation =
            GetIoreqServerInfo { id: id.0, flags: DMOP_NO_GFNS, ..GetIoreqServerInfo::default() };
        self.operate(&mut operation, None)?;
        Ok((operation.bufioreq_port != 0).then(|| Port::new(operation.bufioreq_port)))
    }

    /// How many pages of synchronous requests there are.
    fn pages_of_places(&self) -> Result<u32, Error> {
        match self.vcpus() {
            Ok(vcpus) => Ok(vcpus.div_ceil(u32::try_from(PER_PAGE).unwrap_or(u32::MAX)).max(1)),
            // Xen 4.14, where no guest has more vCPUs than a page has places
            Err(Error::Unsupported { .. }) => Ok(1),
            Err(error) if error.errno() == Some(EOPNOTSUPP) => Ok(1),
            Err(error) => Err(error),
        }
    }
}

impl IoreqServer {
    fn new(registration: Registration, evtchn: Evtchn, buffered: bool) -> Result<Self, Error> {
        let Registration { model, id, .. } = &registration;
        // One by one: kernels with pages of 16 KiB can do no more.
        let map = |frame| -> Result<ResourceMapping, Error> {
            let resource = Resource::IoreqServer { id: id.0 };
            Ok(model.foreign_memory().map_resource(model.domain_id(), resource, frame, 1)?)
        };
        let pages: Result<_, Error> = (1..=model.pages_of_places()?).map(map).collect();
        let places = Places::new(pages?);
        let ring = if buffered { Some(Ring::new(map(0)?)) } else { None };
        let (ioeventfds, channels, buffered_channel) = (Vec::new(), Vec::new(), None);
        Ok(Self { ioeventfds, channels, buffered_channel, evtchn, registration, places, ring })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> ServerId {
        self.registration.id
    }

    /// The guest's handle.
    #[must_use]
    pub fn model(&self) -> &DeviceModel {
        &self.registration.model
    }

    /// Gives the server up without destroying it: the guest waits, until another program
    /// [adopts](DeviceModel::adopt_ioreq_server) it.
    #[must_use = "the server stays"]
    pub fn leave(mut self) -> ServerId {
        self.registration.stays = true;
        self.registration.id
    }

    /// Switches it on: requests come from now on.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`]; [`Error::Events`] if a port cannot be bound.
    #[doc(alias = "xendevicemodel_set_ioreq_server_state")]
    #[doc(alias = "xc_hvm_set_ioreq_server_state")]
    #[doc(alias = "XEN_DMOP_set_ioreq_server_state")]
    pub fn enable(&mut self) -> Result<(), Error> {
        self.set_enabled(true)?;
        self.bind()
    }

    /// Switches it off: what the guest does goes elsewhere, or nowhere. Requests that are here already are to be answered.
    ///
    /// # Errors
    ///
    /// As all operations: see [`DeviceModel`].
    pub fn disable(&mut self) -> Result<(), Error> {
        self.set_enabled(false)
    }

    fn set_enabled(&self, enabled: bool) -> Result<(), Error> {
        let mut operation = SetIoreqServerState { id: self.id().0, enabled: enabled.into(), pad: 0 };
        self.model().operate(&mut operation, None)
    }

    /// Binds the ports, which are known when the server has been switched on. An event comes at once on each.
    fn bind(&mut self) -> Result<(), Error> {
        let domain = self.model().domain_id();
        if self.channels.is_empty() {
            let last = (0..self.places.count()).rev().find(|place| self.places.port(*place).is_some());
            let ports = (0..last.map_or(0, |last| last + 1)).map(|place| self.places.port(place));
            let bind =
                |port: Option<Port>| port.map(|port| self.evtchn.bind_interdomain(domain, port)).transpose();
            self.channels = ports.map(bind).collect::<Result<_, _>>()?;
        }
        if self.ring.is_some() && self.buffered_channel.is_none() {
            let port = self.model().buffered_port(self.id())?;
            let bound = port.map(|port| self.evtchn.bind_interdomain(domain, port)).transpose()?;
            self.buffered_channel = bound;
        }
        Ok(())
    }

    /// Answers the vCPUs that wait, for Xen forgets them when the server is destroyed: they would wait for ever.
    fn release(&mut self) -> Result<(), Error> {
        self.set_enabled(false)?;
        self.places.reopen();
        if self.places.is_any_ready() {
            self.bind()?;
        }
        while let Some(request) = self.next_request() {
            drop(request);
        }
        Ok(())
    }

    pub(super) fn evtchn(&self) -> &Evtchn {
        &self.evtchn
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    /// Of each vCPU, its channel.
    pub(super) fn channels(&self) -> &[Option<EventChannel>] {
        &self.channels
    }

    /// How many vCPUs can ask.
    pub(super) fn vcpus(&self) -> usize {
        self.channels.len()
    }

    /// Tells a vCPU that it is answered.
    pub(super) fn notify(&self, place: usize) -> Result<(), Error> {
        let channel = self.channels.get(place).and_then(Option::as_ref);
        channel.map_or(Ok(()), |channel| Ok(channel.notify()?))
    }
}

impl Drop for IoreqServer {
    fn drop(&mut self) {
        if self.registration.stays {
            return;
        }
        match self.release() {
            Ok(()) => {}
            Err(error) if has_gone(&error) => {}
            Err(error) => tracing::warn!(server = %self.id(), %error, "vCPUs may wait for ever"),
        }
    }
}

impl AsFd for IoreqServer {
    /// Readable when there are events. [`IoreqServer::acknowledge`] takes them.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.evtchn.as_fd()
    }
}
