//! `/dev/xen/privcmd` and `/dev/xen/hypercall`: `include/uapi/xen/privcmd.h`
//!
//! None of these records is a [`Request`](trait@super::Request): they carry addresses, or give the hypervisor orders. They
//! are sent with [`Device::submit_unchecked`](super::Device::submit_unchecked) by code that can vouch for them.
#![expect(unsafe_code, reason = "facts about the records: see `Request`")]

use super::device::Driver;
use super::request::{Request, opcode, opcode_write, record};
use crate::xen_public::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The driver behind `/dev/xen/privcmd`.
#[derive(Debug)]
pub enum Privcmd {}

impl Driver for Privcmd {
    const PATH: &'static str = "/dev/xen/privcmd";
    const MODULE: &'static str = "xen-privcmd";
}

/// The driver behind `/dev/xen/hypercall`: memory for hypercall arguments, by `mmap(2)` only.
#[derive(Debug)]
pub enum PrivcmdBuf {}

impl Driver for PrivcmdBuf {
    const PATH: &'static str = "/dev/xen/hypercall";
    const MODULE: &'static str = "xen-privcmd";
}

/// `struct privcmd_hypercall`; the call's value is the hypercall's, cut to 32 bits by the kernel.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hypercall {
    /// The hypercall's number.
    pub op: u64,
    /// Its arguments.
    pub arg: [u64; 5],
}
layout!(Hypercall = "struct privcmd_hypercall", 48, op @ 0, arg @ 8);
record!(Hypercall, Privcmd, "IOCTL_PRIVCMD_HYPERCALL" = 0x0030_5000, opcode(b'P', 0, size_of::<Hypercall>()));

/// `struct privcmd_mmap`: the oldest way to map foreign frames, for PV domains only.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mmap {
    /// The number of entries.
    pub num: i32,
    /// Whose frames.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
    /// Address of the [`MmapEntry`]s.
    pub entry: u64,
}
layout!(Mmap = "struct privcmd_mmap", 16, num @ 0, dom @ 4, entry @ 8);
record!(Mmap, Privcmd, "IOCTL_PRIVCMD_MMAP" = 0x0010_5002, opcode(b'P', 2, size_of::<Mmap>()));

/// `struct privcmd_mmap_entry`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MmapEntry {
    /// Where to.
    pub va: u64,
    /// The first frame.
    pub mfn: u64,
    /// How many.
    pub npages: u64,
}
layout!(MmapEntry = "struct privcmd_mmap_entry", 24, va @ 0, mfn @ 8, npages @ 16);

/// `struct privcmd_mmapbatch`: the first version, whose errors come back in the top bits of the frame numbers.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MmapBatch {
    /// The number of frames.
    pub num: i32,
    /// Whose frames.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
    /// Where to.
    pub addr: u64,
    /// Address of the frame numbers, which are also written.
    pub arr: u64,
}
layout!(MmapBatch = "struct privcmd_mmapbatch", 24, num @ 0, dom @ 4, addr @ 8, arr @ 16);
record!(MmapBatch, Privcmd, "IOCTL_PRIVCMD_MMAPBATCH" = 0x0018_5003, opcode(b'P', 3, size_of::<MmapBatch>()));

/// `struct privcmd_mmapbatch_v2`: maps foreign frames, with a result for each.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MmapBatchV2 {
    /// The number of frames.
    pub num: u32,
    /// Whose frames.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
    /// Where to.
    pub addr: u64,
    /// Address of the frame numbers.
    pub arr: u64,
    /// Address of the results, an `i32` each: 0 or a negative errno.
    pub err: u64,
}
layout!(MmapBatchV2 = "struct privcmd_mmapbatch_v2", 32, num @ 0, dom @ 4, addr @ 8, arr @ 16, err @ 24);
record!(
    MmapBatchV2,
    Privcmd,
    "IOCTL_PRIVCMD_MMAPBATCH_V2" = 0x0020_5004,
    opcode(b'P', 4, size_of::<MmapBatchV2>())
);

/// `struct privcmd_dm_op`: a device model operation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmOp {
    /// The domain.
    pub dom: u16,
    /// The number of buffers; Xen takes at most two.
    pub num: u16,
    /// Zero.
    pub padding: u32,
    /// Address of the [`DmOpBuf`]s.
    pub ubufs: u64,
}
layout!(DmOp = "struct privcmd_dm_op", 16, dom @ 0, num @ 2, ubufs @ 8);
record!(DmOp, Privcmd, "IOCTL_PRIVCMD_DM_OP" = 0x0010_5005, opcode(b'P', 5, size_of::<DmOp>()));

/// `struct privcmd_dm_op_buf`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DmOpBuf {
    /// Address; the memory must be writable even if it is only read.
    pub uptr: u64,
    /// Length, in bytes.
    pub size: u64,
}
layout!(DmOpBuf = "struct privcmd_dm_op_buf", 16, uptr @ 0, size @ 8);

/// The domain of `IOCTL_PRIVCMD_RESTRICT`: from now on the file serves this domain only, and no hypercalls.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Restrict {
    /// The domain.
    pub domid: u16,
}
layout!(Restrict = "domid_t", 2, domid @ 0);
record!(Restrict, Privcmd, "IOCTL_PRIVCMD_RESTRICT" = 0x0002_5006, opcode(b'P', 6, size_of::<Restrict>()));
// SAFETY: the driver reads the record; it only takes powers away.
unsafe impl Request for Restrict {}

/// `struct privcmd_mmap_resource`: maps memory that Xen itself keeps for a domain.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MmapResource {
    /// The domain.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
    /// Which kind of resource.
    pub kind: u32,
    /// Which one of the kind.
    pub id: u32,
    /// First frame of it.
    pub idx: u32,
    /// Number of frames; 0 together with `addr` asks for the number there is, which comes back here.
    pub num: u64,
    /// Where to.
    pub addr: u64,
}
layout!(
    MmapResource = "struct privcmd_mmap_resource", 32, dom @ 0, kind("type") @ 4, id @ 8, idx @ 12, num @ 16,
    addr @ 24,
);
record!(
    MmapResource,
    Privcmd,
    "IOCTL_PRIVCMD_MMAP_RESOURCE" = 0x0020_5007,
    opcode(b'P', 7, size_of::<MmapResource>())
);

/// `struct privcmd_irqfd`: an eventfd that raises an interrupt in the guest, by a device model operation.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Irqfd {
    /// Address of the operation.
    pub dm_op: u64,
    /// Its size.
    pub size: u32,
    /// The eventfd.
    pub fd: u32,
    /// 1 to undo it.
    pub flags: u32,
    /// The domain.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
}
layout!(Irqfd = "struct privcmd_irqfd", 24, dm_op @ 0, size @ 8, fd @ 12, flags @ 16, dom @ 20);
record!(Irqfd, Privcmd, "IOCTL_PRIVCMD_IRQFD" = 0x4018_5008, opcode_write(b'P', 8, size_of::<Irqfd>()));

/// `struct privcmd_ioeventfd`: an eventfd that a guest's write to a virtio-mmio register signals.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ioeventfd {
    /// Address of the mapped ioreq page.
    pub ioreq: u64,
    /// Address of the ports, an `u32` for each vCPU.
    pub ports: u64,
    /// Guest address of the device's registers.
    pub addr: u64,
    /// Length of the write that counts.
    pub addr_len: u32,
    /// The eventfd.
    pub event_fd: u32,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// The virtqueue.
    pub vq: u32,
    /// 1 to undo it.
    pub flags: u32,
    /// The domain.
    pub dom: u16,
    /// Zero.
    pub padding: u16,
}
layout!(
    Ioeventfd = "struct privcmd_ioeventfd", 48, ioreq @ 0, ports @ 8, addr @ 16, addr_len @ 24, event_fd @ 28,
    vcpus @ 32, vq @ 36, flags @ 40, dom @ 44,
);
record!(
    Ioeventfd,
    Privcmd,
    "IOCTL_PRIVCMD_IOEVENTFD" = 0x4030_5009,
    opcode_write(b'P', 9, size_of::<Ioeventfd>())
);

/// `struct privcmd_pcidev_get_gsi`: which interrupt line a PCI device uses.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcidevGetGsi {
    /// Segment, bus, device and function.
    pub sbdf: u32,
    /// Answer: the line.
    pub gsi: u32,
}
layout!(PcidevGetGsi = "struct privcmd_pcidev_get_gsi", 8, sbdf @ 0, gsi @ 4);
record!(
    PcidevGetGsi,
    Privcmd,
    "IOCTL_PRIVCMD_PCIDEV_GET_GSI" = 0x0008_500a,
    opcode(b'P', 10, size_of::<PcidevGetGsi>())
);
// SAFETY: the driver writes the answer into the record and nothing else.
unsafe impl Request for PcidevGetGsi {}
