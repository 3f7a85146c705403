//! Operations on one domain.

#[cfg(target_arch = "x86_64")]
mod cpu_policy;
mod create;
mod event_channels;
mod grant_table;
mod info;
mod lifecycle;
mod list;
mod resume;
mod settings;
mod signal;
mod state;
mod vnuma;

pub use create::{
    Altp2m, Altp2mMode, ArmOptions, CreateDomain, CreateFlags, CreatedDomain, DomainKind, Gic, Tee,
    X86Emulation, X86Options,
};
pub use event_channels::{Binding, PortInfo};
pub use grant_table::{GrantTableSize, GrantVersion};
pub use info::{DomainFlags, DomainInfo, ShutdownReason, Uuid};
pub use list::DomainList;
pub use settings::{GuestWidth, TscInfo, TscMode};
pub use signal::Trigger;
pub use state::{DomainCapabilities, DomainState, StateFlags};
pub use vnuma::VirtualNode;

use xen_sys::DomId;
use xen_sys::xen_public::errno::ESRCH;

use crate::memory::DomainMemory;
use crate::passthrough::Passthrough;
use crate::pv::PageTables;
use crate::{Error, Xenctrl};

/// A domain, by its number: what can be done with it.
///
/// The number may be given to another domain when this one is gone; [`DomainInfo::uuid`] tells them apart.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    pub(crate) xen: &'a Xenctrl,
    pub(crate) id: DomId,
}

impl<'a> Domain<'a> {
    pub(crate) fn new(xen: &'a Xenctrl, id: DomId) -> Self {
        Self { xen, id }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> DomId {
        self.id
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> DomainMemory<'a> {
        DomainMemory::new(self.xen, self.id)
    }

    /// Its page tables, if it is a PV domain.
    #[must_use]
    pub fn page_tables(&self) -> PageTables<'a> {
        PageTables::new(self.xen, self.id)
    }

    /// The devices of the host's that it is given.
    #[must_use]
    pub fn passthrough(&self) -> Passthrough<'a> {
        Passthrough::new(self.xen, self.id)
    }

    /// Xen has the same error number for a domain and for a part of it (a vCPU, a device) that is not there; here they are told apart.
    pub(crate) fn unless_a_part_is_missing(&self, error: Error) -> Error {
        match error {
            Error::NoSuchDomain { operation, domain } if self.info().is_ok() => {
                Error::refused(operation, Some(domain), ESRCH)
            }
            error => error,
        }
    }
}
