//! Numbers of domains. Kernel and Xen cut them to 16 bits; the types must not.

use anyhow::{Result, ensure};
use xen_evtchn::DomId;

use super::{Check, Machine};

pub(super) const CHECKS: &[Check] = &[
    Check { name: "domain numbers end where the special ones begin", run: ends },
    Check { name: "domain numbers are never cut", run: never_cut },
];

/// The last number that an ordinary domain can have. Nobody has seen one.
pub(super) const LAST: u16 = 0x7fef;

/// A domain that, as good as certainly, is not there.
pub(super) fn nobody() -> Result<DomId> {
    Ok(DomId::try_from(LAST)?)
}

fn ends(_: &Machine) -> Result<()> {
    for number in [0, 1, LAST] {
        ensure!(DomId::try_from(number)?.get() == number, "{number:#x} became another number");
        ensure!(DomId::try_from(u32::from(number))?.get() == number, "{number:#x} became another number");
    }
    for number in [LAST + 1, 0x7fff, 0x8000, u16::MAX] {
        ensure!(DomId::new(number).is_none(), "{number:#x} is taken for an ordinary domain");
    }
    for special in [DomId::SELF, DomId::IO, DomId::XEN, DomId::COW, DomId::IDLE] {
        ensure!(!special.is_ordinary(), "{special} is taken for an ordinary domain");
    }
    Ok(())
}

fn never_cut(_: &Machine) -> Result<()> {
    for number in [0xffff, 0x1_0000, 0x1_0001, 0x8000_0000, 0xffff_0000, u32::MAX] {
        ensure!(DomId::try_from(number).is_err(), "{number:#x} became a domain");
        ensure!(number.to_string().parse::<DomId>().is_err(), "the text {number} became a domain");
    }
    Ok(())
}
