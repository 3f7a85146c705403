//! Interrupts of the host's, and the numbers that a domain knows them by.

use std::io;

use xen_call::Attempt;
use xen_sys::Pirq;
use xen_sys::xen_public::errno::ENFILE;
use xen_sys::xen_public::operation::Operation;
use xen_sys::xen_public::physdev::{MAP_GSI, MAP_MSI_SEG, MAP_MULTI_MSI, MapPirq, UnmapPirq};

use super::Passthrough;
use crate::Error;
use crate::host::PciAddress;

/// Interrupts with numbers that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pirqs {
    /// The first one.
    pub first: Pirq,
    /// How many.
    pub count: u32,
}

/// On x86: none of this is on Arm, where interrupts have no other numbers than the host's.
impl Passthrough<'_> {
    /// Gives the domain an interrupt line of the host's, under the number `wish` or any that is free; permits it to use the line, too. A
    /// line that it has already keeps its number (Xen 4.14: [`Error::Denied`]).
    ///
    /// Xen does not refuse a `wish` that another interrupt of the domain has: nothing changes then.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`]; [`Error::Denied`] also if the caller may not use it; [`Error::Refused`] with `EINVAL` if there is no such
    /// line or number, `EEXIST` if the domain has the line under another number, `ENOSPC`; [`Error::Unsupported`] on Arm.
    #[doc(alias = "xc_physdev_map_pirq")]
    #[doc(alias = "xc_physdev_map_pirq_gsi")]
    #[doc(alias = "PHYSDEVOP_map_pirq")]
    pub fn map_gsi(&self, gsi: u32, wish: Option<Pirq>) -> Result<Pirq, Error> {
        let pirq = wish.map_or(ANY, |pirq| signed(pirq.get()));
        let line = self.request(MAP_GSI, signed(gsi), PciAddress::default());
        self.map(&MapPirq { pirq, ..line })
    }

    /// Gives the domain the message (MSI) of a device of the host's, under any number that is free. Xen switches the device to messages.
    ///
    /// # Errors
    ///
    /// As [`map_gsi`](Self::map_gsi); [`Error::Refused`] also with `ENODEV` if Xen does not know the device, or it has no messages, `ENXIO`
    /// if its memory is switched off.
    #[doc(alias = "xc_physdev_map_pirq_msi")]
    #[doc(alias = "MAP_PIRQ_TYPE_MSI_SEG")]
    pub fn map_msi(&self, device: PciAddress) -> Result<Pirq, Error> {
        self.map(&self.request(MAP_MSI_SEG, ANY, device))
    }

    /// Gives the domain a message of a device of the host's that has a table of them (MSI-X): the one with this number. `table` is where in
    /// the host's memory the device's range begins that the table is in (its BAR). As [`map_msi`](Self::map_msi).
    ///
    /// # Errors
    ///
    /// As [`map_msi`](Self::map_msi); [`Error::Refused`] also with `ENODATA` if the device is another domain's and Xen does not know its table
    /// yet, which it [learns](crate::host::Host::prepare_msix) before.
    #[doc(alias = "xc_physdev_map_pirq_msi")]
    pub fn map_msix(&self, device: PciAddress, entry: u16, table: u64) -> Result<Pirq, Error> {
        let message = self.request(MAP_MSI_SEG, ANY, device);
        self.map(&MapPirq { entry_nr: entry.into(), table_base: table, ..message })
    }

    /// Gives the domain several messages (MSI) of one device of the host's: `count`, up to 32, and **as many as the next power of two**, under
    /// numbers that follow each other. As [`map_msi`](Self::map_msi).
    ///
    /// # Errors
    ///
    /// As [`map_msi`](Self::map_msi); [`Error::Incomplete`] if the device has not so many: nothing is mapped then, and it can be asked for as
    /// many as it has; [`Error::Refused`] also with `EDOM` for none or more than 32; [`Error::Unsupported`] if the host's IOMMU does not remap interrupts.
    #[doc(alias = "MAP_PIRQ_TYPE_MULTI_MSI")]
    pub fn map_msis(&self, device: PciAddress, count: u32) -> Result<Pirqs, Error> {
        let messages = self.request(MAP_MULTI_MSI, ANY, device);
        let messages = MapPirq { entry_nr: signed(count), ..messages };
        let Attempt { result, record } = self.xen.attempt(Some(self.id), &messages)?;
        match result {
            Ok(_) => Ok(record.into()),
            Err(error) if error.errno() == Some(ENFILE) => Err(Error::Incomplete {
                operation: MapPirq::NAME,
                domain: Some(self.id),
                done: usize::try_from(record.entry_nr).unwrap_or(0),
                asked: usize::try_from(count).unwrap_or(usize::MAX),
                source: Some(io::Error::from_raw_os_error(ENFILE)),
            }),
            Err(error) => Err(error),
        }
    }

    /// Takes an interrupt from the domain that it was given by one of the above. Of several messages, the first one stands for all.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if it has none of this number; [`Error::Unsupported`] on
    /// Arm.
    #[doc(alias = "xc_physdev_unmap_pirq")]
    #[doc(alias = "PHYSDEVOP_unmap_pirq")]
    pub fn unmap_pirq(&self, pirq: Pirq) -> Result<(), Error> {
        let unmap = UnmapPirq { domid: self.id.get(), pad: 0, pirq: signed(pirq.get()) };
        self.xen.call(Some(self.id), &unmap).map(drop)
    }

    /// A request for any number.
    fn request(&self, kind: i32, index: i32, device: PciAddress) -> MapPirq {
        let bus = u32::from(device.segment()) << 16 | u32::from(device.bus());
        MapPirq {
            domid: self.id.get(),
            pad: 0,
            kind,
            index,
            pirq: ANY,
            bus: i32::from_ne_bytes(bus.to_ne_bytes()), // the segment takes the sign bit, too
            devfn: device.devfn().into(),
            entry_nr: 0,
            pad2: 0,
            table_base: 0,
        }
    }

    fn map(&self, map: &MapPirq) -> Result<Pirq, Error> {
        Ok(Pirqs::from(self.xen.call(Some(self.id), map)?.record).first)
    }
}

impl From<MapPirq> for Pirqs {
    fn from(answer: MapPirq) -> Self {
        let number = |number: i32| u32::try_from(number).unwrap_or(0);
        Self { first: Pirq::new(number(answer.pirq)), count: number(answer.entry_nr) }
    }
}

/// Whatever number is free.
const ANY: i32 = -1;

/// Xen has no number above, and refuses the highest.
fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
