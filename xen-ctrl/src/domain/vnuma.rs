//! The NUMA topology that a guest is shown.

use std::ops::Range;

use xen_sys::VcpuId;
use xen_sys::xen_public::domctl::SetVnuma;
use xen_sys::xen_public::memory::VmemRange;

use super::Domain;
use crate::Error;

/// A NUMA node of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VirtualNode {
    /// The node of the host that its memory is taken from.
    pub physical: u32,
    /// The guest's physical addresses that belong to it, in bytes.
    pub memory: Vec<Range<u64>>,
    /// The vCPUs that belong to it.
    pub vcpus: Vec<VcpuId>,
}

impl Domain<'_> {
    /// Sets the NUMA topology that the guest is shown: its nodes, and how far they are from each other (10 for the same one, as in
    /// ACPI). vCPUs up to the highest one that is named are in the first node unless they are named in another.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDomain`], [`Error::Denied`]; [`Error::Refused`] with `EINVAL` if there is no node, or unless all vCPUs
    /// that the domain was created for are in one; [`Error::Call`] if there is no memory.
    #[doc(alias = "xc_domain_setvnuma")]
    #[doc(alias = "XEN_DOMCTL_setvnumainfo")]
    pub fn set_vnuma(
        &self,
        nodes: &[VirtualNode],
        distance: impl Fn(usize, usize) -> u32,
    ) -> Result<(), Error> {
        let call = self.xen.xencall();
        let row = |from: usize| (0..nodes.len()).map(move |to| (from, to));
        let pairs = (0..nodes.len()).flat_map(row);
        let distances: Vec<u32> = pairs.map(|(from, to)| distance(from, to)).collect();
        let physical: Vec<u32> = nodes.iter().map(|node| node.physical).collect();
        let mut distances = call.buffer_from(&distances)?;
        let mut vcpu_to_node = call.buffer_from(&vcpu_to_node(nodes))?;
        let mut physical = call.buffer_from(&physical)?;
        let mut ranges = call.buffer_from(&ranges(nodes))?;
        let operation = SetVnuma {
            distances: distances.lend(),
            vcpu_to_node: vcpu_to_node.lend(),
            node_to_physical: physical.lend(),
            ranges: ranges.lend(),
        };
        self.xen.domctl(self.id, &operation).map(drop)
    }
}

/// The nodes with their numbers as Xen wants them.
fn numbered(nodes: &[VirtualNode]) -> impl Iterator<Item = (u32, &VirtualNode)> {
    (0..).zip(nodes)
}

fn vcpu_to_node(nodes: &[VirtualNode]) -> Vec<u32> {
    let mut map = Vec::new();
    for (number, node) in numbered(nodes) {
        for vcpu in &node.vcpus {
            let vcpu = usize::try_from(vcpu.get()).unwrap_or(usize::MAX);
            if map.len() <= vcpu {
                map.resize(vcpu + 1, 0);
            }
            map[vcpu] = number;
        }
    }
    map
}

fn ranges(nodes: &[VirtualNode]) -> Vec<VmemRange> {
    let of_node = |(nid, node): (u32, &VirtualNode)| -> Vec<VmemRange> {
        let range = |range: &Range<u64>| VmemRange { start: range.start, end: range.end, flags: 0, nid };
        node.memory.iter().map(range).collect()
    };
    numbered(nodes).flat_map(of_node).collect()
}
