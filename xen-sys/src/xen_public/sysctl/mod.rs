//! `xen/include/public/sysctl.h`: operations on the host, for toolstacks.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

mod cpupool;
mod debug;
mod domains;
mod heap;
mod host;
mod livepatch;
mod pages;
mod policy;
mod power;
mod scheduler;
mod topology;

pub use cpupool::*;
pub use debug::*;
pub use domains::*;
pub use heap::*;
pub use host::*;
pub use livepatch::*;
pub use pages::*;
pub use policy::*;
pub use power::*;
pub use scheduler::*;
pub use topology::*;

use core::fmt;

use super::layout;
use super::operation::{Command, HypercallNumber, Operation};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// How many bytes the union of all records has, in every version.
const UNION: usize = 128;

/// `struct xen_sysctl`: what Xen reads and writes, whatever the operation.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl")]
pub struct SysctlRecord {
    /// Which operation.
    pub cmd: u32,
    /// The version of the interface, which Xen compares with its own.
    pub interface_version: u32,
    /// The operation's record.
    pub u: [u8; UNION],
}
layout!(SysctlRecord = "struct xen_sysctl", 136, cmd @ 0, interface_version @ 4, u @ 8);

impl fmt::Debug for SysctlRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SysctlRecord")
            .field("cmd", &self.cmd)
            .field("interface_version", &self.interface_version)
            .finish_non_exhaustive()
    }
}

/// An operation on the host.
///
/// # Safety
///
/// Given [`Sysctl::COMMAND`] and [`Sysctl::record`], Xen reads and writes nothing of the caller's but the record and memory that
/// the operation borrows. On a hypervisor whose version of the interface is [`SysctlCall::version`], the record has this layout.
pub unsafe trait Sysctl {
    /// `XEN_SYSCTL_*`
    const COMMAND: Command;
    /// What Xen reads and writes; `()` for nothing.
    type Record: FromBytes + IntoBytes + Immutable;

    /// The record to send.
    fn record(&self) -> Self::Record;
}

/// A [`Sysctl`] as a hypercall.
#[derive(Debug)]
pub struct SysctlCall<'a, T> {
    /// The version of the interface (`XEN_SYSCTL_INTERFACE_VERSION`). With another one than its own, Xen answers `EACCES`.
    pub version: u32,
    /// What is to be done.
    pub operation: &'a T,
}

impl<T: Sysctl> SysctlCall<'_, T> {
    /// The operation's own record in an answer.
    #[must_use]
    pub fn answer(record: &SysctlRecord) -> T::Record {
        const { assert!(size_of::<T::Record>() <= UNION) };
        T::Record::read_from_prefix(&record.u).map_or_else(|_| T::Record::new_zeroed(), |(record, _)| record)
    }
}

// SAFETY: Xen reads and writes one such structure, and what `T` vouches for.
unsafe impl<T: Sysctl> Operation for SysctlCall<'_, T> {
    const NUMBER: HypercallNumber = HypercallNumber::SYSCTL;
    const NAME: &'static str = T::COMMAND.name;
    type Record = SysctlRecord;

    fn record(&self) -> SysctlRecord {
        const { assert!(size_of::<T::Record>() <= UNION) };
        let mut record =
            SysctlRecord { cmd: T::COMMAND.number, interface_version: self.version, u: [0; UNION] };
        record.u[..size_of::<T::Record>()].copy_from_slice(self.operation.record().as_bytes());
        record
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 0, 0, 0, 0]
    }
}

/// Makes a record its own operation: `sysctl!(SchedId, "XEN_SYSCTL_sched_id" = 4);`. For records without addresses only.
macro_rules! sysctl {
    ($record:ident, $name:literal = $command:literal) => {
        // SAFETY: integers only, as the invocation vouches for: Xen follows no address.
        unsafe impl $crate::xen_public::sysctl::Sysctl for $record {
            const COMMAND: $crate::xen_public::operation::Command =
                $crate::xen_public::operation::Command { number: $command, name: $name };
            type Record = Self;

            fn record(&self) -> Self {
                *self
            }
        }
    };
}
use sysctl;
