//! The life of a disk: attached, connected when the frontend is ready, detached when either side wants to end.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use xen_evtchn::DomId;

use super::device::{Device, VirtualDevice};
use super::disk::Disk;
use super::negotiate::{Choice, Offer};
use super::stats::Stats;
use super::window::Transfer;
use super::workers::Workers;
use crate::xenbus::State;
use crate::xenstore::{RELEASE_DOMAIN, Xenstore};

/// How long the guest may take to let go of the disk before it is taken away.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
/// Present if the kernel's own block backend is loaded.
const KERNEL_BACKEND: &str = "/sys/bus/xen-backend/drivers/vbd";

/// What to serve, to whom, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The guest.
    pub domain: DomId,
    /// The image file, or a block device.
    pub image: PathBuf,
    /// The guest's name for the disk.
    pub device: VirtualDevice,
    /// The guest may not write.
    pub read_only: bool,
    /// How data moves.
    pub transfer: Transfer,
    /// The most that is offered to the frontend.
    pub offer: Offer,
}

/// Serves the disk until the guest gives it up or dies, or until SIGINT or SIGTERM. A second signal does not wait for the guest.
///
/// # Errors
/// If the disk cannot be attached, or the frontend breaks the protocol. The disk is detached also then.
pub fn run(options: &Options) -> Result<Stats> {
    ensure!(
        !Path::new(KERNEL_BACKEND).exists(),
        "the kernel's own backend would answer the guest too; remove it with `rmmod xen-blkback`"
    );
    let disk = Arc::new(Disk::open(&options.image, options.read_only)?);
    let signals = signals()?;
    let mut store = Xenstore::open()?;
    let device = Device::new(&mut store, options.domain, options.device)?;
    device.attach(&mut store, disk.geometry(), options.offer)?;
    tracing::info!(domain = %options.domain, frontend = device.frontend(), "attached; waiting for the guest");
    let mut backend =
        Backend { options, disk, signals, store, device, workers: None, closing: None, failure: None };
    let served = backend.serve();
    backend.end(served)
}

/// A stream that turns readable with SIGINT and SIGTERM, a byte for each.
fn signals() -> Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let end = theirs.try_clone().context("cannot duplicate a socket")?;
        signal_hook::low_level::pipe::register(signal, end).context("cannot catch signals")?;
    }
    Ok(ours)
}

#[derive(Debug)]
struct Backend<'a> {
    options: &'a Options,
    disk: Arc<Disk>,
    signals: UnixStream,
    store: Xenstore,
    device: Device,
    workers: Option<Workers>,
    /// Since the frontend was asked to let go: until when it may take.
    closing: Option<Instant>,
    /// Why the device had to be closed, if the guest is to blame.
    failure: Option<anyhow::Error>,
}

/// What woke the backend.
#[derive(Clone, Copy, Debug, Default)]
struct Wakeup {
    signal: bool,
    queue_ended: bool,
    late: bool,
}

impl Backend<'_> {
    fn serve(&mut self) -> Result<()> {
        self.store.watch(&self.device.frontend_state_node(), "frontend")?;
        self.store.watch(RELEASE_DOMAIN, "domains")?;
        loop {
            // Following makes requests, and events that come with their replies are queued: so look again before sleeping.
            while self.store.next_event()?.is_some() {
                if self.follow_frontend()? {
                    return Ok(());
                }
            }
            let wakeup = self.sleep()?;
            if wakeup.late {
                tracing::warn!("the guest did not let go of the disk; it is taken away");
                return Ok(());
            }
            if wakeup.signal {
                if self.closing.is_some() {
                    return Ok(());
                }
                self.close()?;
            }
            if let Some(workers) = self.workers.as_mut().filter(|_| wakeup.queue_ended) {
                if workers.all_ended()? {
                    self.close()?;
                }
            }
        }
    }

    /// Moves on when the frontend has. True when it is done with the disk.
    fn follow_frontend(&mut self) -> Result<bool> {
        if !self.store.is_introduced(self.options.domain)? {
            tracing::info!("the guest is gone");
            return Ok(true);
        }
        let state = match self.device.frontend_state(&mut self.store) {
            Ok(state) => state,
            Err(error) => {
                self.fail(error)?;
                return Ok(false);
            }
        };
        tracing::debug!(?state, "frontend");
        match state {
            None => {
                tracing::info!("the guest's nodes are gone");
                return Ok(true);
            }
            Some(State::Closed) => return Ok(true),
            Some(State::Closing) => self.close()?,
            Some(State::Initialised | State::Connected)
                if self.workers.is_none() && self.closing.is_none() =>
            {
                if let Err(error) = self.connect() {
                    self.fail(error)?;
                }
            }
            Some(_) => {}
        }
        Ok(false)
    }

    fn connect(&mut self) -> Result<()> {
        let Options { domain, transfer, offer, .. } = *self.options;
        let choice = Choice::read(&mut self.store, self.device.frontend(), offer)?;
        self.workers = Some(Workers::start(domain, &choice, transfer, &self.disk)?);
        self.device.connected(&mut self.store, self.disk.geometry())?;
        tracing::info!(queues = choice.queues.len(), abi = ?choice.abi, ?transfer, "connected");
        Ok(())
    }

    /// Closes the device because of the guest.
    fn fail(&mut self, error: anyhow::Error) -> Result<()> {
        tracing::error!("the device is closed: {error:#}");
        self.failure.get_or_insert(error);
        self.close()
    }

    /// Asks the frontend to let go. It is served on until it has: it may have data to write.
    fn close(&mut self) -> Result<()> {
        if self.closing.is_none() {
            tracing::info!("closing");
            self.closing = Some(Instant::now() + CLOSE_TIMEOUT);
            self.device.closing(&mut self.store)?;
        }
        Ok(())
    }

    fn sleep(&self) -> Result<Wakeup> {
        let mut fds =
            vec![PollFd::new(&self.store, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        fds.extend(
            self.workers.iter().map(|workers| PollFd::from_borrowed_fd(workers.ended(), PollFlags::IN)),
        );
        let timeout = self.closing.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = timeout.map(TryInto::try_into).transpose()?;
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Wakeup::default()),
            Err(errno) => return Err(errno).context("cannot wait for events"),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.revents().contains(PollFlags::IN)).collect();
        let (signal, queue_ended) = (ready[1], ready.get(2).copied().unwrap_or_default());
        if signal {
            rustix::io::read(self.signals.as_fd(), &mut [0; 1]).context("cannot take a signal")?;
        }
        let late = self.closing.is_some_and(|deadline| Instant::now() >= deadline);
        Ok(Wakeup { signal, queue_ended, late })
    }

    /// Ends the queues first, so that nothing of the guest is mapped any more, then removes the nodes.
    fn end(mut self, served: Result<()>) -> Result<Stats> {
        let (stats, queues) = match &mut self.workers {
            Some(workers) => workers.stop(),
            None => (Stats::default(), Ok(())),
        };
        let detached = self.device.detach(&mut self.store).map_err(|error| anyhow!(error));
        tracing::info!("detached");
        self.failure.map_or(Ok(()), Err).and(served).and(queues).and(detached)?;
        Ok(stats)
    }
}
