//! The event channels of another domain: what a toolstack does for it. One's own are in the crate `xen-evtchn`.

use xen_sys::xen_public::errno::EAGAIN;
use xen_sys::xen_public::event_channel::{self, AllocUnbound, PortStatus, ResetPorts};
use xen_sys::{DomId, Pirq, Port, VcpuId, Virq};

use super::Domain;
use crate::Error;

/// What a port is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Binding {
    /// Nothing: it is free, or reserved by Xen.
    Closed,
    /// Nothing yet: it waits for a domain to connect.
    Unbound {
        /// The domain; `None` for a special number.
        remote: Option<DomId>,
    },
    /// The port of another domain.
    Interdomain {
        /// The domain.
        remote: DomId,
        /// Its port.
        port: Port,
    },
    /// A physical interrupt.
    Pirq(Pirq),
    /// A virtual interrupt.
    Virq(Virq),
    /// Another vCPU of the same domain.
    Ipi,
    /// Something that this crate does not know.
    Other(u32),
}

/// A port of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_evtchn_status_t")]
pub struct PortInfo {
    /// What it is bound to.
    pub binding: Binding,
    /// The vCPU that gets the events.
    pub vcpu: VcpuId,
}

/// How often a reset is tried while the domain changes its ports at the same time.
const RESET_ATTEMPTS: u32 = 16;

impl Domain<'_> {
    /// Makes a port of this domain's, for `remote` to connect to. The guest learns of it by xenstore, or in its start
    /// information.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`] for either; [`Error::Denied`]; [`Error::Refused`] with `ENOSPC` if all ports are taken.
    #[doc(alias = "xc_evtchn_alloc_unbound")]
    #[doc(alias = "EVTCHNOP_alloc_unbound")]
    pub fn alloc_unbound(&self, remote: DomId) -> Result<Port, Error> {
        let record = AllocUnbound { dom: self.id.get(), remote_dom: remote.get(), port: 0 };
        Ok(Port::new(self.xen.call(Some(self.id), &record)?.record.port))
    }

    /// What a port of this domain's is bound to.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` for a port beyond the domain's last.
    #[doc(alias = "xc_evtchn_status")]
    #[doc(alias = "EVTCHNOP_status")]
    pub fn port_info(&self, port: Port) -> Result<PortInfo, Error> {
        let record = PortStatus {
            dom: self.id.get(),
            pad: 0,
            port: port.get(),
            status: 0,
            vcpu: 0,
            remote_dom: 0,
            pad2: 0,
            remote_port: 0,
        };
        let record = self.xen.call(Some(self.id), &record)?.record;
        Ok(PortInfo { binding: binding(&record), vcpu: VcpuId::new(record.vcpu) })
    }

    /// Closes all ports of this domain, those included that Xen and device models made for it. Of the caller's own domain too, which
    /// then hears of nothing any more.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EAGAIN` if the domain goes on changing its ports.
    #[doc(alias = "xc_evtchn_reset")]
    #[doc(alias = "EVTCHNOP_reset")]
    pub fn reset_ports(&self) -> Result<(), Error> {
        let record = ResetPorts { dom: self.id.get() };
        let mut attempts = 1;
        loop {
            match self.xen.call(Some(self.id), &record) {
                Err(error) if error.errno() == Some(EAGAIN) && attempts < RESET_ATTEMPTS => attempts += 1,
                answer => return answer.map(drop),
            }
        }
    }
}

fn binding(record: &PortStatus) -> Binding {
    let remote = DomId::new(record.remote_dom);
    match (record.status, remote) {
        (event_channel::EVTCHNSTAT_CLOSED, _) => Binding::Closed,
        (event_channel::EVTCHNSTAT_UNBOUND, remote) => Binding::Unbound { remote },
        (event_channel::EVTCHNSTAT_INTERDOMAIN, Some(remote)) => {
            Binding::Interdomain { remote, port: Port::new(record.remote_port) }
        }
        (event_channel::EVTCHNSTAT_PIRQ, _) => Binding::Pirq(Pirq::new(record.interrupt())),
        (event_channel::EVTCHNSTAT_VIRQ, _) => Binding::Virq(Virq::new(record.interrupt())),
        (event_channel::EVTCHNSTAT_IPI, _) => Binding::Ipi,
        (other, _) => Binding::Other(other),
    }
}
