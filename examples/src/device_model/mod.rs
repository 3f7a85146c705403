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

/// What an access of `size` bytes reads, of which `byte` tells each.
fn gather(address: u64, size: u8, mut byte: impl FnMut(u64) -> u8) -> u64 {
    let mut value = [0; 8];
    for (place, target) in places(address).zip(&mut value[..size.into()]) {
        *target = byte(place);
    }
    u64::from_le_bytes(value)
}

/// What an access reads of bytes from a place on; behind their end, all are `beyond`.
fn bytes_at(bytes: &[u8], offset: u64, size: u8, beyond: u8) -> u64 {
    gather(offset, size, |place| {
        let byte = usize::try_from(place).ok().and_then(|place| bytes.get(place));
        byte.copied().unwrap_or(beyond)
    })
}

/// The addresses of the bytes of an access, which wrap.
fn places(address: u64) -> impl Iterator<Item = u64> {
    (0..).map(move |index: u64| address.wrapping_add(index))
}
