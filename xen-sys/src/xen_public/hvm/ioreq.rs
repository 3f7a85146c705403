//! `hvm/ioreq.h`: the pages in which a guest's accesses reach a device model.

use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u8:
    /// Nothing is asked.
    IOREQ_NONE = "STATE_IOREQ_NONE" = 0;
    /// Xen asks.
    IOREQ_READY = "STATE_IOREQ_READY" = 1;
    /// The device model is at it.
    IOREQ_INPROCESS = "STATE_IOREQ_INPROCESS" = 2;
    /// The device model has answered.
    IORESP_READY = "STATE_IORESP_READY" = 3;
    /// Port I/O.
    IOREQ_PIO = "IOREQ_TYPE_PIO" = 0;
    /// Memory.
    IOREQ_COPY = "IOREQ_TYPE_COPY" = 1;
    /// Configuration space of PCI.
    IOREQ_PCI_CONFIG = "IOREQ_TYPE_PCI_CONFIG" = 2;
    /// The guest has set its clock.
    IOREQ_TIMEOFFSET = "IOREQ_TYPE_TIMEOFFSET" = 7;
    /// The guest's memory has changed: what is mapped of it is out of date.
    IOREQ_INVALIDATE = "IOREQ_TYPE_INVALIDATE" = 8;
}

constants! { usize:
    /// How many entries the ring of buffered requests has.
    IOREQ_BUFFER_SLOTS = "IOREQ_BUFFER_SLOT_NUM" = 511;
}

/// `struct ioreq`: a vCPU's place in the page of synchronous requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "ioreq")]
pub struct Ioreq {
    /// The address.
    pub addr: u64,
    /// The data, or where in the guest's memory they are.
    pub data: u64,
    /// How many repetitions.
    pub count: u32,
    /// How many bytes each.
    pub size: u32,
    /// The port for this vCPU's requests.
    pub vp_eport: u32,
    /// Zero.
    pub pad: u16,
    /// State in bits 0 to 3, [`Ioreq::DATA_IS_PTR`] and so on.
    pub flags: u8,
    /// `IOREQ_TYPE_*`
    pub kind: u8,
}
layout!(
    Ioreq = "struct ioreq", 32,
    addr @ 0, data @ 8, count @ 16, size @ 20, vp_eport @ 24, kind("type") @ 31,
);

impl Ioreq {
    /// The bits of the state, in the flags.
    pub const STATE: u8 = 0x0f;
    /// The data are in the guest's memory.
    pub const DATA_IS_PTR: u8 = 0x10;
    /// The guest reads.
    pub const IS_READ: u8 = 0x20;
    /// Addresses go down with each repetition.
    pub const DESCENDING: u8 = 0x40;
}

/// `buf_ioreq_t`: an entry of the ring of buffered requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "buf_ioreq")]
pub struct BufferedIoreq {
    /// From bit 0: `IOREQ_TYPE_*`; 9: the guest reads; 10: the logarithm of the size; 12: the address.
    pub head: u32,
    /// The data, or half of them: the other half is in the next entry.
    pub data: u32,
}
layout!(BufferedIoreq = "struct buf_ioreq", 8, data @ 4);

/// `buffered_iopage_t` up to the entries: the ring's pointers, which count entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "buffered_iopage")]
pub struct BufferedPointers {
    /// The next one to read.
    pub read_pointer: u32,
    /// The next one to be written.
    pub write_pointer: u32,
}
layout!(
    BufferedPointers = "struct buffered_iopage" before "buf_ioreq", 8, read_pointer @ 0, write_pointer @ 4,
);
