//! The threads of the queues.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};
use rustix::event::{EventfdFlags, eventfd};
use xen_evtchn::DomId;

use super::disk::Disk;
use super::negotiate::Choice;
use super::queue::{Queue, Stop};
use super::stats::Stats;
use super::window::Transfer;

/// One thread for each queue.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<JoinHandle<(Stats, Result<()>)>>,
    /// Queues that have not ended.
    serving: u64,
    stop: Arc<Stop>,
    /// Counts the queues that end.
    ended: Arc<OwnedFd>,
}

impl Workers {
    /// Connects all queues, and only then starts to serve them.
    pub(super) fn start(
        domain: DomId,
        choice: &Choice,
        transfer: Transfer,
        disk: &Arc<Disk>,
    ) -> Result<Self> {
        let stop = Stop::new()?;
        let ended = Arc::new(eventfd(0, EventfdFlags::CLOEXEC).context("cannot make an eventfd")?);
        let connect = |(index, queue)| {
            Queue::connect(domain, choice, queue, transfer, Arc::clone(disk), Arc::clone(&stop))
                .with_context(|| format!("cannot connect to queue {index} of domain {domain}"))
        };
        let queues: Vec<Queue> = choice.queues.iter().enumerate().map(connect).collect::<Result<_>>()?;
        let mut workers = Self { threads: Vec::new(), serving: 0, stop, ended };
        for (index, queue) in queues.into_iter().enumerate() {
            workers.spawn(index, queue).context("cannot start a thread")?;
        }
        Ok(workers)
    }

    fn spawn(&mut self, index: usize, queue: Queue) -> std::io::Result<()> {
        tracing::info!(queue = index, slots = queue.slots(), "ring connected");
        let ended = Arc::clone(&self.ended);
        let serve = move || {
            let (stats, result) = queue.serve();
            if let Err(error) = &result {
                tracing::error!(queue = index, "queue disconnected: {error:#}");
            }
            if let Err(error) = rustix::io::write(&*ended, &1_u64.to_ne_bytes()) {
                tracing::error!(%error, "cannot report the end of a queue");
            }
            (stats, result)
        };
        self.serving += 1;
        self.threads.push(thread::Builder::new().name(format!("queue-{index}")).spawn(serve)?);
        Ok(())
    }

    /// Readable when a queue has ended. [`Workers::all_ended`] takes note of it.
    pub(super) fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    /// Takes note of the queues that have ended by themselves. True if none is left.
    pub(super) fn all_ended(&mut self) -> Result<bool> {
        let mut count = [0; 8];
        rustix::io::read(&*self.ended, &mut count).context("cannot read an eventfd")?;
        self.serving = self.serving.saturating_sub(u64::from_ne_bytes(count));
        Ok(self.serving == 0)
    }

    /// Stops all queues; their rings are unmapped and their ports unbound when this returns. The error is that of
    /// the first queue that failed.
    pub(super) fn stop(&mut self) -> (Stats, Result<()>) {
        self.stop.tell();
        let mut total = Stats::default();
        let mut outcome = Ok(());
        for thread in self.threads.drain(..) {
            let (stats, result) = thread
                .join()
                .unwrap_or_else(|_| (Stats::default(), Err(anyhow!("the thread of a queue panicked"))));
            total += stats;
            outcome = outcome.and(result);
        }
        (total, outcome)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        // Nothing is left to do after `stop`; on an error path, the threads must not outlive the device.
        let _ = self.stop();
    }
}
