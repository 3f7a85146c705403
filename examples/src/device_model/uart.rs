//! The serial port. Nobody interrupts a PVH guest for it, which has no interrupt controller for ISA devices: Linux looks by itself.

use std::convert::Infallible;
use std::fmt;
use std::io::Write;
use std::ops::RangeInclusive;

use vm_superio::serial::{NoEvents, SerialState};
use vm_superio::{Serial, Trigger};
use xen_ctrl::devicemodel::IoHandler;

use super::state::take;
use super::{gather, places};

/// COM1.
pub const PORTS: RangeInclusive<u16> = 0x3f8..=0x3ff;

/// Bytes for the guest that fit into the UART.
const FIFO: usize = 64;

/// No interrupt.
#[derive(Debug)]
struct Polled;

impl Trigger for Polled {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A 16550. What the guest sends goes to the writer.
pub struct Uart<W: Write> {
    serial: Serial<Polled, NoEvents, W>,
}

impl<W: Write> Uart<W> {
    /// As after a reset.
    pub fn new(out: W) -> Self {
        Self { serial: Serial::new(Polled, out) }
    }

    /// As it was when it was [saved](Self::save); `None` if it was not.
    pub fn restored(out: W, from: &mut &[u8]) -> Option<Self> {
        let [length] = take(from)?;
        let buffer: [u8; FIFO] = take(from)?;
        let registers: [u8; 9] = take(from)?;
        let state = SerialState {
            baud_divisor_low: registers[0],
            baud_divisor_high: registers[1],
            interrupt_enable: registers[2],
            interrupt_identification: registers[3],
            line_control: registers[4],
            line_status: registers[5],
            modem_control: registers[6],
            modem_status: registers[7],
            scratch: registers[8],
            in_buffer: buffer.get(..length.into())?.to_vec(),
        };
        Some(Self { serial: Serial::from_state(&state, Polled, NoEvents, out).ok()? })
    }

    /// Appends the registers, and what the guest has not read yet.
    pub fn save(&self, to: &mut Vec<u8>) {
        let state = self.serial.state();
        let end = to.len() + 1 + FIFO;
        to.push(u8::try_from(state.in_buffer.len()).unwrap_or(u8::MAX));
        to.extend(&state.in_buffer);
        to.resize(end, 0);
        to.extend([
            state.baud_divisor_low,
            state.baud_divisor_high,
            state.interrupt_enable,
            state.interrupt_identification,
            state.line_control,
            state.line_status,
            state.modem_control,
            state.modem_status,
            state.scratch,
        ]);
    }

    /// How many bytes for the guest it has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.serial.fifo_capacity()
    }

    /// Has the guest receive bytes. What there is no [room](Self::room) for is lost, and so is everything while the guest has the
    /// port send to itself.
    pub fn receive(&mut self, bytes: &[u8]) {
        if let Err(error) = self.serial.enqueue_raw_bytes(bytes) {
            tracing::debug!(%error, "the guest missed input");
        }
    }
}

impl<W: Write> fmt::Debug for Uart<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uart").field("state", &self.serial.state()).finish()
    }
}

/// The register that a port is; one of eight.
fn register(port: u64) -> u8 {
    u8::try_from(port.wrapping_sub((*PORTS.start()).into()) % 8).unwrap_or(0)
}

/// Registers are bytes. A wider access is to several of them.
impl<W: Write> IoHandler for Uart<W> {
    fn read(&mut self, address: u64, size: u8) -> u64 {
        gather(address, size, |port| self.serial.read(register(port)))
    }

    fn write(&mut self, address: u64, size: u8, value: u64) {
        for (port, byte) in places(address).zip(&value.to_le_bytes()[..size.into()]) {
            // A reader who is gone is no reason for the guest to stop.
            if let Err(error) = self.serial.write(register(port), *byte) {
                tracing::debug!(%error, "output of the guest is lost");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(uart: &Uart<Vec<u8>>) -> &[u8] {
        uart.serial.writer()
    }

    #[test]
    fn characters_go_both_ways() {
        let mut uart = Uart::new(Vec::new());
        assert_eq!(uart.read(0x3fd, 1), 0x60, "ready to send, nothing received");
        uart.write(0x3f8, 1, 0x41);
        uart.receive(b"hi");
        assert_eq!(uart.read(0x3fd, 1), 0x61);
        assert_eq!((uart.read(0x3f8, 1), uart.read(0x3f8, 1)), (0x68, 0x69));
        assert_eq!(uart.read(0x3fd, 1), 0x60);
        assert_eq!(sent(&uart), b"A");
    }

    #[test]
    fn what_does_not_fit_is_lost() {
        let mut uart = Uart::new(Vec::new());
        assert_eq!(uart.room(), FIFO);
        uart.receive(&[1; 100]);
        assert_eq!(uart.room(), 0);
        uart.receive(&[2]);
        assert!((0..FIFO).all(|_| uart.read(0x3f8, 1) == 1));
        assert_eq!(uart.room(), FIFO);
    }

    #[test]
    fn wide_accesses_are_to_several_registers() {
        let mut uart = Uart::new(Vec::new());
        uart.write(0x3fb, 1, 0x80); // the divisor is there then
        uart.write(0x3f8, 2, 0x0123);
        assert_eq!(uart.read(0x3f8, 2), 0x0123);
        uart.write(0x3fe, 8, u64::MAX); // and on behind the last one, which is the first again
        assert_eq!(uart.read(0x3ff, 1), 0xff);
    }

    #[test]
    fn it_is_restored_as_it_was() {
        let mut uart = Uart::new(Vec::new());
        uart.write(0x3fb, 1, 0x13);
        uart.write(0x3f9, 1, 0x05);
        uart.receive(b"typed");
        let mut saved = Vec::new();
        uart.save(&mut saved);
        let mut from = &saved[..];
        let mut other = Uart::restored(Vec::new(), &mut from).expect("a state");
        assert!(from.is_empty());
        assert_eq!((other.read(0x3fb, 1), other.read(0x3f9, 1)), (0x13, 0x05));
        assert_eq!(b"typed".map(|_| other.read(0x3f8, 1)), b"typed".map(u64::from));
        assert!(Uart::restored(Vec::new(), &mut &saved[1..]).is_none(), "too short");
        saved[0] = 65;
        assert!(Uart::restored(Vec::new(), &mut &saved[..]).is_none(), "more than there is room for");
    }
}
