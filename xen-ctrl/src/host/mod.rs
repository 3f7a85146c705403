//! Operations on the host.
//!
//! What every domain may ask about the hypervisor (version, capabilities, command line, features) is in
//! [`xen_call::version`], which takes [`Xenctrl::xencall`].

mod console;
mod counters;
mod cpus;
mod features;
mod info;
mod livepatch;
mod numa;
mod pages;
mod pci;
mod pci_devices;
#[cfg(target_arch = "x86_64")]
mod policy;
mod power;

pub use console::{ConsoleReader, ConsoleText};
pub use counters::{LockProfile, LockStatistics, PerfCounter};
pub use cpus::{CpuPlace, CpuState, CpuVersion, Microcode};
pub use features::FeatureSet;
pub use info::{HostCapabilities, HostInfo};
pub use livepatch::{Livepatch, LivepatchState};
pub use numa::{MemoryRegion, Numa, NumaNode};
pub use pages::{PageKind, PageOutcome, PageResult, PageState};
pub use pci::{ParsePciAddressError, PciAddress, PciNode};
pub use pci_devices::{PciFunction, PciReset};
#[cfg(target_arch = "x86_64")]
pub(crate) use policy::PolicyMemory;
#[cfg(target_arch = "x86_64")]
pub use policy::{CpuPolicy, CpuidLeaf, MsrValue, SystemPolicy};

use crate::Xenctrl;
use crate::memory::HostMemory;

/// The host: what can be asked of it and done with it.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    xen: &'a Xenctrl,
}

impl<'a> Host<'a> {
    pub(crate) fn new(xen: &'a Xenctrl) -> Self {
        Self { xen }
    }

    /// Its memory.
    #[must_use]
    pub fn memory(&self) -> HostMemory<'a> {
        HostMemory::new(self.xen)
    }
}

/// A number of things in memory.
fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A text that ends with its first NUL, or with the field.
pub(crate) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
