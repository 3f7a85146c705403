//! The NUMA topology that a domain is told.
#![expect(unsafe_code, reason = "facts about the operations: see `Operation`")]

use super::memory_op;
use crate::DomId;
use crate::xen_public::layout;
use crate::xen_public::operation::GuestMemory;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_vmemrange`: a range of a domain's memory and the node that it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_vmemrange")]
pub struct VmemRange {
    /// The address where it begins.
    pub start: u64,
    /// The address where it ends, exclusively.
    pub end: u64,
    /// Zero.
    pub flags: u32,
    /// The node.
    pub nid: u32,
}
layout!(VmemRange = "struct xen_vmemrange", 24, start @ 0, end @ 8, flags @ 16, nid @ 20);

/// `struct xen_vnuma_topology_info`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_vnuma_topology_info")]
pub struct VnumaTopologyInfo {
    /// Which domain.
    pub domid: u16,
    /// Zero.
    pub pad: u16,
    /// How many nodes there is room for; answer: how many there are.
    pub nr_vnodes: u32,
    /// The same of vCPUs.
    pub nr_vcpus: u32,
    /// The same of ranges.
    pub nr_vmemranges: u32,
    /// Address of the distances: as many rows as nodes, each with as many 32-bit words.
    pub vdistance: u64,
    /// Address of the node of each vCPU, a 32-bit word each.
    pub vcpu_to_vnode: u64,
    /// Address of the ranges.
    pub vmemrange: u64,
}
layout!(
    VnumaTopologyInfo = "struct xen_vnuma_topology_info", 40,
    domid @ 0, nr_vnodes @ 4, nr_vcpus @ 8, nr_vmemranges @ 12, vdistance("vdistance.h") @ 16,
    vcpu_to_vnode("vcpu_to_vnode.h") @ 24, vmemrange("vmemrange.h") @ 32,
);

/// Asks for the NUMA topology that a domain is told. If there is not enough room, `ENOBUFS`.
///
/// `XENMEM_get_vnumainfo`
#[derive(Debug)]
#[doc(alias = "XENMEM_get_vnumainfo")]
pub struct GetVnumaInfo<'a> {
    /// Which domain.
    pub domain: DomId,
    /// Where the distances go to: 4 bytes for each pair of nodes.
    pub distances: GuestMemory<'a>,
    /// Where the nodes of the vCPUs go to: 4 bytes each.
    pub vcpus: GuestMemory<'a>,
    /// Where the ranges go to; [`VmemRange`].
    pub ranges: GuestMemory<'a>,
}

impl GetVnumaInfo<'_> {
    fn to_record(&self) -> VnumaTopologyInfo {
        let room = |memory: &GuestMemory<'_>, size| u32::try_from(memory.len() / size).unwrap_or(u32::MAX);
        VnumaTopologyInfo {
            domid: self.domain.get(),
            pad: 0,
            nr_vnodes: room(&self.distances, size_of::<u32>()).isqrt(),
            nr_vcpus: room(&self.vcpus, size_of::<u32>()),
            nr_vmemranges: room(&self.ranges, size_of::<VmemRange>()),
            vdistance: self.distances.address(),
            vcpu_to_vnode: self.vcpus.address(),
            vmemrange: self.ranges.address(),
        }
    }
}

// SAFETY: Xen writes at most as many distances, nodes and ranges as the memories have room for.
memory_op!(GetVnumaInfo<'_>, VnumaTopologyInfo, "XENMEM_get_vnumainfo" = 26);
