//! `hvm/dm_op.h`: operations for device models. They have no version: what there is, stays as it is.

use crate::xen_public::operation::Command;
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `struct xen_dm_op`: what Xen reads and writes, whatever the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op")]
pub struct DmOpRecord {
    /// Which operation.
    pub op: u32,
    /// Zero.
    pub pad: u32,
    /// The operation's record.
    pub u: [u8; 24],
}
layout!(DmOpRecord = "struct xen_dm_op", 32, op @ 0, u @ 8);

/// An operation of a device model, which is its own record: integers only.
///
/// The hypervisor touches nothing of the caller's but the record, and the list that goes with some operations, both of which it
/// is given with their lengths. So unlike other operations, these are safe by themselves.
pub trait DmOperation: FromBytes + IntoBytes + Immutable {
    /// `XEN_DMOP_*`
    const COMMAND: Command;
}

impl DmOpRecord {
    /// The structure with an operation in it.
    #[must_use]
    pub fn new<O: DmOperation>(operation: &O) -> Self {
        const { assert!(size_of::<O>() <= 24) };
        let mut record = Self { op: O::COMMAND.number, pad: 0, u: [0; 24] };
        record.u[..size_of::<O>()].copy_from_slice(operation.as_bytes());
        record
    }

    /// The operation's own record in it.
    #[must_use]
    pub fn operation<O: DmOperation>(&self) -> O {
        O::read_from_prefix(&self.u).map_or_else(|_| O::new_zeroed(), |(operation, _)| operation)
    }
}

/// Makes a record an operation: `dm_op!(NrVcpus, "XEN_DMOP_nr_vcpus" = 20);`
macro_rules! dm_op {
    ($record:ident, $name:literal = $number:literal) => {
        impl $crate::xen_public::hvm::DmOperation for $record {
            const COMMAND: $crate::xen_public::operation::Command =
                $crate::xen_public::operation::Command { number: $number, name: $name };
        }
    };
}
pub(super) use dm_op;

constants! { u8:
    /// No buffered requests.
    IOREQSRV_BUFIOREQ_OFF = "HVM_IOREQSRV_BUFIOREQ_OFF" = 0;
    /// Buffered requests; the ring's pointers go on for ever.
    IOREQSRV_BUFIOREQ_LEGACY = "HVM_IOREQSRV_BUFIOREQ_LEGACY" = 1;
    /// Buffered requests; both of the ring's pointers are read and written at once.
    IOREQSRV_BUFIOREQ_ATOMIC = "HVM_IOREQSRV_BUFIOREQ_ATOMIC" = 2;
}

/// `struct xen_dm_op_create_ioreq_server`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_create_ioreq_server")]
pub struct CreateIoreqServer {
    /// `IOREQSRV_BUFIOREQ_*`
    pub handle_bufioreq: u8,
    /// Zero.
    pub pad: [u8; 3],
    /// Answer: the server's number.
    pub id: u16,
}
layout!(CreateIoreqServer = "struct xen_dm_op_create_ioreq_server", 6, handle_bufioreq @ 0, id @ 4);
dm_op!(CreateIoreqServer, "XEN_DMOP_create_ioreq_server" = 1);

constants! { u16:
    /// Only the port is asked for: the pages need not be put into the guest's memory.
    DMOP_NO_GFNS = "XEN_DMOP_no_gfns" = 1;
}

/// `struct xen_dm_op_get_ioreq_server_info`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_get_ioreq_server_info")]
pub struct GetIoreqServerInfo {
    /// Which server.
    pub id: u16,
    /// [`DMOP_NO_GFNS`] or 0.
    pub flags: u16,
    /// Answer: the port for buffered requests.
    pub bufioreq_port: u32,
    /// Answer: the frame of the synchronous requests.
    pub ioreq_gfn: u64,
    /// Answer: the frame of the buffered requests.
    pub bufioreq_gfn: u64,
}
layout!(
    GetIoreqServerInfo = "struct xen_dm_op_get_ioreq_server_info", 24,
    id @ 0, flags @ 2, bufioreq_port @ 4, ioreq_gfn @ 8, bufioreq_gfn @ 16,
);
dm_op!(GetIoreqServerInfo, "XEN_DMOP_get_ioreq_server_info" = 2);

constants! { u32:
    /// Ports.
    IO_RANGE_PORT = "XEN_DMOP_IO_RANGE_PORT" = 0;
    /// Memory addresses.
    IO_RANGE_MEMORY = "XEN_DMOP_IO_RANGE_MEMORY" = 1;
    /// PCI devices.
    IO_RANGE_PCI = "XEN_DMOP_IO_RANGE_PCI" = 2;
}

/// `struct xen_dm_op_ioreq_server_range`: what a server emulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_ioreq_server_range")]
pub struct IoRange {
    /// Which server.
    pub id: u16,
    /// Zero.
    pub pad: u16,
    /// `IO_RANGE_*`
    pub kind: u32,
    /// The first one.
    pub start: u64,
    /// The last one.
    pub end: u64,
}
layout!(
    IoRange = "struct xen_dm_op_ioreq_server_range", 24, id @ 0, kind("type") @ 4, start @ 8, end @ 16,
);

/// From now on, a server emulates a range.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct MapIoRange {
    /// Which.
    pub range: IoRange,
}
dm_op!(MapIoRange, "XEN_DMOP_map_io_range_to_ioreq_server" = 3);

/// A server no longer emulates a range.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct UnmapIoRange {
    /// Which.
    pub range: IoRange,
}
dm_op!(UnmapIoRange, "XEN_DMOP_unmap_io_range_from_ioreq_server" = 4);

/// `struct xen_dm_op_set_ioreq_server_state`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_ioreq_server_state")]
pub struct SetIoreqServerState {
    /// Which server.
    pub id: u16,
    /// Whether it gets requests.
    pub enabled: u8,
    /// Zero.
    pub pad: u8,
}
layout!(SetIoreqServerState = "struct xen_dm_op_set_ioreq_server_state", 4, id @ 0, enabled @ 2);
dm_op!(SetIoreqServerState, "XEN_DMOP_set_ioreq_server_state" = 5);

/// `struct xen_dm_op_destroy_ioreq_server`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_destroy_ioreq_server")]
pub struct DestroyIoreqServer {
    /// Which server.
    pub id: u16,
    /// Zero.
    pub pad: u16,
}
layout!(DestroyIoreqServer = "struct xen_dm_op_destroy_ioreq_server", 4, id @ 0);
dm_op!(DestroyIoreqServer, "XEN_DMOP_destroy_ioreq_server" = 6);

/// `struct xen_dm_op_track_dirty_vram`; its list is the bitmap, a bit for each page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_track_dirty_vram")]
pub struct TrackDirtyVram {
    /// How many pages; 0 ends it.
    pub nr: u32,
    /// Zero.
    pub pad: u32,
    /// The first page.
    pub first_pfn: u64,
}
layout!(TrackDirtyVram = "struct xen_dm_op_track_dirty_vram", 16, nr @ 0, first_pfn @ 8);
dm_op!(TrackDirtyVram, "XEN_DMOP_track_dirty_vram" = 7);

/// `struct xen_dm_op_modified_memory`; its list is one of [`ModifiedExtent`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_modified_memory")]
pub struct ModifiedMemory {
    /// How many extents; Xen begins with the last one.
    pub nr_extents: u32,
    /// Zero.
    pub opaque: u32,
}
layout!(ModifiedMemory = "struct xen_dm_op_modified_memory", 8, nr_extents @ 0, opaque @ 4);
dm_op!(ModifiedMemory, "XEN_DMOP_modified_memory" = 11);

/// `struct xen_dm_op_modified_memory_extent`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_modified_memory_extent")]
pub struct ModifiedExtent {
    /// How many pages.
    pub nr: u32,
    /// Zero.
    pub pad: u32,
    /// The first page.
    pub first_pfn: u64,
}
layout!(ModifiedExtent = "struct xen_dm_op_modified_memory_extent", 16, nr @ 0, first_pfn @ 8);

constants! { u16:
    /// Memory.
    HVMMEM_RAM_RW = "HVMMEM_ram_rw" = 0;
    /// Memory; what is written is lost.
    HVMMEM_RAM_RO = "HVMMEM_ram_ro" = 1;
    /// Accesses go to the device model.
    HVMMEM_MMIO_DM = "HVMMEM_mmio_dm" = 2;
    /// Memory; some accesses go to the server that claimed the type.
    HVMMEM_IOREQ_SERVER = "HVMMEM_ioreq_server" = 4;
}

/// `struct xen_dm_op_set_mem_type`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_set_mem_type")]
pub struct SetMemType {
    /// How many pages.
    pub nr: u32,
    /// `HVMMEM_*`
    pub mem_type: u16,
    /// Zero.
    pub pad: u16,
    /// The first page.
    pub first_pfn: u64,
}
layout!(SetMemType = "struct xen_dm_op_set_mem_type", 16, nr @ 0, mem_type @ 4, first_pfn @ 8);
dm_op!(SetMemType, "XEN_DMOP_set_mem_type" = 12);

constants! { u32:
    /// Reads.
    IOREQ_MEM_ACCESS_READ = "XEN_DMOP_IOREQ_MEM_ACCESS_READ" = 1;
    /// Writes.
    IOREQ_MEM_ACCESS_WRITE = "XEN_DMOP_IOREQ_MEM_ACCESS_WRITE" = 2;
}

/// `struct xen_dm_op_map_mem_type_to_ioreq_server`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_map_mem_type_to_ioreq_server")]
pub struct MapMemType {
    /// Which server.
    pub id: u16,
    /// [`HVMMEM_IOREQ_SERVER`]
    pub kind: u16,
    /// `IOREQ_MEM_ACCESS_*`: which accesses go to the server; none ends it.
    pub flags: u32,
    /// Zero.
    pub opaque: u64,
}
layout!(
    MapMemType = "struct xen_dm_op_map_mem_type_to_ioreq_server", 16,
    id @ 0, kind("type") @ 2, flags @ 4, opaque @ 8,
);
dm_op!(MapMemType, "XEN_DMOP_map_mem_type_to_ioreq_server" = 15);

/// `struct xen_dm_op_remote_shutdown`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_remote_shutdown")]
pub struct DmShutdown {
    /// `SHUTDOWN_*`
    pub reason: u32,
}
layout!(DmShutdown = "struct xen_dm_op_remote_shutdown", 4, reason @ 0);
dm_op!(DmShutdown, "XEN_DMOP_remote_shutdown" = 16);

/// `struct xen_dm_op_relocate_memory`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_relocate_memory")]
pub struct RelocateMemory {
    /// How many pages.
    pub size: u32,
    /// Zero.
    pub pad: u32,
    /// From where.
    pub src_gfn: u64,
    /// To where.
    pub dst_gfn: u64,
}
layout!(RelocateMemory = "struct xen_dm_op_relocate_memory", 24, size @ 0, src_gfn @ 8, dst_gfn @ 16);
dm_op!(RelocateMemory, "XEN_DMOP_relocate_memory" = 17);

constants! { u32:
    /// Uncached.
    MEM_CACHEATTR_UC = "XEN_DMOP_MEM_CACHEATTR_UC" = 0;
    /// Writes are combined.
    MEM_CACHEATTR_WC = "XEN_DMOP_MEM_CACHEATTR_WC" = 1;
    /// Writes go through.
    MEM_CACHEATTR_WT = "XEN_DMOP_MEM_CACHEATTR_WT" = 4;
    /// Writes go by.
    MEM_CACHEATTR_WP = "XEN_DMOP_MEM_CACHEATTR_WP" = 5;
    /// Writes stay until they must go.
    MEM_CACHEATTR_WB = "XEN_DMOP_MEM_CACHEATTR_WB" = 6;
    /// Uncached, unless the guest combines writes.
    MEM_CACHEATTR_UCM = "XEN_DMOP_MEM_CACHEATTR_UCM" = 7;
    /// No longer pinned.
    DELETE_MEM_CACHEATTR = "XEN_DMOP_DELETE_MEM_CACHEATTR" = 0xffff_ffff;
}

/// `struct xen_dm_op_pin_memory_cacheattr`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_pin_memory_cacheattr")]
pub struct PinMemoryCacheAttr {
    /// The first page.
    pub start: u64,
    /// The last page.
    pub end: u64,
    /// `MEM_CACHEATTR_*`
    pub kind: u32,
    /// Zero.
    pub pad: u32,
}
layout!(
    PinMemoryCacheAttr = "struct xen_dm_op_pin_memory_cacheattr", 24, start @ 0, end @ 8, kind("type") @ 16,
);
dm_op!(PinMemoryCacheAttr, "XEN_DMOP_pin_memory_cacheattr" = 18);

/// `struct xen_dm_op_nr_vcpus`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_dm_op_nr_vcpus")]
pub struct NrVcpus {
    /// Answer: how many.
    pub vcpus: u32,
}
layout!(NrVcpus = "struct xen_dm_op_nr_vcpus" (4.15..=4.22), 4, vcpus @ 0);
dm_op!(NrVcpus, "XEN_DMOP_nr_vcpus" = 20);
