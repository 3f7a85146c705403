//! MSI-X: a table in which the guest writes what message each interrupt is.

use xen_ctrl::devicemodel::IoHandler;

use super::Guest;
use crate::device_model::pci::ConfigSpace;
use crate::device_model::state::{Saved, take};
use crate::device_model::{gather, places};

/// The type of the capability.
pub const CAPABILITY: u8 = 0x11;
/// How many vectors there are: for changes of the configuration, and for a queue.
pub const VECTORS: u16 = 2;
/// No vector.
pub const NO_VECTOR: u16 = 0xffff;

/// Bytes of a vector in the table.
const ENTRY: usize = 16;
/// Bits of the capability's control register, in its second byte.
const ENABLED: u8 = 1 << 7;
const FUNCTION_MASKED: u8 = 1 << 6;
/// A bit of a vector's control register.
const MASKED: u8 = 1;

/// A vector: the bytes of the table, and whether it waits to be sent.
#[derive(Clone, Copy, Debug)]
struct Vector {
    entry: [u8; ENTRY],
    pending: bool,
}

impl Vector {
    /// As after a reset: masked.
    const RESET: Self = Self { entry: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, MASKED, 0, 0, 0], pending: false };

    fn is_masked(&self) -> bool {
        self.entry[12] & MASKED != 0
    }

    /// Address and data, if they are an interrupt that a local APIC takes: fixed, or for the processor that has the lowest priority.
    fn message(&self) -> Option<(u64, u32)> {
        let address = u64::from_le_bytes(*self.entry.first_chunk()?);
        let data = u32::from_le_bytes(*self.entry[8..].first_chunk()?);
        let is_for_apic = address >> 20 & 0xfff == 0xfee;
        (is_for_apic && data & 0xff >= 16 && data >> 8 & 7 <= 1).then_some((address, data))
    }
}

/// The table, and what the guest has made of the capability.
#[derive(Debug)]
pub struct Msix {
    vectors: [Vector; VECTORS as usize],
    enabled: bool,
    masked: bool,
}

impl Msix {
    /// As after a reset: off.
    #[must_use]
    pub fn new() -> Self {
        Self { vectors: [Vector::RESET; VECTORS as usize], enabled: false, masked: false }
    }

    /// Puts the capability into a configuration space. The table, and the bits that tell what is pending, are in its window.
    #[must_use]
    pub fn describe(config: ConfigSpace, table: u32, pending: u32) -> ConfigSpace {
        let mut body = [0; 10];
        body[..2].copy_from_slice(&(VECTORS - 1).to_le_bytes());
        body[2..6].copy_from_slice(&table.to_le_bytes());
        body[6..].copy_from_slice(&pending.to_le_bytes());
        config.with_capability(CAPABILITY, &body, &[0, ENABLED | FUNCTION_MASKED])
    }

    /// Takes over what the guest has set in the configuration space.
    pub fn configure(&mut self, config: &ConfigSpace) {
        let control = config.capability(CAPABILITY).map_or(0, |body| body[1]);
        self.enabled = control & ENABLED != 0 && config.is_master();
        self.masked = control & FUNCTION_MASKED != 0;
    }

    /// Has a vector wait to be [sent](Self::send). False if the guest does not want interrupts in this way.
    pub fn raise(&mut self, vector: u16) -> bool {
        let vector = self.vectors.get_mut(usize::from(vector)).filter(|_| self.enabled);
        vector.map(|vector| vector.pending = true).is_some()
    }

    /// Sends what waits and is not masked. What makes no sense to send is forgotten.
    pub fn send(&mut self, guest: &impl Guest) {
        if !self.enabled || self.masked {
            return;
        }
        for vector in self.vectors.iter_mut().filter(|vector| vector.pending && !vector.is_masked()) {
            vector.pending = false;
            if let Some((address, data)) = vector.message() {
                guest.interrupt(address, data);
            }
        }
    }

    /// The bits of the vectors that wait.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.vectors.iter().rev().fold(0, |bits, vector| bits << 1 | u64::from(vector.pending))
    }

    fn byte(&mut self, offset: u64) -> Option<&mut u8> {
        let offset = usize::try_from(offset).ok()?;
        self.vectors.get_mut(offset / ENTRY)?.entry.get_mut(offset % ENTRY)
    }
}

impl Default for Msix {
    fn default() -> Self {
        Self::new()
    }
}

/// Addresses are offsets in the table.
impl IoHandler for Msix {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        gather(address, size, |offset| self.byte(offset).map_or(0xff, |byte| *byte))
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        for (offset, new) in places(address).zip(&value.to_le_bytes()[..size.into()]) {
            if let Some(byte) = self.byte(offset) {
                *byte = *new;
            }
        }
    }
}

/// What the configuration space has is saved with it.
impl Saved for Msix {
    fn save(&self, to: &mut Vec<u8>) {
        for vector in &self.vectors {
            to.extend(vector.entry);
            to.push(vector.pending.into());
        }
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        for vector in &mut self.vectors {
            vector.entry = take(from)?;
            vector.pending = take(from)? != [0];
        }
        Some(())
    }
}
