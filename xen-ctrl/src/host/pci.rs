//! PCI devices: their addresses, and the NUMA nodes they are on.

use std::fmt;
use std::str::FromStr;

use thiserror::Error as ThisError;
use xen_sys::xen_public::physdev::PciDevice;
use xen_sys::xen_public::sysctl::{INVALID_DEV, INVALID_NODE_ID, PciTopology};

use super::{Host, size};
use crate::Error;

/// The address of a PCI device. Displayed and parsed as usual, `0000:00:1f.2`; the segment can be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    segment: u16,
    bus: u8,
    devfn: u8,
}

/// A text is not the address of a PCI device.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error(
    "{text:?} is no address of a PCI device: that is SEGMENT:BUS:DEVICE.FUNCTION in hexadecimal, 0000:00:1f.2"
)]
pub struct ParsePciAddressError {
    text: String,
}

impl PciAddress {
    /// The address of a function of a device. `None` if the device is above 31 or the function above 7.
    #[must_use]
    pub const fn new(segment: u16, bus: u8, device: u8, function: u8) -> Option<Self> {
        if device > 31 || function > 7 {
            return None;
        }
        Some(Self { segment, bus, devfn: device << 3 | function })
    }

    /// The segment.
    #[must_use]
    pub const fn segment(self) -> u16 {
        self.segment
    }

    /// The bus.
    #[must_use]
    pub const fn bus(self) -> u8 {
        self.bus
    }

    /// The device, 0 to 31.
    #[must_use]
    pub const fn device(self) -> u8 {
        self.devfn >> 3
    }

    /// The function, 0 to 7.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.devfn & 7
    }

    /// The address on this segment that has these bytes for bus, and for device and function.
    pub(crate) const fn from_bytes(segment: u16, bus: u8, devfn: u8) -> Self {
        Self { segment, bus, devfn }
    }

    /// Device, times 8, and function.
    pub(crate) const fn devfn(self) -> u8 {
        self.devfn
    }

    /// As Xen and the kernel pack it into one number.
    pub(crate) fn sbdf(self) -> u32 {
        u32::from(self.segment) << 16 | u32::from(self.bus) << 8 | u32::from(self.devfn)
    }

    /// As Xen has it in records.
    pub(crate) const fn record(self) -> PciDevice {
        PciDevice { seg: self.segment, bus: self.bus, devfn: self.devfn }
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.segment, self.bus, self.device(), self.function())
    }
}

impl FromStr for PciAddress {
    type Err = ParsePciAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).ok_or_else(|| ParsePciAddressError { text: text.to_owned() })
    }
}

fn parse(text: &str) -> Option<PciAddress> {
    let number = |digits: &str| u16::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    let byte = |digits: &str| u8::try_from(number(digits)?).ok();
    let (place, function) = text.rsplit_once('.')?;
    let (place, device) = place.rsplit_once(':')?;
    let (segment, bus) = place.split_once(':').unwrap_or(("0", place));
    PciAddress::new(number(segment)?, byte(bus)?, byte(device)?, byte(function)?)
}

/// Where a PCI device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PciNode {
    /// On this NUMA node.
    Node(u32),
    /// On none in particular.
    Any,
    /// Xen knows no such device.
    NoSuchDevice,
}

impl Host<'_> {
    /// The NUMA nodes that PCI devices are on, in the order of `devices`. One hypercall, or more for long lists.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if Xen was built without PCI, as usually on Arm; [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_pcitopoinfo")]
    #[doc(alias = "XEN_SYSCTL_pcitopoinfo")]
    pub fn pci_nodes(&self, devices: &[PciAddress]) -> Result<Vec<PciNode>, Error> {
        let mut nodes = Vec::with_capacity(devices.len());
        while nodes.len() < devices.len() {
            // Xen stops in between when it has something else to do
            let done = self.look_up_some(&devices[nodes.len()..])?;
            if done.is_empty() {
                break;
            }
            nodes.extend(done);
        }
        Ok(nodes)
    }

    fn look_up_some(self, devices: &[PciAddress]) -> Result<Vec<PciNode>, Error> {
        let xencall = self.xen.xencall();
        let records: Vec<PciDevice> = devices.iter().map(|device| device.record()).collect();
        let mut records = xencall.buffer_from(&records)?;
        let mut nodes = xencall.zeroed_buffer::<u32>(devices.len())?;
        let answer = self.xen.sysctl(&PciTopology { devices: records.lend(), nodes: nodes.lend() })?;
        Ok(nodes.iter().take(size(answer.num_devs)).map(|&node| pci_node(node)).collect())
    }
}

fn pci_node(node: u32) -> PciNode {
    match node {
        INVALID_NODE_ID => PciNode::Any,
        INVALID_DEV => PciNode::NoSuchDevice,
        node => PciNode::Node(node),
    }
}
