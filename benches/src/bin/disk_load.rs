//! `disk_load DISK`: reads and writes a disk, in a guest, for the program `disk`. Linked statically: guests have no libraries.
//!
//! One request at a time, past the guest's cache. In front of each phase and behind it is a second of silence, for dom0 to
//! look at its clocks.
#![expect(clippy::print_stdout, reason = "dom0 reads the console")]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::thread::sleep;
use std::time::{Duration, Instant};

const KIB: usize = 1024;
/// How much of the disk is used.
const SPAN: u64 = 64 << 20;
const SILENCE: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let disk = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let path = format!("/dev/{disk}");
    while !std::fs::exists(&path)? {
        sleep(Duration::from_millis(100));
    }
    let disk = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(path)?;
    phase("idle", 0, 0, || {
        sleep(Duration::from_secs(2));
        Ok(())
    })?;
    for (name, size, count, step) in [
        ("128 KiB sequential", 128 * KIB, 384_u64, 1),
        // any odd number goes through all blocks, in an order that nobody foresees
        ("4 KiB random", 4 * KIB, 1536, 7919),
    ] {
        let mut buffer = Aligned::new(size);
        let blocks = SPAN / size as u64;
        let place = |index: u64| index * step % blocks * size as u64;
        for index in 0..16 {
            disk.write_all_at(buffer.bytes(), place(index))?;
        }
        phase(&format!("{name} write"), count, size, || {
            (0..count).try_for_each(|index| disk.write_all_at(buffer.bytes(), place(index)))
        })?;
        phase(&format!("{name} read"), count, size, || {
            (0..count).try_for_each(|index| disk.read_exact_at(buffer.bytes(), place(index)))
        })?;
    }
    Ok(())
}

/// Announces what is done, does it, and tells how long so many requests of this size took.
fn phase(name: &str, count: u64, size: usize, run: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    println!("@@disk begin {name}");
    sleep(SILENCE);
    let start = Instant::now();
    run()?;
    println!("@@disk end {count} {size} {}", start.elapsed().as_nanos());
    sleep(SILENCE);
    Ok(())
}

/// Memory that the disk can be read to and written from without a copy.
struct Aligned {
    memory: Vec<u8>,
    start: usize,
    size: usize,
}

impl Aligned {
    fn new(size: usize) -> Self {
        const ALIGNMENT: usize = 4096;
        let memory = vec![0x5a; size + ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        Self { memory, start, size }
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.size]
    }
}
