//! The NUMA topology that a domain is told.

use xen_sys::xen_public::errno::ENOBUFS;
use xen_sys::xen_public::memory::{GetVnumaInfo, VmemRange};

use super::DomainMemory;
use crate::Error;

/// The NUMA topology that a domain is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualNuma {
    /// For each node, the distance of every node from it.
    pub distances: Vec<Vec<u32>>,
    /// The node of each vCPU.
    pub vcpu_nodes: Vec<u32>,
    /// Which memory is on which node.
    pub ranges: Vec<NodeRange>,
}

/// A range of a domain's addresses that is on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeRange {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// On which node.
    pub node: u32,
}

impl DomainMemory<'_> {
    /// The NUMA topology that the domain is told, with [`Domain::set_vnuma`](crate::Domain::set_vnuma); `None` if it was given none.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`].
    #[doc(alias = "XENMEM_get_vnumainfo")]
    pub fn virtual_numa(&self) -> Result<Option<VirtualNuma>, Error> {
        let mut room = 64;
        loop {
            match self.read_vnuma(room) {
                Ok(numa) => return Ok(Some(numa)),
                // that is how Xen says that there is none
                Err(Error::Unsupported { .. }) => return Ok(None),
                Err(error) if error.errno() == Some(ENOBUFS) && room < 1 << 12 => room *= 8,
                Err(error) => return Err(error),
            }
        }
    }

    /// With room for so many nodes and ranges, and for 16 vCPUs on each node.
    fn read_vnuma(&self, room: usize) -> Result<VirtualNuma, Error> {
        let call = self.xen.xencall();
        let mut distances = call.zeroed_buffer::<u32>(room * room)?;
        let mut vcpus = call.zeroed_buffer::<u32>(room * 16)?;
        let mut ranges = call.zeroed_buffer::<VmemRange>(room)?;
        let operation = GetVnumaInfo {
            domain: self.id,
            distances: distances.lend(),
            vcpus: vcpus.lend(),
            ranges: ranges.lend(),
        };
        let answer = self.xen.call(Some(self.id), &operation)?.record;
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let nodes = count(answer.nr_vnodes).clamp(1, room);
        Ok(VirtualNuma {
            distances: distances.chunks(nodes).take(nodes).map(<[u32]>::to_vec).collect(),
            vcpu_nodes: vcpus.iter().take(count(answer.nr_vcpus)).copied().collect(),
            ranges: ranges.iter().take(count(answer.nr_vmemranges)).map(NodeRange::from).collect(),
        })
    }
}

impl From<&VmemRange> for NodeRange {
    fn from(record: &VmemRange) -> Self {
        Self { start: record.start, end: record.end, node: record.nid }
    }
}
