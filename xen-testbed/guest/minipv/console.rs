//! The console ring, which dom0 serves.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::events::{Port, notify};
use crate::hypercall::{crash, power_off};

pub(crate) struct Console {
    ring: &'static ConsoleRing,
    pub(crate) port: Port,
}

impl Console {
    pub(crate) fn new((ring, port): (&'static ConsoleRing, Port)) -> Self {
        Self { ring, port }
    }

    fn put(&self, byte: u8) {
        let Self { ring, port } = self;
        let produced = ring.output_produced.load(Ordering::Relaxed);
        let waiting = || produced.wrapping_sub(ring.output_consumed.load(Ordering::Acquire));
        while waiting() as usize >= ring.output.len() {
            notify(*port); // until dom0 has made room
        }
        ring.output[produced as usize % ring.output.len()].store(byte, Ordering::Relaxed);
        ring.output_produced.store(produced.wrapping_add(1), Ordering::Release);
    }

    fn get(&self) -> Option<u8> {
        let ring = self.ring;
        let consumed = ring.input_consumed.load(Ordering::Relaxed);
        if consumed == ring.input_produced.load(Ordering::Acquire) {
            return None;
        }
        let byte = ring.input[consumed as usize % ring.input.len()].load(Ordering::Relaxed);
        ring.input_consumed.store(consumed.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    pub(crate) fn answer_input(&mut self) {
        while let Some(byte) = self.get() {
            match byte {
                b'q' => power_off(),
                b'c' => crash(),
                other => self.put(other.to_ascii_uppercase()),
            }
        }
        notify(self.port);
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.put(byte));
        notify(self.port);
        Ok(())
    }
}

/// `struct xencons_interface`.
#[repr(C)]
pub(crate) struct ConsoleRing {
    input: [AtomicU8; 1024],
    output: [AtomicU8; 2048],
    input_consumed: AtomicU32,
    input_produced: AtomicU32,
    output_consumed: AtomicU32,
    output_produced: AtomicU32,
}

#[cfg(target_arch = "x86_64")] // elsewhere the ring has a page of its own from the start
impl ConsoleRing {
    pub(crate) const fn new() -> Self {
        Self {
            input: [const { AtomicU8::new(0) }; 1024],
            output: [const { AtomicU8::new(0) }; 2048],
            input_consumed: AtomicU32::new(0),
            input_produced: AtomicU32::new(0),
            output_consumed: AtomicU32::new(0),
            output_produced: AtomicU32::new(0),
        }
    }
}
