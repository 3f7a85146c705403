//! A block of registers, as simple as they come:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0x00 | 4 | `XENR`; cannot be written |
//! | 0x04 | 4 | how many writes there were; cannot be written |
//! | 0x08 | 8 | keeps what is written |
//! | 0x10 | 1 | a character that is written is in the log when its line ends; reads as ones |
//!
//! Everything else reads as ones, and what is written there is lost. The first three are accessed in any width.

use xen_ctrl::devicemodel::IoHandler;

use super::pci::Registers;
use super::state::{Saved, take};
use super::{gather, places};

const MAGIC: [u8; 4] = *b"XENR";
const SCRATCH: u64 = 0x08;
const LOG: u64 = 0x10;
/// Longer lines are cut.
const LONGEST_LINE: usize = 120;

/// The block.
#[derive(Debug, Default)]
pub struct RegisterBlock {
    writes: u32,
    scratch: [u8; 8],
    /// A line that has not ended yet.
    line: Vec<u8>,
}

impl RegisterBlock {
    fn byte(&self, offset: u64) -> Option<u8> {
        let offset = usize::try_from(offset).ok()?;
        let bytes = [&MAGIC[..], &self.writes.to_le_bytes(), &self.scratch];
        bytes.into_iter().flatten().nth(offset).copied()
    }

    fn log(&mut self, character: u8) {
        let is_end = character == b'\n';
        if !is_end {
            self.line.push(character);
        }
        if is_end || self.line.len() == LONGEST_LINE {
            let text = String::from_utf8_lossy(&self.line);
            tracing::info!(target: "guest", "{}", text.escape_debug());
            self.line.clear();
        }
    }
}

impl IoHandler for RegisterBlock {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        gather(address, size, |offset| self.byte(offset).unwrap_or(0xff))
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        self.writes = self.writes.wrapping_add(1);
        let bytes = value.to_le_bytes();
        if address == LOG {
            self.log(bytes[0]);
        }
        for (offset, byte) in places(address).zip(&bytes[..size.into()]) {
            let index = offset.checked_sub(SCRATCH).and_then(|index| usize::try_from(index).ok());
            if let Some(place) = index.and_then(|index| self.scratch.get_mut(index)) {
                *place = *byte;
            }
        }
    }
}

impl Registers for RegisterBlock {
    fn handler(&mut self) -> &mut dyn IoHandler {
        self
    }
}

/// A line that has not ended is forgotten.
impl Saved for RegisterBlock {
    fn save(&self, to: &mut Vec<u8>) {
        to.extend(self.writes.to_le_bytes());
        to.extend(self.scratch);
    }

    fn restore(&mut self, from: &mut &[u8]) -> Option<()> {
        self.writes = u32::from_le_bytes(take(from)?);
        self.scratch = take(from)?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_accessed_in_any_width() {
        let mut block = RegisterBlock::default();
        assert_eq!(block.read(0, 4).to_le_bytes()[..4], *b"XENR");
        block.write(8, 8, 0x1122_3344_5566_7788);
        assert_eq!(block.read(8, 8), 0x1122_3344_5566_7788);
        block.write(10, 2, 0xabcd);
        assert_eq!(block.read(8, 8), 0x1122_3344_abcd_7788);
        block.write(6, 4, 0x0102_0304);
        assert_eq!(block.read(8, 4), 0xabcd_0102, "half of it");
        assert_eq!(block.read(4, 4), 3, "so many writes");
        block.write(0, 8, 0);
        assert_eq!(block.read(0, 4).to_le_bytes()[..4], *b"XENR");
        assert_eq!((block.read(LOG, 1), block.read(0x18, 2) & 0xffff), (0xff, 0xffff));
        assert_eq!(block.read(u64::MAX, 2) & 0xffff, 0x58ff, "addresses wrap");
    }

    #[test]
    fn lines_are_cut() {
        let mut block = RegisterBlock::default();
        for _ in 0..=3 * LONGEST_LINE {
            block.write(LOG, 1, 0x61);
        }
        assert_eq!(block.line, b"a");
        block.write(LOG, 1, u64::from(b'\n'));
        assert!(block.line.is_empty());
    }

    #[test]
    fn it_is_restored_as_it_was() {
        let mut block = RegisterBlock::default();
        block.write(8, 8, 7);
        let mut saved = Vec::new();
        block.save(&mut saved);
        let mut other = RegisterBlock::default();
        assert_eq!(other.restore(&mut &saved[..]), Some(()));
        assert_eq!((other.read(8, 8), other.read(4, 4)), (7, 1));
        assert_eq!(other.restore(&mut &saved[1..]), None);
    }
}
