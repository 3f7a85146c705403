//! Serves an access: the repetitions one by one, with the data from where they are to where they belong.

use xen_foreignmem::MapCache;

use super::request::low;
use super::{Access, Direction, Operand};

/// What is behind ports or addresses: a device.
pub trait IoHandler {
    /// The guest reads `size` bytes, 1, 2, 4 or 8: the low bytes of the answer.
    fn read(&mut self, address: u64, size: u8) -> u64;

    /// The guest writes the low `size` bytes of a value.
    fn write(&mut self, address: u64, size: u8, value: u64);
}

/// The guest's memory.
pub(super) trait GuestBytes {
    /// Copies from there. False if there is no memory.
    fn load(&self, address: u64, bytes: &mut [u8]) -> bool;

    /// Copies to there. False if there is no memory.
    fn store(&self, address: u64, bytes: &[u8]) -> bool;
}

impl GuestBytes for MapCache {
    fn load(&self, address: u64, bytes: &mut [u8]) -> bool {
        self.copy_to_slice(address, bytes).is_ok()
    }

    fn store(&self, address: u64, bytes: &[u8]) -> bool {
        self.copy_from_slice(address, bytes).is_ok()
    }
}

/// Does what is asked for. The answer is what the request takes back: the value that was read last.
///
/// Where the guest has no memory, it reads ones, and what it writes is lost: as on a machine.
pub(super) fn perform(
    access: &Access,
    device_moves: bool,
    memory: &impl GuestBytes,
    handler: &mut impl IoHandler,
) -> u64 {
    let mut answer = 0;
    let size = access.size;
    for repetition in 0..access.count {
        let address = if device_moves { access.moved(access.address, repetition) } else { access.address };
        match (access.direction, access.operand) {
            (Direction::Read, Operand::Value(_)) => answer = low(handler.read(address, size), size),
            (Direction::Read, Operand::Memory(start)) => {
                let value = handler.read(address, size).to_le_bytes();
                let place = access.moved(start, repetition);
                if !memory.store(place, &value[..size.into()]) {
                    tracing::debug!(address = place, "a guest reads to where it has no memory");
                }
            }
            (Direction::Write, Operand::Value(value)) => handler.write(address, size, value),
            (Direction::Write, Operand::Memory(start)) => {
                let mut value = [0; 8];
                let place = access.moved(start, repetition);
                if !memory.load(place, &mut value[..size.into()]) {
                    tracing::debug!(address = place, "a guest writes from where it has no memory");
                    value = [0xff; 8];
                }
                handler.write(address, size, low(u64::from_le_bytes(value), size));
            }
        }
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use xen_sys::xen_public::hvm::Ioreq;

    use super::super::Io;
    use super::*;

    /// 64 bytes of memory, from address 0x1000 on.
    struct Memory(RefCell<[u8; 64]>);

    impl Memory {
        fn range(address: u64, length: usize) -> Option<std::ops::Range<usize>> {
            let start = usize::try_from(address.checked_sub(0x1000)?).ok()?;
            Some(start..start + length).filter(|range| range.end <= 64)
        }
    }

    impl GuestBytes for Memory {
        fn load(&self, address: u64, bytes: &mut [u8]) -> bool {
            let Some(range) = Self::range(address, bytes.len()) else { return false };
            bytes.copy_from_slice(&self.0.borrow()[range]);
            true
        }

        fn store(&self, address: u64, bytes: &[u8]) -> bool {
            let Some(range) = Self::range(address, bytes.len()) else { return false };
            self.0.borrow_mut()[range].copy_from_slice(bytes);
            true
        }
    }

    /// Read or write, address, size, value.
    type Question = (char, u64, u8, u64);

    /// Writes down what it is asked, and answers 0x1111.. times the number of the question.
    #[derive(Default)]
    struct Device(Vec<Question>);

    impl IoHandler for Device {
        fn read(&mut self, address: u64, size: u8) -> u64 {
            self.0.push(('r', address, size, 0));
            u64::try_from(self.0.len()).expect("few") * 0x1111_1111_1111_1111
        }

        fn write(&mut self, address: u64, size: u8, value: u64) {
            self.0.push(('w', address, size, value));
        }
    }

    /// Serves a request; the answer, what the device saw, and what is in memory.
    fn serve(record: Ioreq) -> (u64, Vec<Question>, [u8; 64]) {
        let memory = Memory(RefCell::new(std::array::from_fn(|index| u8::try_from(index).expect("few"))));
        let mut device = Device::default();
        let io = Io::from_synchronous(&record);
        let (access, moves) = io.access().expect("an access");
        let answer = perform(access, moves, &memory, &mut device);
        (answer, device.0, memory.0.into_inner())
    }

    /// A request of Xen's: type, flags, address, data, repetitions, size.
    fn request(kind: u8, flags: u8, addr: u64, data: u64, count: u32, size: u32) -> Ioreq {
        Ioreq { addr, data, count, size, vp_eport: 0, pad: 0, flags, kind }
    }

    #[test]
    fn a_value_is_read_or_written() {
        let (answer, seen, _) = serve(request(0, 0x21, 0x510, 0xffff, 1, 2));
        assert_eq!((answer, &seen[..]), (0x1111, &[('r', 0x510, 2, 0)][..]));
        let (_, seen, _) = serve(request(1, 0x01, 0x8000, 0xff_1234_5678, 1, 4));
        assert_eq!(seen, [('w', 0x8000, 4, 0x1234_5678)]);
    }

    #[test]
    fn strings_go_between_memory_and_one_port() {
        let (_, seen, _) = serve(request(0, 0x11, 0x510, 0x1010, 3, 2));
        assert_eq!(seen, [('w', 0x510, 2, 0x1110), ('w', 0x510, 2, 0x1312), ('w', 0x510, 2, 0x1514)]);
        let (_, seen, _) = serve(request(0, 0x51, 0x510, 0x1010, 2, 1));
        assert_eq!(seen, [('w', 0x510, 1, 0x10), ('w', 0x510, 1, 0x0f)], "downwards");
        let (_, seen, memory) = serve(request(0, 0x31, 0x510, 0x1004, 2, 4));
        assert_eq!(seen.len(), 2);
        assert_eq!(memory[3..13], [3, 0x11, 0x11, 0x11, 0x11, 0x22, 0x22, 0x22, 0x22, 12]);
    }

    #[test]
    fn in_memory_both_sides_move() {
        let (_, seen, _) = serve(request(1, 0x11, 0x8000, 0x1000, 2, 8));
        assert_eq!(seen, [('w', 0x8000, 8, 0x0706_0504_0302_0100), ('w', 0x8008, 8, 0x0f0e_0d0c_0b0a_0908)]);
        let (_, seen, _) = serve(request(1, 0x41, 0x8000, 7, 2, 4));
        assert_eq!(seen, [('w', 0x8000, 4, 7), ('w', 0x7ffc, 4, 7)], "the same value again and again");
        let (answer, seen, _) = serve(request(1, 0x21, 0x8000, 0, 2, 1));
        assert_eq!((answer, seen.len()), (0x22, 2), "the last one counts");
    }

    #[test]
    fn where_there_is_no_memory_are_ones() {
        let (_, seen, _) = serve(request(0, 0x11, 0x510, 0x103f, 2, 1));
        assert_eq!(seen, [('w', 0x510, 1, 0x3f), ('w', 0x510, 1, 0xff)]);
        let (_, seen, memory) = serve(request(0, 0x31, 0x510, 0x9000, 2, 1));
        assert_eq!((seen.len(), memory[63]), (2, 63));
        let (_, seen, _) = serve(request(1, 0x11, u64::MAX, u64::MAX, 2, 4));
        assert_eq!(seen, [('w', u64::MAX, 4, 0xffff_ffff), ('w', 3, 4, 0xffff_ffff)], "addresses wrap");
    }
}
