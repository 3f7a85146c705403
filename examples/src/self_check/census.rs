//! What a process holds of the kernel and of Xen.

use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use xen_evtchn::{DomId, Evtchn, Port};

/// A count of what can leak.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Census {
    files: usize,
    mappings: usize,
    /// The lowest free port: Xen hands ports out in order. `None` where there is no event channel device.
    free_port: Option<Port>,
}

impl Census {
    pub(super) fn take() -> Result<Self> {
        let files = fs::read_dir("/proc/self/fd").context("cannot count open files")?.count();
        let maps = fs::read_to_string("/proc/self/maps").context("cannot count mappings")?;
        let mappings = maps.lines().filter(|line| line.contains("/dev/xen/")).count();
        let free_port = Evtchn::open().and_then(|evtchn| evtchn.bind_unbound(DomId::SELF));
        Ok(Self { files, mappings, free_port: free_port.ok().map(|channel| channel.port()) })
    }
}

impl fmt::Display for Census {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} open files and {} mappings of devices", self.files, self.mappings)?;
        match self.free_port {
            Some(port) => write!(f, ", and {port} was the first free port"),
            None => Ok(()),
        }
    }
}
