//! `xen/include/public/domctl.h`: operations on domains, for toolstacks.
#![expect(unsafe_code, reason = "facts about the operations: see `Domctl`")]

#[cfg(target_arch = "aarch64")]
mod context_arm;
#[cfg(target_arch = "x86_64")]
mod context_x86;
mod create;
mod domain;
mod info;
mod pages;
mod scheduler;
mod settings;
mod shadow;
mod state;
mod vcpu;
mod vcpu_state;
mod vnuma;

#[cfg(target_arch = "aarch64")]
pub use context_arm::*;
#[cfg(target_arch = "x86_64")]
pub use context_x86::*;
pub use create::*;
pub use domain::*;
pub use info::*;
pub use pages::*;
pub use scheduler::*;
pub use settings::*;
pub use shadow::*;
pub use state::*;
pub use vcpu::*;
pub use vcpu_state::*;
pub use vnuma::*;

use core::fmt;

use super::layout;
use super::operation::{Command, HypercallNumber, Operation};
use crate::DomId;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// How many bytes the union of all records has, in every version.
const UNION: usize = 128;

/// `struct xen_domctl`: what Xen reads and writes, whatever the operation.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_domctl")]
pub struct DomctlRecord {
    /// Which operation.
    pub cmd: u32,
    /// The version of the interface, which Xen compares with its own.
    pub interface_version: u32,
    /// Which domain.
    pub domain: u16,
    /// Zero.
    pub pad: [u16; 3],
    /// The operation's record.
    pub u: [u8; UNION],
}
layout!(DomctlRecord = "struct xen_domctl", 144, cmd @ 0, interface_version @ 4, domain @ 8, u @ 16);

impl fmt::Debug for DomctlRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DomctlRecord")
            .field("cmd", &self.cmd)
            .field("interface_version", &self.interface_version)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// An operation on a domain.
///
/// # Safety
///
/// Given [`Domctl::COMMAND`] and [`Domctl::record`], Xen reads and writes nothing of the caller's but the record and memory that
/// the operation borrows. On a hypervisor whose version of the interface is [`DomctlCall::version`], the record has this layout.
pub unsafe trait Domctl {
    /// `XEN_DOMCTL_*`
    const COMMAND: Command;
    /// Whether it belongs to the part of the interface that has no version (Xen 4.21+).
    const STABLE: bool = false;
    /// What Xen reads and writes; `()` for nothing.
    type Record: FromBytes + IntoBytes + Immutable;

    /// The record to send.
    fn record(&self) -> Self::Record;
}

/// A [`Domctl`] as a hypercall.
#[derive(Debug)]
pub struct DomctlCall<'a, T> {
    /// The version of the interface (`XEN_DOMCTL_INTERFACE_VERSION`). With another one than its own, Xen answers `EACCES`.
    pub version: u32,
    /// Which domain. Some operations ignore it.
    pub domain: DomId,
    /// What is to be done.
    pub operation: &'a T,
}

impl<T: Domctl> DomctlCall<'_, T> {
    /// The operation's own record in an answer.
    #[must_use]
    pub fn answer(record: &DomctlRecord) -> T::Record {
        const { assert!(size_of::<T::Record>() <= UNION) };
        T::Record::read_from_prefix(&record.u).map_or_else(|_| T::Record::new_zeroed(), |(record, _)| record)
    }
}

// SAFETY: Xen reads and writes one such structure, and what `T` vouches for.
unsafe impl<T: Domctl> Operation for DomctlCall<'_, T> {
    const NUMBER: HypercallNumber = HypercallNumber::DOMCTL;
    const NAME: &'static str = T::COMMAND.name;
    type Record = DomctlRecord;

    fn record(&self) -> DomctlRecord {
        const { assert!(size_of::<T::Record>() <= UNION) };
        let mut record = DomctlRecord {
            cmd: T::COMMAND.number,
            interface_version: if T::STABLE { 0 } else { self.version },
            domain: self.domain.get(),
            pad: [0; 3],
            u: [0; UNION],
        };
        record.u[..size_of::<T::Record>()].copy_from_slice(self.operation.record().as_bytes());
        record
    }

    fn arguments(&self, record: u64) -> [u64; 5] {
        [record, 0, 0, 0, 0]
    }
}

/// Makes a record its own operation: `domctl!(MaxMem, "XEN_DOMCTL_max_mem" = 11);`. For records without addresses only; a
/// `// SAFETY:` comment in front says so. With `()`, an operation without a record: `domctl!(Pause(), ...)`.
macro_rules! domctl {
    ($(#[$doc:meta])* $operation:ident(), $name:literal = $command:literal) => {
        $(#[$doc])*
        #[doc = concat!("\n`", $name, "`")]
        #[derive(Clone, Copy, Debug)]
        #[doc(alias = $name)]
        pub struct $operation;

        // SAFETY: there is no record, so there is nothing but the caller's structure for Xen to read.
        unsafe impl $crate::xen_public::domctl::Domctl for $operation {
            const COMMAND: $crate::xen_public::operation::Command = $crate::xen_public::operation::Command { number: $command, name: $name };
            type Record = ();

            fn record(&self) {}
        }
    };
    ($record:ident, $name:literal = $command:literal) => {
        // SAFETY: integers only, as the invocation vouches for: Xen follows no address.
        unsafe impl $crate::xen_public::domctl::Domctl for $record {
            const COMMAND: $crate::xen_public::operation::Command = $crate::xen_public::operation::Command { number: $command, name: $name };
            type Record = Self;

            fn record(&self) -> Self {
                *self
            }
        }
    };
}
use domctl;
