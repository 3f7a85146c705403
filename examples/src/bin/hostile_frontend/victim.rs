//! The backend under attack, with an image that shows every touch.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use examples::backend_process::BackendProcess;
use examples::blkback::VirtualDevice;
use examples::blkfront::{FrontQueue, Frontend, Shape};
use examples::blkif::layout::operation;
use examples::blkif::{PAGE_SIZE, SECTOR_SIZE, Status};
use examples::xenbus::State;

/// Sectors of the disk.
pub(crate) const SECTORS: u16 = 2048;
/// Bytes behind the last whole sector, which no request may reach.
const TAIL: usize = 511;
const DEVICE: &str = "xvdz";
const PATIENCE: Duration = Duration::from_secs(90);

pub(crate) fn deadline() -> Instant {
    Instant::now() + PATIENCE
}

/// A backend of ours. It is ended with the victim.
pub(crate) struct Victim {
    backend: BackendProcess,
    image: PathBuf,
    contents: Vec<u8>,
}

impl Victim {
    pub(crate) fn start(transfer: &str) -> Result<Self> {
        let image = std::env::temp_dir().join("hostile-frontend.img");
        // Never zero, and no two sectors alike.
        let length = usize::from(SECTORS) * usize::from(SECTOR_SIZE) + TAIL;
        let cycle: Vec<u8> = (1..=251).collect();
        let mut contents = cycle.repeat(length.div_ceil(cycle.len()));
        contents.truncate(length);
        fs::write(&image, &contents).with_context(|| format!("cannot write {}", image.display()))?;
        let path = image.to_str().context("the path of the image is no text")?;
        let arguments = ["--domain", "0", "--device", DEVICE, "--image", path, "--transfer", transfer];
        let backend = BackendProcess::start(&arguments, &image.with_extension("log"))?;
        Ok(Self { backend, image, contents })
    }

    fn device() -> Result<VirtualDevice> {
        Ok(DEVICE.parse()?)
    }

    pub(crate) fn find(&self) -> Result<Frontend> {
        Frontend::find(Self::device()?, deadline()).with_context(|| self.backend.log())
    }

    pub(crate) fn connect(&self, shape: Shape) -> Result<Frontend> {
        Frontend::connect(Self::device()?, shape, deadline()).with_context(|| self.backend.log())
    }

    /// The image is as it was, to the last byte.
    pub(crate) fn check_image(&self) -> Result<()> {
        let now = fs::read(&self.image)?;
        ensure!(now.len() == self.contents.len(), "the image has {} bytes now", now.len());
        if now == self.contents {
            return Ok(());
        }
        let touched = now.iter().zip(&self.contents).position(|(now, before)| now != before);
        bail!("the image is changed at byte {}", touched.unwrap_or_default())
    }

    /// A well-behaved request is served.
    pub(crate) fn check_service(&self, queue: &mut FrontQueue) -> Result<()> {
        let segments = queue.segments(0, 1)?;
        let record = queue.transfer(operation::READ, 8, &segments)?;
        let response = queue.call(&record, deadline()).context("a good request after the attack")?;
        ensure!(response.status == Status::OKAY, "a good request after the attack got {:?}", response.status);
        ensure!(
            queue.bytes(0, 1)? == self.contents[PAGE_SIZE..2 * PAGE_SIZE],
            "a good request got wrong data"
        );
        Ok(())
    }

    /// The backend disconnects us and ends in order: no panic, no signal.
    pub(crate) fn check_disconnected(mut self, mut frontend: Frontend) -> Result<()> {
        frontend.await_backend(deadline(), State::Closing)?;
        frontend.set_state(State::Closed)?;
        let status = self.backend.wait(deadline())?;
        ensure!(status.code() == Some(1), "the backend ended with {status}:\n{}", self.backend.log());
        self.check_image()
    }

    /// Both sides part in order.
    pub(crate) fn part(mut self, frontend: Frontend) -> Result<()> {
        frontend.close(deadline())?;
        let status = self.backend.wait(deadline())?;
        ensure!(status.success(), "the backend ended with {status}:\n{}", self.backend.log());
        self.check_image()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // A file in the temporary directory is no harm.
        let _ = fs::remove_file(&self.image);
    }
}
