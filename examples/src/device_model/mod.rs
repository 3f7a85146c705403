//! A device model for a stock Linux PVH guest, which has no devices of its own: a serial port, and PCI functions.
//!
//! Read it in this order:
//!
//! 1. [`devices`]: what the guest has, and which device a request is for. The loop around it is in `bin/device_model.rs`.
//! 2. [`uart`]: a 16550, out of rust-vmm's `vm-superio`.
//! 3. [`pci`]: configuration spaces, and where in the guest's memory a function's registers are.
//! 4. [`registers`]: a function's registers.
//! 5. [`virtio`]: a disk for a driver that any Linux has.
//! 6. [`state`]: what outlives the process, so that another one can take over.
//!
//! [`process`] runs the program as a child, for the demo and the tests.

pub mod devices;
pub mod pci;
pub mod process;
pub mod registers;
pub mod state;
pub mod uart;
pub mod virtio;

/// The addresses of the bytes of an access, which wrap.
fn places(address: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |index: u64| address.wrapping_add(index))
}
