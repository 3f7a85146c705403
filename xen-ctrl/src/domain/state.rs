//! The state of domains, by the operation of Xen 4.21 that never changes.

use bitflags::bitflags;
use xen_sys::DomId;
use xen_sys::xen_public::domctl::{self, DomainStateRecord, DomctlCall, GetDomainState};
use xen_sys::xen_public::errno::ENOENT;

use super::Domain;
use crate::{Error, Xenctrl};

bitflags! {
    /// The state of a domain.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct StateFlags: u16 {
        /// There is such a domain.
        const EXISTS = domctl::GETDOMSTATE_STATE_EXIST;
        /// It has shut down.
        const SHUTDOWN = domctl::GETDOMSTATE_STATE_SHUTDOWN;
        /// It is being destroyed; its resources are being freed.
        const DYING = domctl::GETDOMSTATE_STATE_DYING;
        /// Its resources are freed.
        const DEAD = domctl::GETDOMSTATE_STATE_DEAD;
    }
}

bitflags! {
    /// What a domain may do.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct DomainCapabilities: u16 {
        /// It controls other domains.
        const CONTROL = domctl::GETDOMSTATE_CAP_CONTROL;
        /// It has the hardware.
        const HARDWARE = domctl::GETDOMSTATE_CAP_HARDWARE;
        /// It runs xenstore.
        const XENSTORE = domctl::GETDOMSTATE_CAP_XENSTORE;
    }
}

/// The state of a domain, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DomainState {
    /// Its number.
    pub id: DomId,
    /// Its state.
    pub flags: StateFlags,
    /// What it may do.
    pub capabilities: DomainCapabilities,
    /// A number that no other domain gets until the host restarts; domain numbers are used again.
    pub unique_id: u64,
}

impl DomainState {
    fn new(id: DomId, record: &DomainStateRecord) -> Self {
        Self {
            id,
            flags: StateFlags::from_bits_truncate(record.state),
            capabilities: DomainCapabilities::from_bits_truncate(record.caps),
            unique_id: record.unique_id,
        }
    }
}

impl Domain<'_> {
    /// The state of the domain. Xen 4.21+; unlike [`Domain::info`], the domain that runs xenstore may ask too.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Unsupported`] before Xen 4.21.
    #[doc(alias = "xenmanage_get_domain_info")]
    #[doc(alias = "XEN_DOMCTL_get_domain_state")]
    pub fn state(&self) -> Result<DomainState, Error> {
        self.xen.require("XEN_DOMCTL_get_domain_state", 21)?;
        let record = self.xen.domctl(self.id, &GetDomainState)?;
        Ok(DomainState::new(self.id, &record))
    }
}

impl Xenctrl {
    /// The state of a domain that was created, shut down or destroyed since it was last told of; `None` when all are told.
    /// For who has bound [`Virq::DOM_EXC`](crate::Virq::DOM_EXC), to call after each. Xen 4.21+.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] if another domain has that interrupt; [`Error::Unsupported`] before Xen 4.21.
    #[doc(alias = "xenmanage_poll_changed_domain")]
    #[doc(alias = "XEN_DOMCTL_get_domain_state")]
    pub fn next_changed_domain(&self) -> Result<Option<DomainState>, Error> {
        self.require("XEN_DOMCTL_get_domain_state", 21)?;
        let version = self.domctl_version()?;
        let call = DomctlCall { version, domain: DomId::INVALID, operation: &GetDomainState };
        let answer = match self.call(None, &call) {
            Err(error) if error.errno() == Some(ENOENT) => return Ok(None),
            answer => answer?.record,
        };
        let record = DomctlCall::<GetDomainState>::answer(&answer);
        Ok(DomId::new(answer.domain).map(|id| DomainState::new(id, &record)))
    }
}
