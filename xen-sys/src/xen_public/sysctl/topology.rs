//! Where CPUs, memory and devices are.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::physdev::PciDevice;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// No such core.
    INVALID_CORE_ID = "XEN_INVALID_CORE_ID" = 0xffff_ffff;
    /// No such socket.
    INVALID_SOCKET_ID = "XEN_INVALID_SOCKET_ID" = 0xffff_ffff;
    /// No such NUMA node, or none in particular.
    INVALID_NODE_ID = "XEN_INVALID_NODE_ID" = 0xffff_ffff;
    /// The size of a NUMA node that is not there.
    INVALID_MEM_SZ = "XEN_INVALID_MEM_SZ" = 0xffff_ffff;
    /// The distance to a NUMA node that is not there.
    INVALID_NODE_DIST = "XEN_INVALID_NODE_DIST" = 0xffff_ffff;
    /// No such device.
    INVALID_DEV = "XEN_INVALID_DEV" = 0xffff_fffe;
}

/// `struct xen_sysctl_cpuinfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cpuinfo")]
pub struct CpuIdle {
    /// How long the CPU has been idle, in ns.
    pub idletime: u64,
}
layout!(CpuIdle = "struct xen_sysctl_cpuinfo", 8, idletime @ 0);

/// `struct xen_sysctl_getcpuinfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_getcpuinfo")]
pub struct GetCpuInfoRecord {
    /// How many CPUs at most.
    pub max_cpus: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the answers.
    pub info: u64,
    /// Answer: how many there are.
    pub nr_cpus: u32,
    /// Zero.
    pub pad2: u32,
}
layout!(GetCpuInfoRecord = "struct xen_sysctl_getcpuinfo", 24, max_cpus @ 0, info @ 8, nr_cpus @ 16);

/// Tells how long each CPU has been idle, from CPU 0 on.
#[derive(Debug)]
pub struct GetCpuInfo<'a> {
    /// Where the [`CpuIdle`] go.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `max_cpus` records, which is what the memory has room for.
unsafe impl Sysctl for GetCpuInfo<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_getcpuinfo" = 8);
    type Record = GetCpuInfoRecord;

    fn record(&self) -> GetCpuInfoRecord {
        GetCpuInfoRecord {
            max_cpus: self.into.room::<CpuIdle>(),
            pad: 0,
            info: self.into.address(),
            nr_cpus: 0,
            pad2: 0,
        }
    }
}

/// `struct xen_sysctl_cputopo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cputopo")]
pub struct CpuPlace {
    /// Its core in the socket, or [`INVALID_CORE_ID`].
    pub core: u32,
    /// Its socket, or [`INVALID_SOCKET_ID`].
    pub socket: u32,
    /// Its NUMA node, or [`INVALID_NODE_ID`].
    pub node: u32,
}
layout!(CpuPlace = "struct xen_sysctl_cputopo", 12, core @ 0, socket @ 4, node @ 8);

/// `struct xen_sysctl_cputopoinfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cputopoinfo")]
pub struct CpuTopologyRecord {
    /// How many CPUs at most; answer: how many are in the answer, or, if there is no memory for it, how many there are.
    pub num_cpus: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the answers, or 0.
    pub cputopo: u64,
}
layout!(CpuTopologyRecord = "struct xen_sysctl_cputopoinfo", 16, num_cpus @ 0, cputopo @ 8);

/// Tells where each CPU is, from CPU 0 on.
#[derive(Debug)]
pub struct CpuTopology<'a> {
    /// Where the [`CpuPlace`] go. [`GuestMemory::NULL`]: only the number of CPUs is told.
    pub into: GuestMemory<'a>,
}

// SAFETY: Xen writes at most `num_cpus` records, which is what the memory has room for.
unsafe impl Sysctl for CpuTopology<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_cputopoinfo" = 16);
    type Record = CpuTopologyRecord;

    fn record(&self) -> CpuTopologyRecord {
        CpuTopologyRecord { num_cpus: self.into.room::<CpuPlace>(), pad: 0, cputopo: self.into.address() }
    }
}

/// `struct xen_sysctl_meminfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_meminfo")]
pub struct NodeMemory {
    /// Memory of the node, in bytes, or [`INVALID_MEM_SZ`].
    pub memsize: u64,
    /// How much of it is free.
    pub memfree: u64,
}
layout!(NodeMemory = "struct xen_sysctl_meminfo", 16, memsize @ 0, memfree @ 8);

/// `struct xen_sysctl_numainfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_numainfo")]
pub struct NumaInfoRecord {
    /// How many nodes at most; answer: how many are in the answer, or, if there is no memory for it, how many there are.
    pub num_nodes: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the answers on memory, or 0.
    pub meminfo: u64,
    /// Address of the distances, or 0.
    pub distance: u64,
}
layout!(NumaInfoRecord = "struct xen_sysctl_numainfo", 24, num_nodes @ 0, meminfo @ 8, distance @ 16);

/// Tells the memory of each NUMA node, and their distances.
#[derive(Debug)]
pub struct NumaInfo<'a> {
    nodes: u32,
    memory: GuestMemory<'a>,
    distances: GuestMemory<'a>,
}

impl<'a> NumaInfo<'a> {
    /// The [`NodeMemory`] of `nodes` nodes goes to `memory`; to `distances` go as many `u32` for each of them: that between `i` and
    /// `j` is number `i * n + j`, `n` being the number of nodes in the *answer*. `None` if there is not enough room for that.
    #[must_use]
    pub fn new(nodes: u32, memory: GuestMemory<'a>, distances: GuestMemory<'a>) -> Option<Self> {
        let pairs = u64::from(nodes).pow(2);
        let fits = nodes <= memory.room::<NodeMemory>() && pairs <= distances.room::<u32>().into();
        fits.then_some(Self { nodes, memory, distances })
    }
}

impl NumaInfo<'static> {
    /// Only the number of nodes is told.
    pub const COUNT: Self = Self { nodes: 0, memory: GuestMemory::NULL, distances: GuestMemory::NULL };
}

// SAFETY: Xen writes at most `num_nodes` records, and the square of that of distances, for which there is room.
unsafe impl Sysctl for NumaInfo<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_numainfo" = 17);
    type Record = NumaInfoRecord;

    fn record(&self) -> NumaInfoRecord {
        NumaInfoRecord {
            num_nodes: self.nodes,
            pad: 0,
            meminfo: self.memory.address(),
            distance: self.distances.address(),
        }
    }
}

/// `struct xen_sysctl_pcitopoinfo`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_pcitopoinfo")]
pub struct PciTopologyRecord {
    /// How many devices; answer: how many of them have been looked up.
    pub num_devs: u32,
    /// Zero.
    pub pad: u32,
    /// Address of the devices.
    pub devs: u64,
    /// Address of the answers.
    pub nodes: u64,
}
layout!(PciTopologyRecord = "struct xen_sysctl_pcitopoinfo", 24, num_devs @ 0, devs @ 8, nodes @ 16);

/// Tells on which NUMA nodes PCI devices are.
#[derive(Debug)]
pub struct PciTopology<'a> {
    /// The [`PciDevice`]s that are asked for.
    pub devices: GuestMemory<'a>,
    /// Where the nodes go: a `u32` for each device, the node, [`INVALID_NODE_ID`] or [`INVALID_DEV`].
    pub nodes: GuestMemory<'a>,
}

// SAFETY: Xen reads `num_devs` devices and writes as many nodes; both lists are at least that long.
unsafe impl Sysctl for PciTopology<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_pcitopoinfo" = 22);
    type Record = PciTopologyRecord;

    fn record(&self) -> PciTopologyRecord {
        PciTopologyRecord {
            num_devs: self.devices.room::<PciDevice>().min(self.nodes.room::<u32>()),
            pad: 0,
            devs: self.devices.address(),
            nodes: self.nodes.address(),
        }
    }
}
