//! The block backend: a stock Linux guest works on disks that `blkback` serves.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use examples::backend_process::BackendProcess;

use crate::guest::Guest;
use crate::image::{Image, run};
use crate::report::{part, step};

/// The disks, and how the data of each moves.
const DISKS: [(&str, &str); 3] = [("xvda", "copy"), ("xvdb", "keep"), ("xvdc", "map")];
/// For what the guest does. Under emulation, everything takes its time.
const PATIENCE: Duration = Duration::from_secs(240);

/// Shows the block backend at work: first with a Linux guest, then under attack.
pub(crate) fn demo(with_attacks: bool) -> Result<()> {
    part("A block backend in Rust serves a stock Linux guest");
    let images = images()?;
    let mut guest = step("start a Linux PV guest with 2 vcpus", || {
        let guest = Guest::start(&DISKS.map(|(name, _)| name))?;
        let domain = format!("domain {}", guest.domain);
        Ok((guest, domain))
    })?;
    let mut backends = Vec::new();
    for ((name, transfer), image) in DISKS.iter().zip(&images) {
        backends.push(step(&format!("attach {name} by blkback, data by {transfer}"), || {
            Ok((start_backend(&guest, name, transfer, image)?, String::new()))
        })?);
    }
    let mut rates = Vec::new();
    for ((name, _), backend) in DISKS.iter().zip(&backends) {
        let outcome = watch_guest(&mut guest, name);
        rates.push(outcome.with_context(|| format!("blkback says:\n{}", backend.log()))?);
    }
    step("guest powers off", || Ok((guest.wait_end()?, String::new())))?;
    let mut statistics = Vec::new();
    for ((name, _), backend) in DISKS.iter().zip(backends) {
        statistics.push(step(&format!("blkback detaches {name} and ends"), || end_backend(backend))?);
    }
    for ((name, _), image) in DISKS.iter().zip(&images) {
        step(&format!("dom0 checks {name} with e2fsck and reads the guest's file"), || {
            Ok(((), format!("SHA-256 {:.12}…", image.verify()?)))
        })?;
    }
    if with_attacks {
        part("A hostile frontend attacks the backend");
        for (_, transfer) in DISKS {
            let status = Command::new("hostile_frontend").args(["--transfer", transfer]).status();
            let status = status.context("cannot start hostile_frontend")?;
            ensure!(status.success(), "the backend did not withstand the hostile frontend ({status})");
        }
    }
    part("Throughput of direct I/O in the guest, under QEMU's software emulation");
    for (((name, transfer), rates), statistics) in DISKS.iter().zip(rates).zip(statistics) {
        println!("  {name} ({transfer}): {rates}");
        for line in statistics.lines() {
            println!("      {line}");
        }
    }
    Ok(())
}

/// An image for each disk, with a file in it.
fn images() -> Result<Vec<Image>> {
    run(Command::new("mp").args(["loop", "ext4"])).context("cannot load the modules loop and ext4")?;
    let mut images = Vec::new();
    for (seed, (name, _)) in (1..).zip(DISKS) {
        images.push(step(&format!("make an ext4 image for {name}, with a file of 32 MiB"), || {
            let image = Image::create(std::env::temp_dir().join(format!("demo-{name}.img")))?;
            let sum = image.fill(seed)?;
            Ok((image, format!("SHA-256 {sum:.12}…")))
        })?);
    }
    Ok(images)
}

fn start_backend(guest: &Guest, name: &str, transfer: &str, image: &Image) -> Result<BackendProcess> {
    let path = image.path().to_str().context("the path of the image is no text")?;
    let log = image.path().with_extension("log");
    let arguments = ["--domain", &guest.domain, "--device", name, "--image", path, "--transfer", transfer];
    BackendProcess::start(&arguments, &log)
}

/// Shows what the guest does with a disk, and returns its throughput.
fn watch_guest(guest: &mut Guest, disk: &str) -> Result<String> {
    let steps = [
        ("device", "guest finds the disk"),
        ("mounted", "guest mounts the file system"),
        ("verified", "guest checks the SHA-256 of dom0's file"),
        ("written", "guest writes a file of 32 MiB"),
        ("trimmed", "guest discards free space (fstrim)"),
        ("unmounted", "guest unmounts the file system"),
    ];
    for (what, name) in steps {
        step(&format!("{disk}: {name}"), || Ok(((), guest.hear(disk, what, PATIENCE)?)))?;
    }
    step(&format!("{disk}: guest measures direct reads and writes"), || {
        let rates = rates(&guest.hear(disk, "rates", PATIENCE)?)?;
        Ok((rates.clone(), rates))
    })
}

/// Reads and writes: for each how many MiB, and the seconds at which they began and ended.
fn rates(line: &str) -> Result<String> {
    let figures: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [read, reading, read_end, written, writing, write_end] = figures[..] else {
        bail!("the guest's figures make no sense: {line}");
    };
    let rate = |mebibytes: f64, start: f64, end: f64| mebibytes / (end - start).max(0.01);
    let (read, write) = (rate(read, reading, read_end), rate(written, writing, write_end));
    Ok(format!("read {read:.0} MiB/s, write {write:.0} MiB/s"))
}

/// The backend ends by itself when the guest is gone. Returns its statistics.
fn end_backend(mut backend: BackendProcess) -> Result<(String, String)> {
    let status = backend.wait(Instant::now() + PATIENCE)?;
    ensure!(status.success(), "blkback ended with {status}:\n{}", backend.log());
    let log = backend.log();
    let statistics = log.split_once("detached\n").map_or("", |(_, statistics)| statistics);
    Ok((statistics.to_owned(), String::new()))
}
