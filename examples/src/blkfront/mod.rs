//! A small block frontend in user space, for testing backends. It plays the guest in the domain where it runs, which may be
//! that of the backend: Xen lets a domain grant pages to itself.

mod queue;

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use xen_evtchn::DomId;
use xen_gnttab::Gntalloc;

use crate::blkback::VirtualDevice;
use crate::xenbus::{State, wait_for_state};
use crate::xenstore::{Tree, Xenstore};

pub use queue::FrontQueue;

/// The name of our layout of requests.
const PROTOCOL: &str = if cfg!(target_arch = "aarch64") { "arm-abi" } else { "x86_64-abi" };

/// What to ask the backend for.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Rings.
    pub queues: u32,
    /// Pages of each ring, as a power of two.
    pub ring_page_order: u32,
    /// Pages for data, for each ring.
    pub data_pages: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { queues: 1, ring_page_order: 0, data_pages: 16 }
    }
}

/// A frontend that has found its backend, and perhaps connected to it.
#[derive(Debug)]
pub struct Frontend {
    store: Xenstore,
    path: String,
    backend: String,
    backend_domain: DomId,
    /// The rings, once they are offered to the backend.
    pub queues: Vec<FrontQueue>,
}

impl Frontend {
    /// Waits for a backend that offers us the disk `device`.
    ///
    /// # Errors
    /// If there is none by `deadline`.
    pub fn find(device: VirtualDevice, deadline: Instant) -> Result<Self> {
        let mut store = Xenstore::open()?;
        let own = store.read_optional("domid")?.map_or(Ok(DomId::ZERO), |id| id.parse())?;
        let path = format!("{}/device/vbd/{device}", store.domain_path(own)?);
        wait_for_state(&mut store, &format!("{path}/state"), deadline, |state| state.is_some())
            .context("no backend has come")?;
        let backend = store.read(&format!("{path}/backend"))?;
        let backend_domain = store.read(&format!("{path}/backend-id"))?.parse()?;
        let offered = |state| state == Some(State::InitWait);
        wait_for_state(&mut store, &format!("{backend}/state"), deadline, offered)?;
        Ok(Self { store, path, backend, backend_domain, queues: Vec::new() })
    }

    /// Finds the backend and connects to it.
    ///
    /// # Errors
    /// If the backend does not come or does not connect by `deadline`.
    pub fn connect(device: VirtualDevice, shape: Shape, deadline: Instant) -> Result<Self> {
        let mut frontend = Self::find(device, deadline)?;
        frontend.offer(shape)?;
        frontend.await_backend(deadline, State::Connected)?;
        frontend.set_state(State::Connected)?;
        Ok(frontend)
    }

    /// Sets up the rings and tells the backend of them.
    ///
    /// # Errors
    /// If pages or ports are short, or xenstore fails.
    pub fn offer(&mut self, shape: Shape) -> Result<()> {
        let gntalloc = Gntalloc::open()?;
        let queues = (0..shape.queues).map(|_| FrontQueue::new(&gntalloc, self.backend_domain, shape));
        self.queues = queues.collect::<Result<_>>()?;
        // The data are always in the same pages.
        let mut nodes = vec![
            ("protocol".to_owned(), PROTOCOL.to_owned()),
            ("feature-persistent".to_owned(), "1".to_owned()),
        ];
        if shape.ring_page_order > 0 {
            nodes.push(("ring-page-order".to_owned(), shape.ring_page_order.to_string()));
        }
        if shape.queues > 1 {
            nodes.push(("multi-queue-num-queues".to_owned(), shape.queues.to_string()));
        }
        for (index, queue) in self.queues.iter().enumerate() {
            let directory = if shape.queues > 1 { format!("queue-{index}/") } else { String::new() };
            nodes.push((format!("{directory}event-channel"), queue.port().to_string()));
            for (page, reference) in queue.ring_pages().iter().enumerate() {
                let number = if shape.ring_page_order > 0 { page.to_string() } else { String::new() };
                nodes.push((format!("{directory}ring-ref{number}"), reference.to_string()));
            }
        }
        nodes.push(("state".to_owned(), State::Initialised.to_string()));
        self.publish(&nodes)
    }

    /// Writes nodes of ours, all at once.
    ///
    /// # Errors
    /// If xenstore fails.
    pub fn publish(&mut self, nodes: &[(String, String)]) -> Result<()> {
        let path = &self.path;
        self.store.transaction(|tree| {
            nodes.iter().try_for_each(|(node, value)| tree.write(&format!("{path}/{node}"), value))
        })?;
        Ok(())
    }

    /// Says how far we are.
    ///
    /// # Errors
    /// If xenstore fails.
    pub fn set_state(&mut self, state: State) -> Result<()> {
        Ok(self.store.write(&format!("{}/state", self.path), &state.to_string())?)
    }

    /// Waits until the backend has come to `state`, or past it and away.
    ///
    /// # Errors
    /// If it has not by `deadline`, or went another way.
    pub fn await_backend(&mut self, deadline: Instant, state: State) -> Result<()> {
        let node = format!("{}/state", self.backend);
        let arrived =
            wait_for_state(&mut self.store, &node, deadline, |now| now.is_none_or(|now| now >= state))?;
        ensure!(
            state.is_ending() || arrived == Some(state),
            "the backend went to {arrived:?}, where {state:?} was awaited"
        );
        Ok(())
    }

    /// A number that the backend published.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn property(&mut self, name: &str) -> Result<u64> {
        let text = self.store.read(&format!("{}/{name}", self.backend))?;
        text.parse().with_context(|| format!("the backend's {name} is {text:?}"))
    }

    /// Gives the disk up, and waits until the backend has removed it.
    ///
    /// # Errors
    /// If it has not by `deadline`.
    pub fn close(mut self, deadline: Instant) -> Result<()> {
        self.set_state(State::Closing)?;
        self.await_backend(deadline, State::Closing)?;
        self.set_state(State::Closed)?;
        let node = format!("{}/state", self.backend);
        wait_for_state(&mut self.store, &node, deadline, |state| state.is_none())?;
        Ok(())
    }
}
