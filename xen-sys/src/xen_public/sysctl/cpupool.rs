//! Cpupools: CPUs and domains that belong together, with a scheduler.
#![expect(unsafe_code, reason = "facts about the operations: see `Sysctl`")]

use super::Sysctl;
use crate::xen_public::bitmap::Bitmap;
use crate::xen_public::operation::{Command, GuestMemory, command};
use crate::xen_public::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! { u32:
    /// Makes a cpupool without CPUs.
    CPUPOOL_CREATE = "XEN_SYSCTL_CPUPOOL_OP_CREATE" = 1;
    /// Ends one that has neither domains nor CPUs of its own.
    CPUPOOL_DESTROY = "XEN_SYSCTL_CPUPOOL_OP_DESTROY" = 2;
    /// Reads what is known of the first one that has this number or a higher one.
    CPUPOOL_INFO = "XEN_SYSCTL_CPUPOOL_OP_INFO" = 3;
    /// Gives it a CPU that is free.
    CPUPOOL_ADDCPU = "XEN_SYSCTL_CPUPOOL_OP_ADDCPU" = 4;
    /// Takes a CPU from it.
    CPUPOOL_RMCPU = "XEN_SYSCTL_CPUPOOL_OP_RMCPU" = 5;
    /// Moves a domain to it.
    CPUPOOL_MOVEDOMAIN = "XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN" = 6;
    /// Tells which CPUs are in no cpupool.
    CPUPOOL_FREEINFO = "XEN_SYSCTL_CPUPOOL_OP_FREEINFO" = 7;
    /// Any number.
    CPUPOOL_ANY = "XEN_SYSCTL_CPUPOOL_PAR_ANY" = 0xffff_ffff;
}

/// `struct xen_sysctl_cpupool_op`
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
#[doc(alias = "xen_sysctl_cpupool_op")]
pub struct CpupoolRecord {
    /// `CPUPOOL_*`
    pub op: u32,
    /// Which cpupool; answer: which one it is.
    pub cpupool_id: u32,
    /// `SCHEDULER_*`
    pub sched_id: u32,
    /// Which domain.
    pub domid: u32,
    /// Which CPU.
    pub cpu: u32,
    /// Answer: how many domains there are in it.
    pub n_dom: u32,
    /// Answer: its CPUs.
    pub cpumap: Bitmap,
}
layout!(
    CpupoolRecord = "struct xen_sysctl_cpupool_op", 40,
    op @ 0, cpupool_id @ 4, sched_id @ 8, domid @ 12, cpu @ 16, n_dom @ 20, cpumap @ 24,
);

/// An operation on cpupools. What it does not need is 0.
#[derive(Debug)]
pub struct CpupoolOp<'a> {
    /// `CPUPOOL_*`
    pub op: u32,
    /// Which cpupool.
    pub cpupool: u32,
    /// `SCHEDULER_*`
    pub scheduler: u32,
    /// Which domain.
    pub domain: u32,
    /// Which CPU.
    pub cpu: u32,
    /// Where its CPUs are told.
    pub cpus: GuestMemory<'a>,
}

impl Default for CpupoolOp<'_> {
    fn default() -> Self {
        Self { op: 0, cpupool: 0, scheduler: 0, domain: 0, cpu: 0, cpus: GuestMemory::NULL }
    }
}

// SAFETY: Xen writes at most `nr_bits` bits, which is what the memory has room for.
unsafe impl Sysctl for CpupoolOp<'_> {
    const COMMAND: Command = command!("XEN_SYSCTL_cpupool_op" = 18);
    type Record = CpupoolRecord;

    fn record(&self) -> CpupoolRecord {
        CpupoolRecord {
            op: self.op,
            cpupool_id: self.cpupool,
            sched_id: self.scheduler,
            domid: self.domain,
            cpu: self.cpu,
            n_dom: 0,
            cpumap: Bitmap::of(&self.cpus),
        }
    }
}
