//! A virtio device behind PCI, as version 1 of the standard has it, for the driver that any Linux has.
//!
//! 1. [`pci`]: the function, with its registers and capabilities.
//! 2. [`common`]: the registers that all kinds of devices have.
//! 3. [`msix`]: interrupts, which are messages.
//! 4. [`queue`]: the rings in the guest's memory, by rust-vmm's `virtio-queue`.
//! 5. [`guest`]: that memory, mapped as needed, for rust-vmm code.
//! 6. [`block`]: a disk.
//!
//! What the guest writes, into registers or into its memory, is never trusted: whatever makes no sense fails a request, or the
//! queue, and nothing more.

pub mod block;
pub mod common;
pub mod guest;
pub mod msix;
pub mod pci;
pub mod queue;

use std::fmt;

use virtio_queue::DescriptorChain;
use vm_memory::GuestMemory;

/// The guest, as far as a device has to do with it.
pub trait Guest: fmt::Debug {
    /// Its memory.
    type Memory: GuestMemory<Bitmap = ()>;

    /// Its memory.
    fn memory(&self) -> &Self::Memory;

    /// Nothing of its memory is in use at the moment: what is too much of it may be unmapped.
    fn rest(&mut self) {}

    /// It has other memory now.
    fn forget_memory(&mut self) {}

    /// Sends it a message-signalled interrupt.
    fn interrupt(&self, address: u64, data: u32);
}

/// A kind of device.
pub trait Device: fmt::Debug {
    /// The standard's number for it.
    const KIND: u16;
    /// Of a PCI function: programming interface, subclass, class.
    const CLASS: [u8; 3];
    /// How many queues it has.
    const QUEUES: u16;

    /// What it can do: bits of its kind.
    fn features(&self) -> u64;

    /// The registers of its kind, which cannot be written.
    fn registers(&self) -> Vec<u8>;

    /// Does what the guest asks for, and answers how many bytes of the chain were written.
    fn serve<M: GuestMemory<Bitmap = ()>>(&mut self, memory: &M, chain: DescriptorChain<&M>) -> u32;
}
