//! The block backend on real Xen, with a frontend in the same domain. Needs the example programs in the PATH.
#![expect(clippy::print_stdout, reason = "what the programs print belongs to the test's output")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use examples::backend_process::BackendProcess;
use examples::blkback::VirtualDevice;
use examples::blkfront::{FrontQueue, Frontend, Shape};
use examples::blkif::layout::{DiscardRecord, RequestRecord, operation};
use examples::blkif::{PAGE_SIZE, Status};

/// Pages of the test disk: 2 MiB and a bit.
const DISK_PAGES: usize = 520;
const SECTORS_PER_PAGE: u64 = 8;
const PATIENCE: Duration = Duration::from_secs(90);

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// Bytes that tell page and round apart.
fn pattern(page: usize, round: usize) -> Vec<u8> {
    let words = (0..PAGE_SIZE / 8).map(|word| ((page << 32 | round << 16 | word) as u64).to_le_bytes());
    words.collect::<Vec<_>>().concat()
}

fn patterns(first: usize, count: usize, round: usize) -> Vec<u8> {
    (first..first + count).map(|page| pattern(page, round)).collect::<Vec<_>>().concat()
}

fn sector(page: usize) -> u64 {
    page as u64 * SECTORS_PER_PAGE
}

/// A backend with a disk of its own.
struct Bench {
    image: PathBuf,
    backend: BackendProcess,
    device: VirtualDevice,
}

impl Bench {
    fn start(name: &str, arguments: &[&str]) -> Result<Self> {
        let image = std::env::temp_dir().join(format!("hw-blkback-{name}.img"));
        fs::write(&image, patterns(0, DISK_PAGES, 0))?;
        let path = image.to_str().context("the path of the image is no text")?;
        let arguments = [&["--domain", "0", "--device", "xvdt", "--image", path][..], arguments].concat();
        let backend = BackendProcess::start(&arguments, &image.with_extension("log"))?;
        Ok(Self { image, backend, device: "xvdt".parse()? })
    }

    fn connect(&self, shape: Shape) -> Result<Frontend> {
        Frontend::connect(self.device, shape, deadline()).with_context(|| self.backend.log())
    }

    /// Closes in order and returns the image.
    fn finish(mut self, frontend: Frontend) -> Result<Vec<u8>> {
        frontend.close(deadline())?;
        let status = self.backend.wait(deadline())?;
        ensure!(status.success(), "blkback ended with {status}:\n{}", self.backend.log());
        println!("{}", self.backend.log());
        Ok(fs::read(&self.image)?)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.image);
    }
}

/// Sends one transfer of whole pages and expects success.
fn transfer(queue: &mut FrontQueue, operation: u8, page: usize, data: usize, count: usize) -> Result<()> {
    let segments = queue.segments(data, count)?;
    let record = queue.transfer(operation, sector(page), &segments)?;
    expect(queue, &record, Status::OKAY)
}

fn expect(queue: &mut FrontQueue, record: &RequestRecord, status: Status) -> Result<()> {
    let response = queue.call(record, deadline())?;
    ensure!(
        response.status == status,
        "operation {} was answered with {:?}",
        record.operation,
        response.status
    );
    Ok(())
}

fn reads_and_writes(transfer_by: &str) -> Result<()> {
    let bench = Bench::start(transfer_by, &["--transfer", transfer_by])?;
    let mut frontend = bench.connect(Shape { data_pages: 64, ..Shape::default() })?;
    ensure!(frontend.property("sectors")? == sector(DISK_PAGES));
    let queue = &mut frontend.queues[0];

    transfer(queue, operation::READ, 100, 0, 11)?;
    ensure!(queue.bytes(0, 11)? == patterns(100, 11, 0), "direct read");
    transfer(queue, operation::READ, 200, 0, 64)?;
    ensure!(queue.bytes(0, 64)? == patterns(200, 64, 0), "indirect read");

    queue.fill(0, &patterns(300, 64, 1))?;
    transfer(queue, operation::WRITE, 300, 0, 11)?;
    transfer(queue, operation::WRITE, 311, 11, 53)?;
    transfer(queue, operation::WRITE_BARRIER, 364, 0, 1)?;
    let flush = queue.transfer(operation::FLUSH, 0, &[])?;
    expect(queue, &flush, Status::OKAY)?;

    part_of_a_page(queue)?;
    let id = queue.next_id();
    let (sector, sectors) = (sector(500), 2 * SECTORS_PER_PAGE);
    let discard = DiscardRecord {
        operation: operation::DISCARD,
        flags: 0,
        handle: 0,
        padding: 0,
        id,
        sector,
        sectors,
        rest: [0; 80],
    };
    expect(queue, &zerocopy::transmute!(discard), Status::OKAY)?;

    let image = bench.finish(frontend)?;
    let pages = |first: usize, count: usize| &image[first * PAGE_SIZE..(first + count) * PAGE_SIZE];
    ensure!(pages(300, 64) == patterns(300, 64, 1), "writes");
    ensure!(pages(364, 1) == pattern(300, 1), "barrier write");
    ensure!(pages(500, 2).iter().all(|byte| *byte == 0), "discard");
    ensure!(pages(502, 1) == pattern(502, 0), "after the discard");
    Ok(())
}

/// Sectors 2 and 3 of a page, then sector 7 of another: three sectors on the disk.
fn part_of_a_page(queue: &mut FrontQueue) -> Result<()> {
    queue.fill(0, &[0xee; 2 * PAGE_SIZE])?;
    let mut segments = queue.segments(0, 2)?;
    (segments[0].first_sector, segments[0].last_sector) = (2, 3);
    (segments[1].first_sector, segments[1].last_sector) = (7, 7);
    let record = queue.transfer(operation::READ, sector(10), &segments)?;
    expect(queue, &record, Status::OKAY)?;
    let mut wanted = vec![0xee; 2 * PAGE_SIZE];
    wanted[1024..2048].copy_from_slice(&pattern(10, 0)[..1024]);
    wanted[4096 + 3584..].copy_from_slice(&pattern(10, 0)[1024..1536]);
    ensure!(queue.bytes(0, 2)? == wanted, "part of a page");
    Ok(())
}

#[test]
#[ignore = "needs Xen dom0"]
fn copies() {
    reads_and_writes("copy").unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn maps() {
    reads_and_writes("map").unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn keeps() {
    reads_and_writes("keep").unwrap();
}

/// Fills rings of several pages, in several queues, with requests before the backend hears of them.
fn full_rings(transfer_by: &str) -> Result<()> {
    let bench = Bench::start(&format!("rings-{transfer_by}"), &["--transfer", transfer_by])?;
    let shape = Shape { queues: 2, ring_page_order: 2, data_pages: 128 };
    let mut frontend = bench.connect(shape)?;
    for (index, queue) in frontend.queues.iter_mut().enumerate() {
        let base = index * 128;
        ensure!(queue.ring.size() == 128);
        queue.fill(0, &patterns(base, 128, 2))?;
        // Back to front, so that neighbours on the disk are not neighbours in the ring.
        for page in (0..128).rev() {
            let segment = queue.segment(page)?;
            let record = queue.transfer(operation::WRITE, sector(base + page), &[segment])?;
            queue.push(&record)?;
        }
        queue.send()?;
    }
    for queue in &mut frontend.queues {
        for _ in 0..128 {
            ensure!(queue.response(deadline())?.status == Status::OKAY);
        }
    }
    for (index, queue) in frontend.queues.iter_mut().enumerate() {
        transfer(queue, operation::READ, (1 - index) * 128, 0, 128)?;
        ensure!(queue.bytes(0, 128)? == patterns((1 - index) * 128, 128, 2), "the other queue's data");
    }
    let image = bench.finish(frontend)?;
    ensure!(image[..256 * PAGE_SIZE] == patterns(0, 256, 2));
    Ok(())
}

#[test]
#[ignore = "needs Xen dom0"]
fn full_rings_by_copy() {
    full_rings("copy").unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn full_rings_by_map() {
    full_rings("map").unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn full_rings_by_keeping() {
    full_rings("keep").unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_read_only_disk_stays_as_it_is() {
    let bench = Bench::start("read-only", &["--read-only"]).unwrap();
    let mut frontend = bench.connect(Shape::default()).unwrap();
    assert_eq!(frontend.property("info").unwrap(), 4);
    let queue = &mut frontend.queues[0];
    let segments = queue.segments(0, 1).unwrap();
    let record = queue.transfer(operation::WRITE, 0, &segments).unwrap();
    expect(queue, &record, Status::ERROR).unwrap();
    transfer(queue, operation::READ, 3, 0, 1).unwrap();
    assert_eq!(bench.finish(frontend).unwrap(), patterns(0, DISK_PAGES, 0));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_signal_detaches_the_disk() {
    let mut bench = Bench::start("signal", &[]).unwrap();
    let mut frontend = bench.connect(Shape::default()).unwrap();
    let closing = std::thread::spawn(move || {
        frontend.await_backend(deadline(), examples::xenbus::State::Closing)?;
        // Still served: a guest may have data to write.
        transfer(&mut frontend.queues[0], operation::READ, 0, 0, 1)?;
        frontend.close(deadline())
    });
    let status = bench.backend.terminate().unwrap();
    closing.join().unwrap().unwrap();
    assert!(status.success(), "{}", bench.backend.log());
    let second =
        Command::new("blkback").args(["--domain", "0", "--image", "/does/not/exist"]).output().unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("/does/not/exist"));
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_domain_that_does_not_exist_is_named() {
    let bench = Bench::start("nobody", &[]).unwrap();
    let image = bench.image.with_extension("second");
    fs::copy(&bench.image, &image).unwrap();
    let output = Command::new("blkback").args(["--domain", "4711", "--image"]).arg(&image).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && message.contains("no domain 4711"), "{message}");
    fs::remove_file(image).unwrap();
}

#[test]
#[ignore = "needs Xen dom0"]
fn a_hostile_frontend_gets_nowhere() {
    for transfer_by in ["copy", "map", "keep"] {
        let output = Command::new("hostile_frontend").args(["--transfer", transfer_by]).output().unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{transfer_by}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
