//! Looks into a running guest's memory: dumps what lies at an address, or finds the banner of the Linux that runs there.
//!
//! ```text
//! guest_peek 3 0x1000000          256 bytes of domain 3, at guest-physical address 16 MiB
//! guest_peek 3 0x1000000 4096     a whole frame
//! guest_peek 3 --banner           "Linux version …", and where it lies
//! ```
//!
//! HVM, PVH and Arm guests count their memory from 0, and addresses are theirs. A PV guest has frames here and there
//! in the machine: addresses are the machine's, and the search tries every frame of the machine, of which Xen lets us map
//! those of the guest.
#![expect(clippy::print_stdout, reason = "a program's output")]

use anyhow::{Context, Result, bail};
use clap::Parser;
use examples::xenstore::{Tree, Xenstore};
use std::ops::Range;
use xen_foreignmem::{DomId, ForeignMemory, Gfn, MapOptions, PAGE_SIZE, PartialMapping, ReadOnly};

/// Looks into a running guest's memory.
#[derive(Parser)]
struct Arguments {
    /// The guest's domain id
    domain: DomId,
    /// Where to look: a guest-physical address, decimal or 0x…; for a PV guest, one of the machine's
    #[arg(value_parser = number, required_unless_present = "banner")]
    address: Option<u64>,
    /// How many bytes to dump
    #[arg(value_parser = number, default_value = "256")]
    length: u64,
    /// Find the banner of the guest's Linux
    #[arg(long, conflicts_with = "address")]
    banner: bool,
    /// How many frames the search tries at most
    #[arg(long, value_name = "FRAMES", default_value_t = 1 << 24)]
    limit: u64,
}

fn number(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|error| format!("{error}; expected a number such as 4096 or 0x1000"))
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let memory = ForeignMemory::open()?;
    let options = memory.options(arguments.domain).read_only();
    match arguments.address {
        Some(address) => dump(&options, address, arguments.length),
        None => print_banner(&options, arguments.domain, arguments.limit),
    }
}

fn dump(options: &MapOptions<'_, ReadOnly>, address: u64, length: u64) -> Result<()> {
    const LINE: usize = 16;
    let memory = options.cache(256);
    let end = address.checked_add(length).context("the dump would go beyond the last address")?;
    let mut at = address;
    while at < end {
        let mut bytes = [0; LINE];
        let count = usize::try_from(end - at).unwrap_or(LINE).min(LINE);
        let line = &mut bytes[..count];
        memory.copy_to_slice(at, line)?;
        let numbers: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line.iter().map(|&byte| printable(byte)).collect();
        println!("{at:012x}  {:<47}  |{text}|", numbers.join(" "));
        at += count as u64;
    }
    Ok(())
}

fn printable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte.into() } else { '.' }
}

fn print_banner(options: &MapOptions<'_, ReadOnly>, domain: DomId, limit: u64) -> Result<()> {
    // So many frames at a time; each batch begins with the last frame of the one before, so that no border cuts the text.
    const BATCH: u64 = 2048;
    let expected = frames_of(domain).unwrap_or(u64::MAX);
    let (mut first, mut seen) = (0, 0);
    // Old buffers hold copies behind which the end of a longer text is left: what stands there twice is right, or else the
    // shortest.
    let mut found: Vec<(u64, String)> = Vec::new();
    while first < limit && seen < expected {
        let frames: Vec<_> = (first..=first + BATCH).map(Gfn::new).collect();
        let batch = options.map_partial(&frames)?;
        for run in mapped_runs(&batch) {
            for (offset, banner) in banners_in(&batch, run)? {
                let address = first * PAGE_SIZE as u64 + offset as u64;
                if let Some((place, _)) =
                    found.iter().find(|(place, text)| *text == banner && *place != address)
                {
                    println!("{place:#x}: {banner}");
                    return Ok(());
                }
                found.push((address, banner));
            }
        }
        seen += batch.statuses()[1..].iter().map(|status| u64::from(status.is_mapped())).sum::<u64>();
        first += BATCH;
    }
    let Some((address, banner)) = found.iter().min_by_key(|(_, banner)| banner.len()) else {
        bail!("no banner of Linux in the {seen} frames of domain {domain} that were found")
    };
    println!("{address:#x}: {banner}");
    Ok(())
}

/// How many frames the guest should have, as xenstore has it.
fn frames_of(domain: DomId) -> Result<u64> {
    let kibibytes = Xenstore::open()?.read(&format!("/local/domain/{domain}/memory/target"))?;
    Ok(kibibytes.parse::<u64>()? / 4)
}

/// The frames that are mapped, neighbours together, by their numbers in the list.
fn mapped_runs(batch: &PartialMapping<ReadOnly>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in (0..batch.frames().len()).filter(|&index| batch.is_mapped(index)) {
        match runs.last_mut() {
            Some(run) if run.end == index => run.end += 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

/// Finds banners in a run of frames, and where they are in the list.
fn banners_in(batch: &PartialMapping<ReadOnly>, run: Range<usize>) -> Result<Vec<(usize, String)>> {
    const START: &[u8] = b"Linux version ";
    let base = run.start * PAGE_SIZE;
    let mut bytes = vec![0; run.len() * PAGE_SIZE];
    batch.copy_to_slice(base, &mut bytes)?;
    let places = memchr::memmem::find_iter(&bytes, START);
    Ok(places.filter_map(|at| Some((base + at, banner_at(&bytes[at..])?))).collect())
}

/// The banner is one line that ends a string of C, which copies of it in logs do not; and it has the number of the build,
/// which a template of it in the kernel's image has not.
fn banner_at(bytes: &[u8]) -> Option<String> {
    const LONGEST: usize = 512;
    let bytes = &bytes[..bytes.len().min(LONGEST)];
    let end = bytes.windows(2).position(|window| window == b"\n\0")?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let (_, build) = text.split_once(" #")?;
    let is_banner =
        build.starts_with(|first: char| first.is_ascii_digit()) && !text.contains(char::is_control);
    is_banner.then(|| text.to_owned())
}
