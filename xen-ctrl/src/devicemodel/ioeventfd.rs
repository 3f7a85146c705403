//! Eventfds that the kernel signals when the guest notifies a queue.

use std::os::fd::BorrowedFd;

use xen_evtchn::EventChannel;
use xen_sys::Port;

use super::{IoreqServer, QueueNotify};
use crate::Error;

impl IoreqServer {
    /// Has the kernel signal an eventfd when the guest notifies a queue of a virtio-mmio device, and answer the guest. A virtio or vhost
    /// process then learns of it without the device model. The server must be on, and the device's addresses be mapped to it. It ends
    /// with the server, or with [`unassign_ioeventfd`](Self::unassign_ioeventfd).
    ///
    /// Such a request can still come here, if it was taken before the kernel saw it: signal the eventfd then.
    ///
    /// Linux 6.8+ with `CONFIG_XEN_PRIVCMD_EVENTFD`, and not in a PV domain, which dom0 is on most x86 hosts.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`], as [`ForeignMemory::ioeventfd`](crate::ForeignMemory::ioeventfd) says: unsupported, or refused.
    #[doc(alias = "IOCTL_PRIVCMD_IOEVENTFD")]
    pub fn assign_ioeventfd(&mut self, eventfd: BorrowedFd<'_>, notify: QueueNotify) -> Result<(), Error> {
        let Some(page) = self.places().first_page() else { return Ok(()) };
        let port = |channel: &Option<EventChannel>| channel.as_ref().map(EventChannel::port);
        let ports: Vec<Port> = self.channels().iter().map_while(port).collect();
        let (memory, domain) = (self.model().foreign_memory(), self.model().domain_id());
        let assigned = memory.ioeventfd(domain, page, &ports, notify, eventfd)?;
        self.ioeventfds.push(assigned);
        Ok(())
    }

    /// Requests of this kind come here again. Nothing happens if they always did.
    pub fn unassign_ioeventfd(&mut self, notify: QueueNotify) {
        self.ioeventfds.retain(|assigned| assigned.notify() != notify);
    }
}
