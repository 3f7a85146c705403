//! The disk in xenstore: a directory for the frontend, owned by the guest, and one for the backend.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use xen_evtchn::DomId;

use super::disk::Geometry;
use super::negotiate::Offer;
use crate::blkif::{MAX_INDIRECT_SEGMENTS, PAGE_SIZE, SECTOR_SIZE};
use crate::xenbus::State;
use crate::xenstore::{Error, Permission, Tree, Xenstore};

/// Bit of the `info` node: the guest may not write.
const INFO_READ_ONLY: u32 = 4;

/// The guest's name for a disk: `xvda` is the number 51712.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualDevice(u32);

impl VirtualDevice {
    /// Device numbers of the first 16 disks, with 16 partitions each: major number 202.
    const FIRST: u32 = 202 << 8;
    /// Marks the numbers of further disks, with 256 partitions each.
    const EXTENDED: u32 = 1 << 28;
}

/// The number, as xenstore has it.
impl fmt::Display for VirtualDevice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Not the name of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a disk: xvda to xvdz")]
pub struct InvalidDevice;

impl FromStr for VirtualDevice {
    type Err = InvalidDevice;

    fn from_str(name: &str) -> Result<Self, InvalidDevice> {
        match name.strip_prefix("xvd").map(str::as_bytes) {
            Some([letter @ b'a'..=b'p']) => Ok(Self(Self::FIRST | u32::from(letter - b'a') << 4)),
            Some([letter @ b'q'..=b'z']) => Ok(Self(Self::EXTENDED | u32::from(letter - b'a') << 8)),
            _ => Err(InvalidDevice),
        }
    }
}

/// A disk of a guest, by its nodes.
#[derive(Debug)]
pub struct Device {
    domain: DomId,
    own_domain: DomId,
    number: VirtualDevice,
    frontend: String,
    /// All backends of the guest.
    backends: String,
    backend: String,
}

impl Device {
    /// Names the nodes of a disk. Nothing is written yet.
    ///
    /// # Errors
    /// If there is no such domain.
    pub fn new(store: &mut Xenstore, domain: DomId, number: VirtualDevice) -> Result<Self> {
        ensure!(store.is_introduced(domain)?, "there is no domain {domain}; `xl list` shows which there are");
        let own_domain = match store.read_optional("domid")? {
            Some(id) => id.parse().with_context(|| format!("the node domid of this domain is {id:?}"))?,
            None => DomId::ZERO,
        };
        let frontend = format!("{}/device/vbd/{number}", store.domain_path(domain)?);
        let backends = format!("{}/backend/vbd/{domain}", store.domain_path(own_domain)?);
        let backend = format!("{backends}/{number}");
        Ok(Self { domain, own_domain, number, frontend, backends, backend })
    }

    /// The frontend's directory.
    #[must_use]
    pub fn frontend(&self) -> &str {
        &self.frontend
    }

    /// The node with the frontend's state.
    #[must_use]
    pub fn frontend_state_node(&self) -> String {
        format!("{}/state", self.frontend)
    }

    /// Makes both directories at once, with what the backend offers. The guest's frontend wakes up by that.
    ///
    /// # Errors
    /// If the guest has such a disk already.
    pub fn attach(&self, store: &mut Xenstore, disk: Geometry, offer: Offer) -> Result<()> {
        let exists = store.transaction(|tree| {
            if tree.read_optional(&self.frontend)?.is_some() {
                return Ok(true);
            }
            self.make_frontend(tree)?;
            self.make_backend(tree, disk, offer)?;
            Ok(false)
        })?;
        ensure!(
            !exists,
            "domain {} has a disk {} already; if that is what a killed backend left behind, remove it with \
             `xenstore-rm {} {}`",
            self.domain,
            self.number,
            self.frontend,
            self.backend
        );
        Ok(())
    }

    fn make_frontend(&self, tree: &mut impl Tree) -> Result<(), Error> {
        let nodes = [
            ("backend", self.backend.clone()),
            ("backend-id", self.own_domain.get().to_string()),
            ("virtual-device", self.number.to_string()),
            ("device-type", "disk".to_owned()),
            ("state", State::Initialising.to_string()),
        ];
        // The guest's frontend writes here, and this backend reads.
        directory(tree, &self.frontend, Permission::owned_and_read(self.domain, self.own_domain), &nodes)
    }

    fn make_backend(&self, tree: &mut impl Tree, disk: Geometry, offer: Offer) -> Result<(), Error> {
        let changes = u32::from(!disk.read_only).to_string();
        let nodes = [
            ("frontend", self.frontend.clone()),
            ("frontend-id", self.domain.get().to_string()),
            ("online", "1".to_owned()),
            ("mode", if disk.read_only { "r" } else { "w" }.to_owned()),
            ("device-type", "disk".to_owned()),
            ("feature-flush-cache", changes.clone()),
            ("feature-barrier", changes.clone()),
            ("feature-discard", changes),
            ("discard-granularity", PAGE_SIZE.to_string()), // a block of most file systems,
            ("discard-alignment", "0".to_owned()),
            ("discard-secure", "0".to_owned()),
            ("feature-max-indirect-segments", MAX_INDIRECT_SEGMENTS.to_string()),
            ("feature-persistent", u32::from(offer.persistent).to_string()),
            ("max-ring-page-order", offer.ring_page_order.to_string()),
            ("multi-queue-max-queues", offer.queues.to_string()),
            ("state", State::InitWait.to_string()),
        ];
        directory(tree, &self.backend, Permission::owned_and_read(self.own_domain, self.domain), &nodes)
    }

    /// How far the frontend is. `None` if its nodes are gone, and with them the guest or at least the disk.
    ///
    /// # Errors
    /// If xenstore fails, or the guest wrote what is no state.
    pub fn frontend_state(&self, store: &mut Xenstore) -> Result<Option<State>> {
        let Some(text) = store.read_optional(&self.frontend_state_node())? else { return Ok(None) };
        text.parse().map(Some).with_context(|| format!("the frontend's state is {text:?}"))
    }

    /// Tells the frontend the properties of the disk, and that it is in service.
    ///
    /// # Errors
    /// If xenstore fails.
    pub fn connected(&self, store: &mut Xenstore, disk: Geometry) -> Result<(), Error> {
        let info = if disk.read_only { INFO_READ_ONLY } else { 0 };
        store.transaction(|tree| {
            for (node, value) in [
                ("sectors", disk.sectors.to_string()),
                ("sector-size", SECTOR_SIZE.to_string()),
                ("physical-sector-size", SECTOR_SIZE.to_string()),
                ("info", info.to_string()),
                ("state", State::Connected.to_string()),
            ] {
                tree.write(&format!("{}/{node}", self.backend), &value)?;
            }
            Ok(())
        })
    }

    /// Asks the frontend to let go of the disk.
    ///
    /// # Errors
    /// If xenstore fails.
    pub fn closing(&self, store: &mut Xenstore) -> Result<(), Error> {
        store.transaction(|tree| {
            tree.write(&format!("{}/online", self.backend), "0")?;
            tree.write(&format!("{}/state", self.backend), &State::Closing.to_string())
        })
    }

    /// Removes all nodes of the disk, after a last word to the frontend.
    ///
    /// Not in one transaction: in Xen 4.20 that was seen to end with `ENOMEM` when the guest was being destroyed meanwhile.
    ///
    /// # Errors
    /// If xenstore fails.
    pub fn detach(&self, store: &mut Xenstore) -> Result<(), Error> {
        store.write(&format!("{}/state", self.backend), &State::Closed.to_string())?;
        let frontend = store.remove(&self.frontend);
        store.remove(&self.backend)?;
        store.transaction(|tree| match tree.directory(&self.backends) {
            Ok(others) if others.is_empty() => tree.remove(&self.backends),
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        })?;
        frontend
    }
}

fn directory(
    tree: &mut impl Tree,
    path: &str,
    permissions: [Permission; 2],
    nodes: &[(&str, String)],
) -> Result<(), Error> {
    tree.mkdir(path)?;
    tree.set_permissions(path, &permissions)?; // before the nodes, which inherit them
    for (node, value) in nodes {
        tree.write(&format!("{path}/{node}"), value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_the_numbers_that_guests_expect() {
        let number = |name: &str| name.parse::<VirtualDevice>().map(|device| device.0);
        assert_eq!(number("xvda"), Ok(51712));
        assert_eq!(number("xvdb"), Ok(51728));
        assert_eq!(number("xvdq"), Ok((1 << 28) | (16 << 8)));
        for name in ["", "xvd", "sda", "xvdaa", "xvda1", "xvdA"] {
            assert_eq!(number(name), Err(InvalidDevice), "{name}");
        }
    }
}
