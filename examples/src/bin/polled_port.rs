//! For a guest whose serial port nobody interrupts for: tells its Linux to look at the port by itself, from time to time. Does what
//! `setserial PORT irq 0` does, which a small guest does not have.
//!
//! ```text
//! polled_port /dev/ttyS0
//! ```
//!
//! The port must not be open anywhere else, as it is if it is `/dev/console`.
#![expect(unsafe_code, reason = "rustix has no function for these requests")]

use std::fs::OpenOptions;
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::fs::OFlags;
use rustix::ioctl::{Getter, Opcode, Setter, ioctl};
use std::os::unix::fs::OpenOptionsExt;

/// `TIOCGSERIAL` and `TIOCSSERIAL`, with the record of the port's settings, `struct serial_struct`.
const GET: Opcode = 0x541e;
const SET: Opcode = 0x541f;
type Settings = [u64; 9];
/// Where the number of the interrupt is: in the upper half of this word, as far as x86 and Arm are concerned.
const INTERRUPT: usize = 1;

/// Has Linux poll a serial port.
#[derive(Debug, Parser)]
struct Arguments {
    /// The port
    port: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { port } = Arguments::parse();
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::NONBLOCK).bits()).context("no flags")?;
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&port);
    let file = file.with_context(|| format!("cannot open {}", port.display()))?;
    poll(&file).with_context(|| format!("cannot set up {}", port.display()))
}

fn poll(file: impl AsFd) -> rustix::io::Result<()> {
    // SAFETY: the kernel writes a record of this size for this request.
    let get = unsafe { Getter::<GET, Settings>::new() };
    // SAFETY: it does nothing else with memory of this program.
    let mut settings = unsafe { ioctl(&file, get) }?;
    settings[INTERRUPT] &= 0xffff_ffff;
    // SAFETY: the kernel reads a record of this size for this request.
    let set = unsafe { Setter::<SET, Settings>::new(settings) };
    // SAFETY: it does nothing else with memory of this program, and follows no address in the record.
    unsafe { ioctl(&file, set) }
}
