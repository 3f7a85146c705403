//! Operations on one domain.

mod info;
mod lifecycle;
mod list;

pub use info::{DomainFlags, DomainInfo, ShutdownReason, Uuid};
pub use list::DomainList;

use xen_sys::DomId;

use crate::Xenctrl;

/// A domain, by its number: what can be done with it.
///
/// The number may be given to another domain when this one is gone; [`DomainInfo::uuid`] tells them apart.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    xen: &'a Xenctrl,
    id: DomId,
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
}
