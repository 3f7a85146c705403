//! The NUMA topology that a guest is shown.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::Domctl;
use crate::xen_public::layout;
use crate::xen_public::memory::VmemRange;
use crate::xen_public::operation::{Command, GuestMemory, command};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_domctl_vnuma`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_vnuma")]
pub struct SetVnumaRecord {
    /// How many nodes there are.
    pub nr_vnodes: u32,
    /// How many ranges of memory.
    pub nr_vmemranges: u32,
    /// How many vCPUs: those that the domain was created with.
    pub nr_vcpus: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the distances, `nr_vnodes * nr_vnodes` of them.
    pub vdistance: u64,
    /// Address of the node of each vCPU.
    pub vcpu_to_vnode: u64,
    /// Address of the host's node for each of the guest's.
    pub vnode_to_pnode: u64,
    /// Address of the ranges.
    pub vmemrange: u64,
}
layout!(
    SetVnumaRecord = "struct xen_domctl_vnuma", 48,
    nr_vnodes @ 0, nr_vmemranges @ 4, nr_vcpus @ 8, vdistance @ 16, vcpu_to_vnode @ 24, vnode_to_pnode @ 32, vmemrange @ 40,
);

/// Sets the NUMA topology that the domain's guest is shown.
#[derive(Debug)]
pub struct SetVnuma<'a> {
    /// Distances of the nodes, `u32` each, row by row.
    pub distances: GuestMemory<'a>,
    /// For each vCPU its node, `u32`.
    pub vcpu_to_node: GuestMemory<'a>,
    /// For each node that of the host, `u32`.
    pub node_to_physical: GuestMemory<'a>,
    /// [`VmemRange`]s.
    pub ranges: GuestMemory<'a>,
}

// SAFETY: Xen only reads: as many numbers and ranges as there are; of the distances those of as many nodes, as both memories allow.
unsafe impl Domctl for SetVnuma<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_setvnumainfo" = 74);
    type Record = SetVnumaRecord;

    fn record(&self) -> SetVnumaRecord {
        SetVnumaRecord {
            nr_vnodes: self.distances.room::<u32>().isqrt().min(self.node_to_physical.room::<u32>()),
            nr_vmemranges: self.ranges.room::<VmemRange>(),
            nr_vcpus: self.vcpu_to_node.room::<u32>(),
            pad: 0,
            vdistance: self.distances.address(),
            vcpu_to_vnode: self.vcpu_to_node.address(),
            vnode_to_pnode: self.node_to_physical.address(),
            vmemrange: self.ranges.address(),
        }
    }
}
