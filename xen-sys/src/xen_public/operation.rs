//! A hypercall as a value: its number, its arguments, its record, and the fact that makes it safe.
#![expect(unsafe_code, reason = "declares what makes a hypercall safe")]

use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A hypercall's number (`__HYPERVISOR_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HypercallNumber(pub u32);

macro_rules! numbers {
    ($($name:ident = $number:literal, $alias:literal;)*) => {
        impl HypercallNumber {
            $(
                #[doc = concat!("`", $alias, "`")]
                #[doc(alias = $alias)]
                pub const $name: Self = Self($number);
            )*

            /// The name in Xen's headers, or `hypercall` for one that has none here.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 {
                    $($number => $alias,)*
                    _ => "hypercall",
                }
            }
        }
    };
}

numbers! {
    MMU_UPDATE = 1, "__HYPERVISOR_mmu_update";
    PLATFORM_OP = 7, "__HYPERVISOR_platform_op";
    MEMORY_OP = 12, "__HYPERVISOR_memory_op";
    MULTICALL = 13, "__HYPERVISOR_multicall";
    XEN_VERSION = 17, "__HYPERVISOR_xen_version";
    CONSOLE_IO = 18, "__HYPERVISOR_console_io";
    GRANT_TABLE_OP = 20, "__HYPERVISOR_grant_table_op";
    VCPU_OP = 24, "__HYPERVISOR_vcpu_op";
    MMUEXT_OP = 26, "__HYPERVISOR_mmuext_op";
    XSM_OP = 27, "__HYPERVISOR_xsm_op";
    SCHED_OP = 29, "__HYPERVISOR_sched_op";
    EVENT_CHANNEL_OP = 32, "__HYPERVISOR_event_channel_op";
    PHYSDEV_OP = 33, "__HYPERVISOR_physdev_op";
    HVM_OP = 34, "__HYPERVISOR_hvm_op";
    SYSCTL = 35, "__HYPERVISOR_sysctl";
    DOMCTL = 36, "__HYPERVISOR_domctl";
    KEXEC_OP = 37, "__HYPERVISOR_kexec_op";
    ARGO_OP = 39, "__HYPERVISOR_argo_op";
    XENPMU_OP = 40, "__HYPERVISOR_xenpmu_op";
    DM_OP = 41, "__HYPERVISOR_dm_op";
    HYPFS_OP = 42, "__HYPERVISOR_hypfs_op";
    MCA = 48, "__HYPERVISOR_mca";
}

/// Memory that Xen can read and write at any moment, borrowed for `'a`: an address and a length that belong together.
///
/// Lent by a hypercall buffer; operations carry it to the hypervisor.
#[derive(Debug)]
pub struct GuestMemory<'a> {
    address: u64,
    length: usize,
    _memory: PhantomData<&'a mut [u8]>,
}

impl GuestMemory<'_> {
    /// No memory: many operations then only tell how much they want.
    pub const NULL: GuestMemory<'static> = GuestMemory { address: 0, length: 0, _memory: PhantomData };

    /// Memory of `length` bytes at `address`.
    ///
    /// # Safety
    ///
    /// It is hypercall memory, reserved for the lifetime, and every byte pattern is valid in it.
    #[must_use]
    pub const unsafe fn new(address: u64, length: usize) -> Self {
        Self { address, length, _memory: PhantomData }
    }

    /// Its address, as Xen takes it; 0 for [`GuestMemory::NULL`].
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Its length, in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub const fn len(&self) -> usize {
        self.length
    }
}

/// A hypercall that is safe to issue.
///
/// A record without addresses can be its own operation. One with addresses gets an operation that borrows
/// [`GuestMemory`], so that nothing but live memory of the right length reaches Xen.
///
/// # Safety
///
/// Issued with [`Operation::NUMBER`] and what [`Operation::arguments`] gives for the address of a copy of
/// [`Operation::record`], Xen reads and writes nothing of the caller's but that copy and memory that the operation borrows.
pub unsafe trait Operation {
    /// Which hypercall.
    const NUMBER: HypercallNumber;
    /// The operation's name in Xen's headers, for messages.
    const NAME: &'static str;
    /// Whether results can exceed 31 bits. Linux cuts them; such an operation takes the way through a multicall.
    const WIDE: bool = false;
    /// The record that Xen reads and writes; `()` for none.
    type Record: FromBytes + IntoBytes + Immutable;

    /// The record to send.
    fn record(&self) -> Self::Record;

    /// The hypercall's arguments, given the address of the record (0 if that has no bytes).
    fn arguments(&self, record: u64) -> [u64; 5];
}
