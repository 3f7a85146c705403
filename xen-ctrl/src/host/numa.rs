//! NUMA nodes: their memory, and how far they are from each other.

use xen_sys::xen_public::sysctl::{AvailableHeap, INVALID_MEM_SZ, INVALID_NODE_DIST, NodeMemory, NumaInfo};

use super::{Host, size};
use crate::Error;

/// Memory of a NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias = "xc_meminfo_t")]
pub struct NumaNode {
    /// Memory of the node, in bytes. Includes holes in its range of addresses.
    pub memory: u64,
    /// How much of it is free, in bytes.
    pub free: u64,
}

/// The host's NUMA nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numa {
    /// Their memory, from node 0 on; `None` for numbers that no node has.
    pub nodes: Vec<Option<NumaNode>>,
    distances: Vec<u32>,
}

impl Numa {
    /// How far `to` is from `from`, in ACPI's unit: 10 is the distance of a node to itself. `None` if the host does not tell, or
    /// there are no such nodes.
    #[must_use]
    pub fn distance(&self, from: u32, to: u32) -> Option<u32> {
        let (from, to) = (size(from), size(to));
        let known = from < self.nodes.len() && to < self.nodes.len();
        let distance = *self.distances.get(from.checked_mul(self.nodes.len())?.checked_add(to)?)?;
        (known && distance != INVALID_NODE_DIST).then_some(distance)
    }
}

/// A part of the host's memory, for [`Host::free_memory`]. The default is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRegion {
    /// Only addresses of more bits than that.
    pub above_bits: Option<u32>,
    /// Only addresses of at most so many bits.
    pub below_bits: Option<u32>,
    /// Only this NUMA node.
    pub node: Option<u32>,
}

impl Host<'_> {
    /// The NUMA nodes: their memory and distances. Two hypercalls.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`]; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_numainfo")]
    #[doc(alias = "XEN_SYSCTL_numainfo")]
    pub fn numa(&self) -> Result<Numa, Error> {
        let count = self.xen.sysctl(&NumaInfo::COUNT)?.num_nodes;
        let mut memory = self.xen.xencall().zeroed_buffer::<NodeMemory>(size(count))?;
        let mut distances =
            self.xen.xencall().zeroed_buffer::<u32>(size(count).saturating_mul(size(count)))?;
        let Some(operation) = NumaInfo::new(count, memory.lend(), distances.lend()) else {
            return Ok(Numa { nodes: Vec::new(), distances: Vec::new() }); // the buffers are as large as that
        };
        let count = size(self.xen.sysctl(&operation)?.num_nodes).min(memory.len());
        let nodes = memory[..count].iter().map(node).collect();
        Ok(Numa { nodes, distances: distances[..count * count].to_vec() })
    }

    /// Free memory in a part of the host, in bytes: what domains can get, without what Xen keeps for itself. One hypercall.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`].
    #[doc(alias = "xc_availheap")]
    #[doc(alias = "XEN_SYSCTL_availheap")]
    pub fn free_memory(&self, region: MemoryRegion) -> Result<u64, Error> {
        let operation = AvailableHeap {
            min_bitwidth: region.above_bits.unwrap_or(0),
            max_bitwidth: region.below_bits.unwrap_or(0),
            node: region.node.map_or(-1, |node| i32::try_from(node).unwrap_or(i32::MAX)),
            pad: 0,
            avail_bytes: 0,
        };
        Ok(self.xen.sysctl(&operation)?.avail_bytes)
    }
}

fn node(memory: &NodeMemory) -> Option<NumaNode> {
    let present = memory.memsize != u64::from(INVALID_MEM_SZ);
    present.then_some(NumaNode { memory: memory.memsize, free: memory.memfree })
}
