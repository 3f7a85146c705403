//! Which domain this is.
#![expect(unsafe_code, reason = "closes a port that was just made, and says which domains are others")]

use xen_sys::xen_public::event_channel::{AllocUnbound, ClosePort, PortStatus};
use xen_sys::xen_public::operation::HypercallNumber;
use xen_sys::{DomId, OtherDomain};

use crate::{Error, Xencall};

impl Xencall {
    /// The number of the domain that this program runs in. Xen is asked once for each handle, by three hypercalls.
    ///
    /// # Errors
    ///
    /// As [`Xencall::call`]; a domain whose kernel lets no hypercall out cannot ask. [`Error::Hypercall`] with `ENOSPC` if the domain
    /// has no event channel left, which the question takes for a moment.
    pub fn own_domain(&self) -> Result<DomId, Error> {
        if let Some(&known) = self.own_domain_cell().get() {
            return Ok(known);
        }
        let found = self.ask_for_own_domain()?;
        Ok(*self.own_domain_cell().get_or_init(|| found))
    }

    /// Says that a domain is not the one that this program runs in; `None` if it is, or if `id` is no ordinary number.
    ///
    /// # Errors
    ///
    /// As [`own_domain`](Self::own_domain).
    pub fn other_domain(&self, id: DomId) -> Result<Option<OtherDomain>, Error> {
        let is_other = id.is_ordinary() && id != self.own_domain()?;
        // SAFETY: Xen said which domain is the own one, and a running domain keeps its number.
        Ok(is_other.then(|| unsafe { OtherDomain::new_unchecked(id) }))
    }

    /// No hypercall tells it. But a port that a domain makes for itself is told with that domain's number.
    fn ask_for_own_domain(&self) -> Result<DomId, Error> {
        let own = DomId::SELF.get();
        let port = self.call(&AllocUnbound { dom: own, remote_dom: own, port: 0 })?.record.port;
        let question =
            PortStatus { dom: own, pad: 0, port, status: 0, vcpu: 0, remote_dom: 0, pad2: 0, remote_port: 0 };
        let status = self.call(&question);
        let record = self.buffer(ClosePort { port })?;
        let arguments = [ClosePort::COMMAND.number.into(), record.address(), 0, 0, 0];
        // SAFETY: a live record, borrowed until here; the port is ours, and the kernel has never heard of it.
        unsafe { self.issue(ClosePort::COMMAND.name, HypercallNumber::EVENT_CHANNEL_OP, arguments) }?;
        let number = status?.record.remote_dom;
        Ok(DomId::new(number).unwrap_or(DomId::SELF))
    }
}
