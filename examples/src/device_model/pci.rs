//! PCI functions: a configuration space, and registers in the guest's memory wherever the guest wants them.

use std::fmt;
use std::ops::RangeInclusive;

use xen_ctrl::devicemodel::IoHandler;
use xen_ctrl::host::PciAddress;

use super::state::{Saved, take};
use super::{bytes_at, gather, places};

/// The port by which a guest chooses the register of a function that it is going to access at [`CONFIG_DATA`](CONFIG_ADDRESS).
/// Xen follows it and sorts the accesses by function. What Linux writes there it also wants to read, or it finds no PCI.
pub const CONFIG_ADDRESS: RangeInclusive<u16> = 0xcf8..=0xcfb;

/// The bytes of a function's registers in memory.
pub const WINDOW: u32 = 0x1000;

/// Bytes of a configuration space.
const SPACE: usize = 256;
const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const REVISION: usize = 0x08;
const CLASS: usize = 0x09;
const BAR: usize = 0x10;
const CAPABILITIES: usize = 0x34;
/// Where the first capability is.
const FIRST_CAPABILITY: u8 = 0x40;
/// A bit of the status: there are capabilities.
const HAS_CAPABILITIES: u8 = 1 << 4;
/// A bit of the command: the function answers to addresses in its window.
const MEMORY_ENABLED: u8 = 1 << 1;
/// Another one: it may write to memory, and so interrupt.
const MASTER: u8 = 1 << 2;

/// What a function is.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// Who made it.
    pub vendor: u16,
    /// Which of the maker's devices it is.
    pub device: u16,
    /// Which edition of it.
    pub revision: u8,
    /// Programming interface, subclass, class.
    pub class: [u8; 3],
}

/// A function's configuration space.
#[derive(Debug)]
pub struct ConfigSpace {
    bytes: [u8; SPACE],
    /// The bits that a guest can change.
    writable: [u8; SPACE],
    /// Where the next capability goes.
    free: u8,
}

impl ConfigSpace {
    /// A function without registers in memory.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        let mut space = Self { bytes: [0; SPACE], writable: [0; SPACE], free: FIRST_CAPABILITY };
        space.bytes[..2].copy_from_slice(&identity.vendor.to_le_bytes());
        space.bytes[2..4].copy_from_slice(&identity.device.to_le_bytes());
        space.bytes[REVISION] = identity.revision;
        space.bytes[CLASS..CLASS + 3].copy_from_slice(&identity.class);
        space.writable[COMMAND] = MEMORY_ENABLED | MASTER;
        space
    }

    /// With registers in memory: a window of [`WINDOW`] bytes, at `base` until the guest moves it.
    #[must_use]
    pub fn with_window(mut self, base: u32) -> Self {
        self.bytes[BAR..BAR + 4].copy_from_slice(&base.to_le_bytes());
        // Writing ones shows a guest how large the window is.
        self.writable[BAR..BAR + 4].copy_from_slice(&[0, 0xf0, 0xff, 0xff]);
        self
    }

    /// With one more capability, of this type: what follows the pointer to the next one. `writable` has the bits of it that a guest
    /// can change; where it is too short, there are none.
    ///
    /// # Panics
    /// If there is no room for it.
    #[must_use]
    pub fn with_capability(mut self, kind: u8, body: &[u8], writable: &[u8]) -> Self {
        let start = usize::from(self.free);
        self.bytes[start] = kind;
        self.bytes[start + 1] = std::mem::replace(&mut self.bytes[CAPABILITIES], self.free);
        self.bytes[start + 2..][..body.len()].copy_from_slice(body);
        self.writable[start + 2..][..writable.len()].copy_from_slice(writable);
        self.bytes[STATUS] |= HAS_CAPABILITIES;
        let end = (start + 2 + body.len()).next_multiple_of(4);
        self.free = u8::try_from(end).expect("few capabilities");
        self
    }

    /// The body of the first capability of a type.
    #[must_use]
    pub fn capability(&self, kind: u8) -> Option<&[u8]> {
        let mut at = usize::from(self.bytes[CAPABILITIES]);
        while at != 0 && self.bytes.get(at) != Some(&kind) {
            at = usize::from(*self.bytes.get(at + 1)?);
        }
        self.bytes.get(at + 2..).filter(|_| at != 0)
    }

    /// Whether the function may write to memory, and so interrupt.
    #[must_use]
    pub fn is_master(&self) -> bool {
        self.bytes[COMMAND] & MASTER != 0
    }

    /// Where the registers are in memory at the moment, if they are.
    #[must_use]
    pub fn window(&self) -> Option<RangeInclusive<u64>> {
        let bar = self.bytes[BAR..].first_chunk().copied().unwrap_or_default();
        let base = u64::from(u32::from_le_bytes(bar));
        let is_there = base != 0 && self.bytes[COMMAND] & MEMORY_ENABLED != 0;
        is_there.then(|| base..=base + u64::from(WINDOW - 1))
    }
}

/// Addresses are offsets in the configuration space; beyond its end there are zeros.
impl IoHandler for ConfigSpace {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        bytes_at(&self.bytes, address, size, 0)
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        for (offset, byte) in places(address).zip(&value.to_le_bytes()[..size.into()]) {
            let Some(index) = usize::try_from(offset).ok().filter(|index| *index < SPACE) else { return };
            let writable = self.writable[index];
            self.bytes[index] = self.bytes[index] & !writable | byte & writable;
        }
    }
}

impl Saved for ConfigSpace {
    fn save(&self, to: &mut Vec<u8>) {
        to.extend(self.bytes);
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.bytes = take(from)?;
        Some(())
    }
}

/// The registers of a function in memory. Addresses are offsets in its window.
pub trait Registers: IoHandler + Saved + fmt::Debug {
    /// What the guest reads and writes. (Rust 1.85 cannot make the one `dyn` of the other.)
    fn handler(&mut self) -> &mut dyn IoHandler;

    /// The configuration space is like this now.
    fn configure(&mut self, _config: &ConfigSpace) {}

    /// The guest has other memory now: what is mapped of it is out of date.
    fn forget_memory(&mut self) {}

    /// Does a part of what the guest does not wait for; the answer is whether there is more to do.
    fn go_on(&mut self) -> bool {
        false
    }
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Where on the bus.
    pub address: PciAddress,
    /// What the guest finds there.
    pub config: ConfigSpace,
    /// What is behind the window, if there is one.
    pub registers: Option<Box<dyn Registers>>,
}

impl Function {
    /// Tells the registers what the guest has made of the configuration space.
    pub fn configure(&mut self) {
        if let Some(registers) = &mut self.registers {
            registers.configure(&self.config);
        }
    }
}

impl Saved for Function {
    fn save(&self, to: &mut Vec<u8>) {
        self.config.save(to);
        if let Some(registers) = &self.registers {
            registers.save(to);
        }
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.config.restore(from)?;
        self.registers.as_mut().map_or(Some(()), |registers| registers.restore(from))?;
        self.configure();
        Some(())
    }
}

/// The port [`CONFIG_ADDRESS`], which remembers.
#[derive(Debug, Default)]
pub struct ConfigAddress([u8; 4]);

impl IoHandler for ConfigAddress {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        gather(address, size, |port| lane(port).map_or(0xff, |lane| self.0[lane]))
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        // Narrower writes are to other registers of a chipset, of which there are none.
        if size == 4 && lane(address) == Some(0) {
            let [a, b, c, d, ..] = value.to_le_bytes();
            self.0 = [a, b, c, d];
        }
    }
}

fn lane(port: u64) -> Option<usize> {
    let port = u16::try_from(port).ok().filter(|port| CONFIG_ADDRESS.contains(port))?;
    Some(usize::from(port - CONFIG_ADDRESS.start()))
}

impl Saved for ConfigAddress {
    fn save(&self, to: &mut Vec<u8>) {
        to.extend(self.0);
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.0 = take(from)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { vendor: 0x5853, device: 0x1234, revision: 4, class: [1, 2, 3] };

    #[test]
    fn a_guest_finds_out_what_a_function_is() {
        let mut space = ConfigSpace::new(IDENTITY);
        assert_eq!(space.read(0, 4), 0x1234_5853);
        assert_eq!(space.read(8, 4), 0x0302_0104);
        assert_eq!(space.read(0xfe, 4), 0, "beyond the end are zeros");
        assert_eq!(space.read(u64::MAX, 1), 0);
        space.write(0, 4, 0xffff_ffff);
        space.write(0xfe, 8, u64::MAX);
        assert_eq!(space.read(0, 4), 0x1234_5853, "not for the guest to change");
        assert_eq!(space.window(), None);
    }

    #[test]
    fn a_window_has_a_size_and_goes_where_the_guest_wants() {
        let mut space = ConfigSpace::new(IDENTITY).with_window(0xe000_0000);
        assert_eq!(space.window(), None, "off");
        space.write(0x04, 2, 0xffff);
        assert_eq!(space.read(0x04, 2), 6);
        assert_eq!(space.window(), Some(0xe000_0000..=0xe000_0fff));
        space.write(0x10, 4, 0xffff_ffff);
        assert_eq!(space.read(0x10, 4), 0xffff_f000, "the size");
        assert_eq!(space.window(), Some(0xffff_f000..=0xffff_ffff));
        space.write(0x12, 1, 0x12);
        assert_eq!(space.read(0x10, 4), 0xff12_f000, "a byte of it");
        space.write(0x10, 4, 0);
        assert_eq!(space.window(), None, "nowhere");
    }

    #[test]
    fn capabilities_are_a_list() {
        let mut space = ConfigSpace::new(IDENTITY);
        assert_eq!((space.read(6, 2), space.capability(9)), (0, None));
        space = space.with_capability(9, &[1, 2, 3], &[]).with_capability(0x11, &[0xff; 2], &[0, 0x0f]);
        assert_eq!((space.read(6, 2), space.read(0x34, 1)), (0x10, 0x48));
        assert_eq!((space.read(0x48, 4), space.read(0x40, 4)), (0xffff_4011, 0x0201_0009));
        space.write(0x48, 4, 0);
        assert_eq!(space.read(0x48, 4), 0xf0ff_4011, "what may be written");
        assert_eq!(space.capability(9).map(|body| body[..3].to_vec()), Some(vec![1, 2, 3]));
        assert_eq!(space.capability(5), None);
    }

    #[test]
    fn a_function_is_restored_as_it_was() {
        let mut space = ConfigSpace::new(IDENTITY).with_window(0xe000_0000);
        space.write(0x04, 2, 2);
        space.write(0x10, 4, 0xd000_0000);
        let mut saved = Vec::new();
        space.save(&mut saved);
        let mut other = ConfigSpace::new(IDENTITY).with_window(0xe000_0000);
        assert_eq!(other.restore(&mut &saved[1..]), None, "too short");
        let mut from = &saved[..];
        assert_eq!(other.restore(&mut from), Some(()));
        assert!(from.is_empty());
        assert_eq!(other.window(), Some(0xd000_0000..=0xd000_0fff));
    }

    #[test]
    fn the_address_port_remembers_words() {
        let mut port = ConfigAddress::default();
        port.write(0xcf8, 4, 0x8000_0804);
        port.write(0xcfb, 1, 1);
        port.write(0xcfb, 4, 1);
        assert_eq!(port.read(0xcf8, 4), 0x8000_0804);
        assert_eq!(port.read(0xcfb, 2), 0xff80);
        assert_eq!(port.read(u64::MAX, 1), 0xff);
    }
}
