//! Operations on the host.

mod info;

pub use info::{HostCapabilities, HostInfo};

use crate::Xenctrl;

/// The host: what can be asked of it and done with it.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    xen: &'a Xenctrl,
}

impl<'a> Host<'a> {
    pub(crate) fn new(xen: &'a Xenctrl) -> Self {
        Self { xen }
    }
}
