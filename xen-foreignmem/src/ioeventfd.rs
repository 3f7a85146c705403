//! Eventfds that the kernel signals when a guest writes to a register, without waking the device model.
#![expect(unsafe_code, reason = "tells the kernel where a mapping is, which it uses later")]

use crate::{Error, ForeignMemory, ResourceMapping};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use xen_sys::linux::own_domain;
use xen_sys::linux::privcmd::Ioeventfd as Request;
use xen_sys::xen_public::errno::{EINVAL, ENOTTY, EOPNOTSUPP, EPERM};
use xen_sys::xen_public::hvm::Ioreq;
use xen_sys::{DomId, PAGE_SIZE, Port};

/// A guest's write that counts: of a queue's number to the register `QueueNotify` of a virtio-mmio device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueNotify {
    /// Where the device's registers are in the guest's address space. `QueueNotify` is 0x50 bytes behind.
    pub address: u64,
    /// How many bytes are written: 1, 2, 4 or 8.
    pub size: u32,
    /// The queue. Its lowest 16 bits count.
    pub queue: u32,
}

/// How many vCPUs a page of requests has places for; the kernel looks at one page.
const VCPUS: usize = PAGE_SIZE / size_of::<Ioreq>();

/// An eventfd that the kernel signals for a guest's write, until this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends it"]
pub struct Ioeventfd {
    memory: ForeignMemory,
    /// Ours, so that it is open when it is named again.
    eventfd: OwnedFd,
    domain: DomId,
    notify: QueueNotify,
    ports: Vec<Port>,
    /// Invariant: mapped as long as the kernel uses it.
    page: Arc<ResourceMapping>,
    /// Whether the kernel uses the page.
    assigned: bool,
}

impl ForeignMemory {
    /// Has the kernel signal an eventfd when a vCPU of the guest writes to a virtio-mmio device. It finds the request in `page`, frame 1
    /// of [`Resource::IoreqServer`](crate::Resource::IoreqServer), and answers it; `ports` are the local ports that are bound to
    /// the vCPUs' requests, one for each vCPU of the guest.
    ///
    /// The ports' events must still be taken and unmasked: until they are, the kernel sees no others. If the program is killed while
    /// this is there, the kernel keeps the ports, and uses the page, until the module `xen-privcmd` is unloaded.
    ///
    /// Linux 6.7+ with `CONFIG_XEN_PRIVCMD_EVENTFD`, and not in a PV domain, which dom0 is on most x86 hosts.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if the kernel does not have it, or this is a PV domain; [`Error::Ioeventfd`] with `EINVAL` for no
    /// port, more than 128, or a size that is none, `EBUSY` if the eventfd stands for a write already; [`Error::Restricted`] if the file
    /// is restricted to another domain.
    #[doc(alias = "IOCTL_PRIVCMD_IOEVENTFD")]
    pub fn ioeventfd(
        &self,
        domain: DomId,
        page: &Arc<ResourceMapping>,
        ports: &[Port],
        notify: QueueNotify,
        eventfd: BorrowedFd<'_>,
    ) -> Result<Ioeventfd, Error> {
        // In a PV domain, there are no pages behind the mapping; but the kernel would not look, and take a mark for their address.
        if own_domain::is_pv() {
            return Err(UNSUPPORTED);
        }
        let failed = |source| Error::Ioeventfd { domain, address: notify.address, source };
        let is_valid = (1..=VCPUS).contains(&ports.len()) && matches!(notify.size, 1 | 2 | 4 | 8);
        if !is_valid {
            return Err(failed(std::io::Error::from_raw_os_error(EINVAL)));
        }
        let mut made = Ioeventfd {
            memory: self.clone(),
            eventfd: eventfd.try_clone_to_owned().map_err(failed)?,
            domain,
            notify,
            ports: ports.to_vec(),
            page: Arc::clone(page),
            assigned: false,
        };
        made.submit(ASSIGN).map_err(|source| match source.raw_os_error() {
            Some(EOPNOTSUPP | ENOTTY) => UNSUPPORTED,
            Some(EPERM) => Error::restriction(domain),
            _ => failed(source),
        })?;
        made.assigned = true;
        Ok(made)
    }
}

const ASSIGN: u32 = 0;
const UNASSIGN: u32 = 1;
const UNSUPPORTED: Error = Error::Unsupported {
    operation: "signalling an eventfd for a guest's write",
    needs: "Linux 6.7 or later, built with CONFIG_XEN_PRIVCMD_EVENTFD, in a domain that is not PV",
};

impl Ioeventfd {
    /// The write that counts.
    #[must_use]
    pub fn notify(&self) -> QueueNotify {
        self.notify
    }

    fn submit(&self, flags: u32) -> std::io::Result<()> {
        let address = |pointer: *const u8| pointer.expose_provenance() as u64;
        let invalid = || std::io::Error::from_raw_os_error(EINVAL);
        let mut request = Request {
            ioreq: address(self.page.page_ptr(0).ok_or_else(invalid)?),
            ports: address(self.ports.as_ptr().cast()),
            addr: self.notify.address,
            addr_len: self.notify.size,
            event_fd: u32::try_from(self.eventfd.as_raw_fd()).map_err(|_| invalid())?,
            vcpus: u32::try_from(self.ports.len()).map_err(|_| invalid())?,
            vq: self.notify.queue,
            flags,
            dom: self.domain.get(),
            padding: 0,
        };
        // SAFETY: `ports` has as many as the request says; `ioreq` is a mapping that this driver filled, in a domain where there are
        // pages behind it (checked), and has places for so many vCPUs (checked); it is kept until the kernel no longer uses it.
        unsafe { self.memory.device().submit_unchecked(&mut request) }.map(drop)
    }
}

impl Drop for Ioeventfd {
    fn drop(&mut self) {
        if self.assigned && self.submit(UNASSIGN).is_err() {
            // the kernel goes on using the page: it must stay mapped
            mem::forget(Arc::clone(&self.page));
        }
    }
}
