//! Eventfds that the kernel signals when the guest notifies a queue.

use std::os::fd::BorrowedFd;

use xen_evtchn::EventChannel;
use xen_sys::Port;

use super::{IoreqServer, QueueNotify};
use crate::Error;

impl IoreqServer {
    /// Has the kernel signal an eventfd when the guest notifies a queue of a virtio-mmio device, and answer the guest: the process that
    /// serves the queue then learns of it without a word from the device model. The server must be on, and the device's addresses be
    /// mapped to it. It ends with the server, or with [`unassign_ioeventfd`](Self::unassign_ioeventfd).
    ///
    /// **Events must still be taken here**, by [`wait`](Self::wait) or [`acknowledge`](Self::acknowledge): until the last one is, the kernel
    /// sees no other, and the vCPU waits. Such a request can still come here, if it was taken before the kernel saw it, or while it
    /// did: answer it, and signal the eventfd.
    ///
    /// A program must not end without dropping the server. If it is killed, the kernel keeps the ports and uses the page until the
    /// module `xen-privcmd` is unloaded: who [adopts](super::DeviceModel::adopt_ioreq_server) the server cannot bind them (`EINVAL`), and the
    /// guest waits for ever.
    ///
    /// Linux 6.7+ with `CONFIG_XEN_PRIVCMD_EVENTFD`, and not in a PV domain, which dom0 is on most x86 hosts.
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
