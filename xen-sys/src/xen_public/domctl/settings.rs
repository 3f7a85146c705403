//! Properties of a domain that can be set, and mostly read.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

use super::{Domctl, domctl};
use crate::xen_public::bitmap::Bitmap;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Two operations with one record: `Get` sends zeros and gets the record, `Set(record)` sends it. For records without addresses only.
macro_rules! get_and_set {
    ($record:ident: $get:ident, $get_name:literal = $get_command:literal; $set:ident, $set_name:literal = $set_command:literal) => {
        #[doc = concat!("Asks for a [`", stringify!($record), "`].\n\n`", $get_name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $get_name)]
        pub struct $get;

        // SAFETY: integers only, as the invocation vouches for: Xen follows no address.
        unsafe impl Domctl for $get {
            const COMMAND: Command = Command { number: $get_command, name: $get_name };
            type Record = $record;

            fn record(&self) -> $record {
                $record::default()
            }
        }

        #[doc = concat!("Sets a [`", stringify!($record), "`].\n\n`", $set_name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $set_name)]
        pub struct $set(
            /// What is to be.
            pub $record,
        );

        // SAFETY: integers only, as the invocation vouches for: Xen follows no address.
        unsafe impl Domctl for $set {
            const COMMAND: Command = Command { number: $set_command, name: $set_name };
            type Record = $record;

            fn record(&self) -> $record {
                self.0
            }
        }
    };
}

/// `struct xen_domctl_address_size`
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_address_size")]
pub struct AddressSize {
    /// How many bits the addresses of the guest's kernel have: 32 or 64.
    pub size: u32,
}
layout!(AddressSize = "struct xen_domctl_address_size", 4, size @ 0);
get_and_set! {
    AddressSize: GetAddressSize, "XEN_DOMCTL_get_address_size" = 36; SetAddressSize, "XEN_DOMCTL_set_address_size" = 35
}

/// `struct xen_domctl_tsc_info`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_tsc_info")]
pub struct TscInfoRecord {
    /// `TSC_MODE_*` of the hypervisor: 0 as it sees fit, 1 always emulated, 2 never.
    pub tsc_mode: u32,
    /// Its frequency for the guest, in kHz.
    pub gtsc_khz: u32,
    /// How often it was set, that is, how often the domain was moved.
    pub incarnation: u32,
    /// Zero.
    pub pad: u32,
    /// The guest's age, in nanoseconds.
    pub elapsed_nsec: u64,
}
layout!(
    TscInfoRecord = "struct xen_domctl_tsc_info", 24,
    tsc_mode @ 0, gtsc_khz @ 4, incarnation @ 8, elapsed_nsec @ 16,
);
get_and_set! {
    TscInfoRecord: GetTscInfo, "XEN_DOMCTL_gettscinfo" = 59; SetTscInfo, "XEN_DOMCTL_settscinfo" = 60
}

/// `struct xen_domctl_paging_mempool` (Xen 4.17+)
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_paging_mempool")]
pub struct PagingMempool {
    /// Bytes.
    pub size: u64,
}
layout!(PagingMempool = "struct xen_domctl_paging_mempool" (4.17..=4.22), 8, size @ 0);
get_and_set! {
    PagingMempool: GetPagingMempool, "XEN_DOMCTL_get_paging_mempool_size" = 85; SetPagingMempool, "XEN_DOMCTL_set_paging_mempool_size" = 86
}

/// `struct xen_domctl_settimeoffset`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_settimeoffset")]
pub struct SetTimeOffset {
    /// By how many seconds the domain's clock is ahead of the host's.
    pub time_offset_seconds: i64,
}
layout!(SetTimeOffset = "struct xen_domctl_settimeoffset", 8, time_offset_seconds @ 0);
domctl!(SetTimeOffset, "XEN_DOMCTL_settimeoffset" = 24);

/// `struct xen_domctl_setdebugging`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_setdebugging")]
pub struct SetDebugging {
    /// Whether a debugger is attached.
    pub enable: u8,
}
layout!(SetDebugging = "struct xen_domctl_setdebugging", 1, enable @ 0);
domctl!(SetDebugging, "XEN_DOMCTL_setdebugging" = 18);

/// `struct xen_domctl_set_target`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_set_target")]
pub struct SetTarget {
    /// The domain that this one may control.
    pub target: u16,
}
layout!(SetTarget = "struct xen_domctl_set_target", 2, target @ 0);
domctl!(SetTarget, "XEN_DOMCTL_set_target" = 46);

/// `struct xen_domctl_set_virq_handler`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_set_virq_handler")]
pub struct SetVirqHandler {
    /// The global virtual interrupt that the domain gets.
    pub virq: u32,
}
layout!(SetVirqHandler = "struct xen_domctl_set_virq_handler", 4, virq @ 0);
domctl!(SetVirqHandler, "XEN_DOMCTL_set_virq_handler" = 66);

/// `struct xen_domctl_subscribe`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_subscribe")]
pub struct Subscribe {
    /// A port of the domain's.
    pub port: u32,
}
layout!(Subscribe = "struct xen_domctl_subscribe", 4, port @ 0);
domctl!(Subscribe, "XEN_DOMCTL_subscribe" = 29);

constants! { u32:
    /// A non-maskable interrupt.
    SENDTRIGGER_NMI = "XEN_DOMCTL_SENDTRIGGER_NMI" = 0;
    /// Reset.
    SENDTRIGGER_RESET = "XEN_DOMCTL_SENDTRIGGER_RESET" = 1;
    /// Init.
    SENDTRIGGER_INIT = "XEN_DOMCTL_SENDTRIGGER_INIT" = 2;
    /// The power button.
    SENDTRIGGER_POWER = "XEN_DOMCTL_SENDTRIGGER_POWER" = 3;
    /// The sleep button.
    SENDTRIGGER_SLEEP = "XEN_DOMCTL_SENDTRIGGER_SLEEP" = 4;
    /// No longer step by step.
    DEBUG_OP_SINGLE_STEP_OFF = "XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_OFF" = 0;
    /// Step by step.
    DEBUG_OP_SINGLE_STEP_ON = "XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_ON" = 1;
}

/// `struct xen_domctl_sendtrigger`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_sendtrigger")]
pub struct SendTrigger {
    /// `SENDTRIGGER_*`
    pub trigger: u32,
    /// Which vCPU.
    pub vcpu: u32,
}
layout!(SendTrigger = "struct xen_domctl_sendtrigger", 8, trigger @ 0, vcpu @ 4);
domctl!(SendTrigger, "XEN_DOMCTL_sendtrigger" = 28);

/// `struct xen_domctl_debug_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_debug_op")]
pub struct DebugOp {
    /// `DEBUG_OP_*`
    pub op: u32,
    /// Which vCPU.
    pub vcpu: u32,
}
layout!(DebugOp = "struct xen_domctl_debug_op", 8, op @ 0, vcpu @ 4);
domctl!(DebugOp, "XEN_DOMCTL_debug_op" = 54);

/// `struct xen_domctl_nodeaffinity`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl_nodeaffinity")]
pub struct NodeAffinity {
    /// Where the set of nodes is.
    pub nodemap: Bitmap,
}
layout!(NodeAffinity = "struct xen_domctl_nodeaffinity", 16, nodemap @ 0);

/// Prefers a set of NUMA nodes for the domain's memory and vCPUs.
#[derive(Debug)]
pub struct SetNodeAffinity<'a>(
    /// The set.
    pub GuestMemory<'a>,
);

// SAFETY: Xen reads at most as many bits as the memory has.
unsafe impl Domctl for SetNodeAffinity<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_setnodeaffinity" = 68);
    type Record = NodeAffinity;

    fn record(&self) -> NodeAffinity {
        NodeAffinity { nodemap: Bitmap::of(&self.0) }
    }
}

/// Asks which NUMA nodes are preferred.
#[derive(Debug)]
pub struct GetNodeAffinity<'a>(
    /// Where the set is written.
    pub GuestMemory<'a>,
);

// SAFETY: Xen writes at most as many bits as the memory has.
unsafe impl Domctl for GetNodeAffinity<'_> {
    const COMMAND: Command = command!("XEN_DOMCTL_getnodeaffinity" = 69);
    type Record = NodeAffinity;

    fn record(&self) -> NodeAffinity {
        NodeAffinity { nodemap: Bitmap::of(&self.0) }
    }
}
