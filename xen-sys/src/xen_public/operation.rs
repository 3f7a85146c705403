//! A hypercall as a value: its number, its arguments, its record, and the fact that makes it safe.
#![expect(unsafe_code, reason = "declares what makes a hypercall safe")]

use core::marker::PhantomData;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A hypercall's number (`__HYPERVISOR_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HypercallNumber(pub u32);

macro_rules! numbers {
    ($($name:ident = $alias:literal = $number:literal;)*) => {
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
    MMU_UPDATE = "__HYPERVISOR_mmu_update" = 1;
    PLATFORM_OP = "__HYPERVISOR_platform_op" = 7;
    MEMORY_OP = "__HYPERVISOR_memory_op" = 12;
    MULTICALL = "__HYPERVISOR_multicall" = 13;
    XEN_VERSION = "__HYPERVISOR_xen_version" = 17;
    CONSOLE_IO = "__HYPERVISOR_console_io" = 18;
    GRANT_TABLE_OP = "__HYPERVISOR_grant_table_op" = 20;
    VCPU_OP = "__HYPERVISOR_vcpu_op" = 24;
    MMUEXT_OP = "__HYPERVISOR_mmuext_op" = 26;
    XSM_OP = "__HYPERVISOR_xsm_op" = 27;
    SCHED_OP = "__HYPERVISOR_sched_op" = 29;
    EVENT_CHANNEL_OP = "__HYPERVISOR_event_channel_op" = 32;
    PHYSDEV_OP = "__HYPERVISOR_physdev_op" = 33;
    HVM_OP = "__HYPERVISOR_hvm_op" = 34;
    SYSCTL = "__HYPERVISOR_sysctl" = 35;
    DOMCTL = "__HYPERVISOR_domctl" = 36;
    KEXEC_OP = "__HYPERVISOR_kexec_op" = 37;
    ARGO_OP = "__HYPERVISOR_argo_op" = 39;
    XENPMU_OP = "__HYPERVISOR_xenpmu_op" = 40;
    DM_OP = "__HYPERVISOR_dm_op" = 41;
    HYPFS_OP = "__HYPERVISOR_hypfs_op" = 42;
    MCA = "__HYPERVISOR_mca" = 48;
}

/// What a hypercall that stands for many operations is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its number.
    pub number: u32,
    /// Its name in Xen's headers, for messages.
    pub name: &'static str,
}

/// A [`Command`] with its name in C, by which the ABI oracle checks the number: `command!("XEN_DOMCTL_max_mem" = 11)`.
macro_rules! command {
    ($name:literal = $number:literal) => {
        $crate::xen_public::operation::Command { number: $number, name: $name }
    };
}
pub(crate) use command;

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

    /// How many `T` have room in it.
    #[must_use]
    pub fn room<T>(&self) -> u32 {
        const { assert!(size_of::<T>() > 0) };
        u32::try_from(self.length / size_of::<T>()).unwrap_or(u32::MAX)
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

/// Makes a record its own operation, of a hypercall whose first argument says what is to be done and whose second is the record:
/// `plain_operation!(SCHED_OP, RemoteShutdown, "SCHEDOP_remote_shutdown" = 4)`. For records without addresses only.
macro_rules! plain_operation {
    ($number:ident, $record:ident, $name:literal = $command:literal) => {
        // SAFETY: Xen reads and writes one such record, of integers only, as the invocation vouches for.
        unsafe impl $crate::xen_public::operation::Operation for $record {
            const NUMBER: $crate::xen_public::operation::HypercallNumber =
                $crate::xen_public::operation::HypercallNumber::$number;
            const NAME: &'static str = $name;
            type Record = Self;

            fn record(&self) -> Self {
                *self
            }

            fn arguments(&self, record: u64) -> [u64; 5] {
                [$command, record, 0, 0, 0]
            }
        }
    };
}
pub(crate) use plain_operation;
