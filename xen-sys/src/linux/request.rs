//! An ioctl as a value: what is sent, to which driver, under which number.
#![expect(unsafe_code, reason = "facts about the records: see `Request`")]

use super::device::Driver;
use rustix::ioctl::{Direction, Opcode};

/// The operand of an ioctl of a Xen driver.
pub trait Record {
    /// Who takes it.
    type Driver: Driver;
    /// The ioctl's number.
    const OPCODE: Opcode;
    /// The ioctl's name in the kernel's header.
    const NAME: &'static str;

    /// The bytes that the kernel reads and may write.
    fn operand(&mut self) -> &mut [u8];
}

/// A [`Record`] that is safe to send as it is.
///
/// # Safety
///
/// The driver takes this record under this number, and reads and writes nothing but the operand and memory that the
/// record borrows, whatever the fields hold.
pub unsafe trait Request: Record {}

/// `_IOC(_IOC_NONE, group, number, size)`: what nearly all Xen ioctls use, although data flows both ways.
pub(crate) const fn opcode(group: u8, number: u8, size: usize) -> Opcode {
    rustix::ioctl::opcode::from_components(Direction::None, group, number, size)
}

/// `_IOC(_IOC_WRITE, group, number, size)`
pub(crate) const fn opcode_write(group: u8, number: u8, size: usize) -> Opcode {
    rustix::ioctl::opcode::from_components(Direction::Write, group, number, size)
}

/// Implements [`Record`] for a sized record of plain integers, or for one that keeps its bytes in a field, and asserts
/// its number as the C compiler prints it.
macro_rules! record {
    ($record:ty, $driver:ty, $name:literal = $number:literal, $opcode:expr $(, $bytes:ident)? $(,)?) => {
        impl $crate::linux::Record for $record {
            type Driver = $driver;
            const OPCODE: rustix::ioctl::Opcode = $opcode;
            const NAME: &'static str = $name;

            fn operand(&mut self) -> &mut [u8] {
                use zerocopy::IntoBytes as _;
                self$(.$bytes)?.as_mut_bytes()
            }
        }
        const _: () = assert!(<$record as $crate::linux::Record>::OPCODE == $number);
    };
}
pub(crate) use record;
