//! A virtio device as a PCI function. All its registers are in one window:
//!
//! | offset | |
//! |---|---|
//! | 0x000 | what all devices have: `common` |
//! | 0x100 | interrupt status, which reading clears |
//! | 0x200 | what devices of this kind have |
//! | 0x300 | notifications: the number of a queue |
//! | 0x800 | MSI-X: the table |
//! | 0xc00 | MSI-X: what is pending |
//!
//! A second way to these registers, through the configuration space, is for firmware, and is not there.

use virtio_queue::Error;
use xen_ctrl::devicemodel::IoHandler;
use xen_ctrl::host::PciAddress;

use super::common::{self, Common};
use super::msix::Msix;
use super::{Device, Guest};
use crate::device_model::bytes_at;
use crate::device_model::pci::{ConfigSpace, Function, Identity, Registers};
use crate::device_model::state::{Saved, take};

/// The standard's numbers: who made it, and where the numbers of kinds of devices begin.
const VENDOR: u16 = 0x1af4;
const FIRST_DEVICE: u16 = 0x1040;
/// The type of capability that tells where registers are.
const CAPABILITY: u8 = 0x09;

const COMMON: u32 = 0x000;
const INTERRUPT_STATUS: u32 = 0x100;
const DEVICE: u32 = 0x200;
const NOTIFY: u32 = 0x300;
const TABLE: u32 = 0x800;
const PENDING: u32 = 0xc00;

/// Bits of the interrupt status.
const QUEUE: u8 = 1 << 0;
const CONFIGURATION: u8 = 1 << 1;

/// The registers of a device in its window.
#[derive(Debug)]
pub struct VirtioRegisters<D, G> {
    common: Common,
    msix: Msix,
    interrupt_status: u8,
    is_master: bool,
    /// A queue has more requests than were served.
    is_unfinished: bool,
    device: D,
    guest: G,
}

/// Makes a device a function of a guest's, at this address on the bus, with its window here until the guest moves it.
pub fn function<D: Device + 'static, G: Guest + 'static>(
    address: PciAddress,
    window: u32,
    device: D,
    guest: G,
) -> Function {
    let identity = Identity { vendor: VENDOR, device: FIRST_DEVICE + D::KIND, revision: 1, class: D::CLASS };
    let length = u32::try_from(device.registers().len()).unwrap_or(0);
    let config = Msix::describe(ConfigSpace::new(identity).with_window(window), TABLE, PENDING)
        .with_capability(CAPABILITY, &location(1, COMMON, common::LENGTH), &[])
        .with_capability(CAPABILITY, &[&location(2, NOTIFY, 4)[..], &[0; 4]].concat(), &[])
        .with_capability(CAPABILITY, &location(3, INTERRUPT_STATUS, 1), &[])
        .with_capability(CAPABILITY, &location(4, DEVICE, length), &[]);
    Function { address, config, registers: Some(Box::new(VirtioRegisters::new(device, guest))) }
}

/// The body of a capability: where in the first window registers of a type are.
fn location(kind: u8, offset: u32, length: u32) -> [u8; 14] {
    let mut body = [0; 14];
    // The notifications' capability has 4 bytes more: how far apart those of the queues are, which is not at all.
    body[0] = if kind == 2 { 20 } else { 16 };
    body[1] = kind;
    body[6..10].copy_from_slice(&offset.to_le_bytes());
    body[10..].copy_from_slice(&length.to_le_bytes());
    body
}

impl<D: Device, G: Guest> VirtioRegisters<D, G> {
    /// As after a reset.
    pub fn new(device: D, guest: G) -> Self {
        let (common, msix) = (Common::new(device.features(), D::QUEUES), Msix::new());
        Self { common, msix, interrupt_status: 0, is_master: false, is_unfinished: false, device, guest }
    }

    fn notified(&mut self, number: u16) {
        let Some(queue) = self.common.running(number).filter(|_| self.is_master) else { return };
        let vector = queue.vector;
        match queue.serve(&mut self.guest, &mut self.device) {
            Ok(round) => {
                self.is_unfinished |= round.is_unfinished;
                if round.interrupt {
                    self.interrupt(vector, QUEUE);
                }
            }
            Err(error) => self.broken(&error),
        }
    }

    fn broken(&mut self, error: &Error) {
        tracing::warn!(%error, "a queue of the guest's makes no sense");
        let vector = self.common.break_down();
        self.interrupt(vector, CONFIGURATION);
    }

    fn interrupt(&mut self, vector: u16, status: u8) {
        if self.msix.raise(vector) {
            self.msix.send(&self.guest);
        } else {
            self.interrupt_status |= status;
        }
    }
}

/// The block of registers in which an offset is, and the offset in it.
fn block(address: u64) -> Option<(u32, u64)> {
    let offset = u32::try_from(address).ok()?;
    let blocks = [PENDING, TABLE, NOTIFY, DEVICE, INTERRUPT_STATUS, COMMON];
    let start = blocks.into_iter().find(|start| offset >= *start)?;
    Some((start, u64::from(offset - start)))
}

impl<D: Device, G: Guest> IoHandler for VirtioRegisters<D, G> {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        match block(address) {
            Some((COMMON, offset)) => self.common.read(offset, size),
            Some((INTERRUPT_STATUS, 0)) => std::mem::take(&mut self.interrupt_status).into(),
            Some((DEVICE, offset)) => bytes_at(&self.device.registers(), offset, size, 0),
            Some((TABLE, offset)) => self.msix.read(offset, size),
            Some((PENDING, offset)) => bytes_at(&self.msix.pending().to_le_bytes(), offset, size, 0),
            _ => 0,
        }
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        match block(address) {
            Some((COMMON, offset)) => self.common.write(offset, size, value),
            Some((NOTIFY, 0)) => self.notified(u16::try_from(value & 0xffff).unwrap_or(u16::MAX)),
            Some((TABLE, offset)) => {
                self.msix.write(offset, size, value);
                self.msix.send(&self.guest);
            }
            _ => {}
        }
    }
}

impl<D: Device, G: Guest> Registers for VirtioRegisters<D, G> {
    fn handler(&mut self) -> &mut dyn IoHandler {
        self
    }

    fn configure(&mut self, config: &ConfigSpace) {
        self.is_master = config.is_master();
        self.msix.configure(config);
        self.msix.send(&self.guest);
    }

    fn forget_memory(&mut self) {
        self.guest.forget_memory();
    }

    fn go_on(&mut self) -> bool {
        if std::mem::take(&mut self.is_unfinished) {
            (0..D::QUEUES).for_each(|queue| self.notified(queue));
        }
        self.is_unfinished
    }
}

impl<D: Device, G: Guest> Saved for VirtioRegisters<D, G> {
    fn save(&self, to: &mut Vec<u8>) {
        self.common.save(to);
        self.msix.save(to);
        to.push(self.interrupt_status);
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.common.restore(from)?;
        self.msix.restore(from)?;
        [self.interrupt_status] = take(from)?;
        self.is_unfinished = true; // for all we know
        Some(())
    }
}
